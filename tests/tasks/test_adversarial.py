from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from runner.data.data import Data
from runner.errors import ConfigError
from runner.models.gan import GAN
from runner.tasks.adversarial import Adversarial
from tests.training.harness import tiny_options, train


class Judge(nn.Module):
    """Gives the mean of a sample as its logit."""

    def forward(self, samples: Tensor) -> Tensor:
        return samples.flatten(1).mean(1, keepdim=True)


def fixed() -> nn.ModuleDict:
    """A generator that copies its two numbers, which are then judged by their mean."""
    return nn.ModuleDict({"generator": nn.Identity(), "discriminator": Judge()})


def losses(task: Adversarial, real: Tensor) -> tuple[list[str], dict[str, float]]:
    """Return the updates of one step, in order, and the losses they were given."""
    order, seen = [], {}

    def update(name: str, loss: Tensor) -> None:
        order.append(name)
        seen[name] = loss.item()

    updates = {name: partial(update, name) for name in ("generator", "discriminator")}
    torch.manual_seed(0)
    output = task.alternating_step(fixed(), {"input": real}, updates)  # type: ignore[arg-type]
    assert output.num_targets == len(real)
    assert output.loss.item() == pytest.approx(sum(v.item() for v in output.values.values()))
    return order, seen


def test_the_losses_are_those_of_goodfellow() -> None:
    real = torch.randn(5, 2)
    order, seen = losses(Adversarial(latent_size=2), real)
    torch.manual_seed(0)
    first, second = torch.randn(5, 2).mean(1), torch.randn(5, 2).mean(1)
    assert order == ["discriminator", "generator"]
    judged = -real.mean(1).sigmoid().log().mean() - (1 - first.sigmoid()).log().mean()
    assert seen["discriminator"] == pytest.approx(judged.item(), rel=1e-5)
    fooled = -second.sigmoid().log().mean()
    assert seen["generator"] == pytest.approx(fooled.item(), rel=1e-5)


def test_smoothed_labels_and_more_steps_of_the_discriminator() -> None:
    real = torch.randn(5, 2)
    order, seen = losses(Adversarial(latent_size=2, label_smoothing=0.1), real)
    torch.manual_seed(0)
    generated = torch.randn(5, 2).mean(1)
    chance = real.mean(1).sigmoid()
    smoothed = -(0.9 * chance.log() + 0.1 * (1 - chance).log()).mean()
    judged = smoothed - (1 - generated.sigmoid()).log().mean()
    assert seen["discriminator"] == pytest.approx(judged.item(), rel=1e-5)
    order, _ = losses(Adversarial(latent_size=2, discriminator_steps=3), real)
    assert order == ["discriminator"] * 3 + ["generator"]


def test_predictions_say_what_the_discriminator_takes_for_real() -> None:
    task, real = Adversarial(latent_size=2), torch.tensor([[2.0, 2.0], [-2.0, 0.0]])
    predictions = task.predict(fixed(), {"input": real})
    assert predictions.texts == ["real", "generated"]
    assert predictions.confidences == pytest.approx([0.8808, 0.7311], abs=1e-4)
    metrics = task.metrics()
    torch.manual_seed(0)
    assert task.evaluation_step(fixed(), {"input": real}, metrics).targets == ["real", "real"]
    generated = torch.manual_seed(0) and torch.randn(2, 2).mean(1)
    right = (1 + (generated <= 0).float().sum()) / 4
    assert metrics["discriminator_accuracy"].compute() == pytest.approx(right.item())


@pytest.mark.parametrize(
    "batch", [torch.ones(2, 3), [torch.ones(2, 3), 0], {"image": torch.ones(2, 3), "text": "a"}]
)
def test_samples_come_in_many_forms(batch: Any) -> None:
    assert torch.equal(Adversarial(latent_size=2).prepare(batch)["input"], torch.ones(2, 3))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"latent_size": 0}, "task.latent_size must be >= 1"),
        ({"latent_size": 1, "discriminator_steps": 0}, "task.discriminator_steps must be >= 1"),
        ({"latent_size": 1, "label_smoothing": 0.5}, "task.label_smoothing must be >= 0 and"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Adversarial(**arguments)


def test_samples_under_another_key_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match="under 'input' or 'image', and the batch has x, y"):
        Adversarial(latent_size=2).prepare({"x": 1, "y": 2})


def test_it_learns_to_make_points_on_a_ring(tmp_path: Path) -> None:
    angles = torch.arange(512) * (2 * torch.pi / 512)
    points = torch.stack([angles.cos() + 3.0, angles.sin()], dim=1)
    torch.manual_seed(0)
    model = GAN(latent_size=4, shape=[2], hidden_size=32)
    adam = partial(torch.optim.Adam, lr=3e-3, betas=(0.5, 0.99), fused=True)
    result = train(
        tmp_path,
        tiny_options(
            batch_size=64, max_epochs=60, ema_decay=0.98, evaluate_every=None, test_at_end=False
        ),
        model=model,
        task=Adversarial(latent_size=4),
        data=Data(train=TensorDataset(points), evaluation=TensorDataset(points)),
        optimizer={"generator": adam, "discriminator": adam},
        scheduler=None,
    )
    assert result.evaluation["frechet_distance"] < 0.4  # of a point in the middle 1, of one at 0 10
