"""`SamplePictures`: pictures of the evaluation split with what the model reads in them."""

import numpy as np
import torch

from runner.data.data import Batch
from runner.tasks.task import Predictions
from runner.training.callback import Callback, Fit

FILE_NAME = "samples.png"
KEYS = ("image", "input")


class SamplePictures(Callback):
    """Writes plots/samples.png when training ends: the first pictures of the last evaluation.

    `num_pictures` are taken from the first batch of `split` ("evaluation.NAME" for one of several
    datasets; "evaluation" is then the first of them), where they stand under `image` or
    `input`: a tensor (batch, 1 or 3, height, width). Batches without pictures are passed over.
    """

    def __init__(self, *, num_pictures: int = 24, split: str = "evaluation") -> None:
        self._num_pictures = num_pictures
        self._split = split
        self._is_wanted = False
        self._kept: tuple[torch.Tensor, Predictions] | None = None
        self._step = 0

    def on_evaluation_start(self, fit: Fit, split: str, num_batches: int) -> None:
        self._is_wanted = fit.is_main and _is_part(self._split, of=split)

    def on_evaluation_batch(
        self, fit: Fit, split: str, batch: Batch, predictions: Predictions
    ) -> None:
        if not (self._is_wanted and _is_part(split, of=self._split)):
            return
        self._is_wanted = False
        pictures = _pictures_of(batch)
        if pictures is not None:
            self._kept = pictures[: self._num_pictures].detach().cpu().clone(), predictions
            self._step = fit.progress.step

    def on_fit_end(self, fit: Fit, outcome: str) -> None:
        if self._kept is None or outcome == "preempted":  # then there is no time for pictures
            return
        from runner.reports.samples import Sample, sample_sheet  # matplotlib's fonts, only now

        pictures, said = self._kept
        targets = said.targets or [None] * len(said.texts)
        samples = [
            Sample(_as_array(picture), text, confidence, target)
            for picture, text, confidence, target in zip(
                pictures, said.texts, said.confidences, targets, strict=False
            )
        ]
        title = f"{fit.directory.path.name}, step {self._step}: first pictures of {self._split}"
        sample_sheet(samples, fit.directory.plots / FILE_NAME, title=title)


def _is_part(name: str, *, of: str) -> bool:
    return name == of or name.startswith(f"{of}.")


def _pictures_of(batch: Batch) -> torch.Tensor | None:
    for key in KEYS:
        pictures = batch.get(key)
        if (
            isinstance(pictures, torch.Tensor)
            and pictures.dim() == 4
            and pictures.shape[1] in (1, 3)
        ):
            return pictures
    return None


def _as_array(picture: torch.Tensor) -> np.ndarray:
    """Return (channels, height, width) as uint8: grey (height, width) or colour (height, width, 3).

    Floats are taken as 0-1 or 0-255 if they lie in there, else stretched from darkest to brightest.
    """
    if picture.dtype != torch.uint8:
        low, high = picture.float().min(), picture.float().max()
        if low < 0 or high > 255:
            picture = (picture - low) / (high - low).clamp(min=1e-9) * 255
        elif high <= 1:
            picture = picture * 255
    array = picture.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return array[:, :, 0] if array.shape[2] == 1 else array
