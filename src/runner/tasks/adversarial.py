"""`Adversarial`: learns to make samples like those it is shown, against a judge that learns, too.

The model is a `torch.nn.ModuleDict`: "generator" makes samples (batch, ...) of numbers (batch,
latent_size) drawn from a normal distribution, "discriminator" gives one logit a sample, large for
real ones.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from runner.config.checks import at_least, refuse
from runner.data.data import Batch
from runner.errors import ConfigError
from runner.metrics.frechet import FrechetDistance
from runner.metrics.mean import Mean
from runner.metrics.metric import Metric
from runner.tasks.task import Predictions, StepOutput, Update

REAL, GENERATED = "real", "generated"


class Adversarial:
    """A generative adversarial network (Goodfellow et al. 2014), with its non-saturating loss.

    The batch is a mapping with `input` or `image`, or a sequence that begins with the samples;
    whatever else is in it is not used. Before each update of the generator the discriminator has
    `discriminator_steps` of them, on the same real samples and new generated ones. With
    `label_smoothing` s it learns 1 - s in place of 1 for real ones (Salimans et al. 2016).

    Measured are the two losses and their sum, how often the discriminator is right (0.5: it cannot
    tell), and the Frechet distance (Heusel et al. 2017) of generated samples from real ones, by the
    values of the samples themselves.
    """

    def __init__(
        self, latent_size: int, *, discriminator_steps: int = 1, label_smoothing: float = 0.0
    ) -> None:
        refuse(
            at_least("task.latent_size", latent_size, 1),
            at_least("task.discriminator_steps", discriminator_steps, 1),
            None
            if 0 <= label_smoothing < 0.5
            else f"task.label_smoothing must be >= 0 and below 0.5, got {label_smoothing}",
        )
        self._latent_size = latent_size
        self._discriminator_steps = discriminator_steps
        self._label_smoothing = label_smoothing

    def prepare(self, batch: Any) -> Batch:
        if isinstance(batch, Mapping):
            key = next((name for name in ("input", "image") if name in batch), None)
            if key is None:
                raise ConfigError(
                    "task: Adversarial needs samples under 'input' or 'image', and the batch has "
                    f"{', '.join(map(str, batch))}"
                )
            return {"input": batch[key]}
        return {"input": batch if isinstance(batch, Tensor) else batch[0]}

    def alternating_step(
        self, model: nn.ModuleDict, batch: Batch, update: Mapping[str, Update]
    ) -> StepOutput:
        real = batch["input"]
        judging = []
        for _ in range(self._discriminator_steps):
            with torch.no_grad():
                generated = self._generate(model, real)
            loss = self._loss_of(_judged(model, real), _judged(model, generated))
            update["discriminator"](loss)
            judging.append(loss.detach())
        fooling = _generator_loss(model, self._generate(model, real))
        update["generator"](fooling)
        values = {
            "discriminator_loss": torch.stack(judging).mean(),
            "generator_loss": fooling.detach(),
        }
        return StepOutput(
            values["discriminator_loss"] + values["generator_loss"], len(real), values
        )

    def metrics(self) -> dict[str, Metric]:
        means = ("loss", "generator_loss", "discriminator_loss", "discriminator_accuracy")
        return {**{name: Mean() for name in means}, "frechet_distance": FrechetDistance()}

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        """Measure as many generated samples as real ones; the predictions are about these."""
        assert isinstance(model, nn.ModuleDict)
        real = batch["input"]
        generated = self._generate(model, real)
        logits, logits_too = _judged(model, real), _judged(model, generated)
        values = {
            "discriminator_loss": self._loss_of(logits, logits_too),
            "generator_loss": functional.softplus(-logits_too).mean(),
            "discriminator_accuracy": torch.cat([logits > 0, logits_too <= 0]).float().mean(),
        }
        values["loss"] = values["discriminator_loss"] + values["generator_loss"]
        for name, value in values.items():
            metrics[name].update(value, len(real))
        metrics["frechet_distance"].update(generated, real)
        return _verdicts(logits, targets=[REAL] * len(real))

    def predict(self, model: nn.Module, batch: Batch) -> Predictions:
        """Say of each sample whether the discriminator takes it for a real one."""
        assert isinstance(model, nn.ModuleDict)
        return _verdicts(_judged(model, batch["input"]))

    def _generate(self, model: nn.ModuleDict, real: Tensor) -> Tensor:
        """Return as many samples as there are real ones."""
        latent = torch.randn(len(real), self._latent_size, device=real.device)
        return model["generator"](latent)

    def _loss_of(self, real: Tensor, generated: Tensor) -> Tensor:
        """Return the cross-entropy of the logits of both halves, each a mean."""
        wanted = torch.full_like(real, 1.0 - self._label_smoothing)
        of_real = functional.binary_cross_entropy_with_logits(real, wanted)
        return of_real + functional.softplus(generated).mean()


def _judged(model: nn.ModuleDict, samples: Tensor) -> Tensor:
    """Return one logit a sample: (batch,)."""
    return model["discriminator"](samples).float().flatten()


def _generator_loss(model: nn.ModuleDict, generated: Tensor) -> Tensor:
    """Return the mean of -log D(G(z)), whose gradient does not vanish while D is sure."""
    return functional.softplus(-_judged(model, generated)).mean()


def _verdicts(logits: Tensor, targets: list[str] | None = None) -> Predictions:
    chances = logits.detach().float().sigmoid().cpu().tolist()
    texts = [REAL if chance > 0.5 else GENERATED for chance in chances]
    return Predictions(texts, [max(chance, 1 - chance) for chance in chances], targets)
