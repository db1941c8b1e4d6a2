"""`CTC`: read a text off a picture not knowing where its symbols stand (Graves et al., 2006)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from runner.data.data import Batch
from runner.errors import DataError
from runner.metrics.mean import Mean
from runner.metrics.metric import Metric
from runner.metrics.text import CharacterErrorRate, WholeTextAccuracy
from runner.tasks.decoding.decoder import decoder_of
from runner.tasks.decoding.greedy import BLANK
from runner.tasks.task import Predictions, StepOutput

MEAN = 1  # torch.ctc_loss's number for reduction="mean"


class CTC:
    """Trains with the CTC loss and reads by the most probable class of every frame.

    A batch is {"image": pictures, "text": list of texts}. The model takes the pictures and returns
    logits or log-probabilities of shape (time, batch, len(alphabet) + 1), class 0 being blank.

    How it reads has no part in training: `beam_width` above 1 follows so many texts at once
    (prefix beam search), and with a `grammar` only texts of one of its patterns are read.
    """

    def __init__(
        self,
        alphabet: str,
        beam_width: int = 1,
        grammar: str | Sequence[str] | None = None,
    ) -> None:
        self.alphabet = alphabet
        self._decode = decoder_of(alphabet, beam_width=beam_width, grammar=grammar)
        self._class_of = {symbol: number for number, symbol in enumerate(alphabet, start=1)}

    def prepare(self, batch: Any) -> Batch:
        """Add `targets`, (batch, longest text) padded by blanks, and the list `target_lengths`."""
        if "text" not in batch:
            return batch
        encoded = [self._encode(text) for text in batch["text"]]
        lengths = [len(classes) for classes in encoded]
        width = max(lengths, default=0)
        padded = [classes + [BLANK] * (width - len(classes)) for classes in encoded]
        return {
            **batch,
            "targets": torch.tensor(padded, dtype=torch.int64),
            "target_lengths": lengths,  # stays on the host: the loss reads it there
        }

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        log_probabilities = _log_probabilities(model, batch)
        return StepOutput(_loss(log_probabilities, batch), len(batch["target_lengths"]))

    def metrics(self) -> dict[str, Metric]:
        return {"loss": Mean(), "cer": CharacterErrorRate(), "whole": WholeTextAccuracy()}

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        log_probabilities = _log_probabilities(model, batch)
        metrics["loss"].update(_loss(log_probabilities, batch), len(batch["text"]))
        texts, confidences = self._decode(log_probabilities)
        metrics["cer"].update(texts, batch["text"])
        metrics["whole"].update(texts, batch["text"])
        return Predictions(texts, confidences, list(batch["text"]))

    def predict(self, model: nn.Module, batch: Batch) -> Predictions:
        texts, confidences = self._decode(_log_probabilities(model, batch))
        return Predictions(texts, confidences)

    def _encode(self, text: str) -> list[int]:
        try:
            return [self._class_of[symbol] for symbol in text]
        except KeyError as error:
            raise DataError(
                f"text '{text}' holds {error}, which is not in task.alphabet '{self.alphabet}'"
            ) from None


def check_alignable(texts: Sequence[str], num_frames: int) -> None:
    """Raise DataError naming a text that CTC cannot align with `num_frames` frames."""
    for index, text in enumerate(texts):
        needed = frames_needed(text)
        if needed > num_frames:
            raise DataError(
                f"text '{text}' (sample {index}) needs {needed} frames, one a symbol and one "
                f"between equal neighbours, but the model gives {num_frames}: use wider pictures "
                "(data.preprocessor.width), a model that keeps more frames, or data.max_length"
            )


def frames_needed(text: str) -> int:
    """Return the least number of frames in which CTC can spell `text`."""
    return len(text) + sum(left == right for left, right in pairwise(text))


def _log_probabilities(model: nn.Module, batch: Batch) -> Tensor:
    # Of log-probabilities log_softmax makes the same again. float: CTC takes no half precision.
    return model(batch["image"]).float().log_softmax(dim=-1)


def _loss(log_probabilities: Tensor, batch: Batch) -> Tensor:
    """Return the mean over the samples of loss / length of the text."""
    num_frames, num_samples, _ = log_probabilities.shape
    targets = batch["targets"]
    if log_probabilities.device.type == "mps":  # has no CTC loss; the copy carries gradients
        log_probabilities, targets = log_probabilities.cpu(), targets.cpu()
    # With lengths as plain numbers; functional.ctc_loss declares tensors alone.
    lengths = [num_frames] * num_samples, batch["target_lengths"]
    return torch.ctc_loss(log_probabilities, targets, *lengths, BLANK, MEAN)
