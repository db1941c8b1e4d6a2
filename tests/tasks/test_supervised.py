"""`Supervised` and the tasks that stand on it."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from runner.errors import ConfigError, DataError
from runner.tasks.autoencoder import Autoencoder
from runner.tasks.classification import Classification
from runner.tasks.distillation import Distillation
from runner.tasks.regression import Regression
from runner.tasks.supervised import Supervised
from runner.tasks.task import Predictions, Task

INPUTS = torch.tensor([[4.0, 0.0], [0.0, 4.0], [4.0, 0.0]])
CLASSES = torch.tensor([0, 1, 1])
WEIGHT = torch.tensor([1.0, 0.5, 2.0])


def evaluated(task: Task, model: nn.Module, batch: Any) -> tuple[Predictions, Mapping[str, float]]:
    metrics = task.metrics()
    predictions = task.evaluation_step(model, task.prepare(batch), metrics)
    return predictions, {name: metric.compute() for name, metric in metrics.items()}


def test_regression_measures_numbers() -> None:
    model = nn.Linear(2, 1)
    target = torch.tensor([1.0, 2.0, 3.0])
    predictions, values = evaluated(Regression(), model, (INPUTS, target))
    error = model(INPUTS).flatten() - target
    assert values["loss"] == pytest.approx((error**2).mean().item())
    assert values["mae"] == pytest.approx(error.abs().mean().item())
    variance = ((target - 2) ** 2).sum()
    assert values["r2"] == pytest.approx(1 - ((error**2).sum() / variance).item())
    assert predictions.targets == ["1", "2", "3"]


def test_any_loss_and_metrics_by_name() -> None:
    task = Supervised("cross_entropy", {"accuracy": {}, "f1": {"num_classes": 2}})
    predictions, values = evaluated(task, nn.Identity(), (INPUTS, CLASSES))
    assert values["accuracy"] == 2 / 3
    assert values["f1"] == pytest.approx(2 / 3)
    assert predictions.texts == ["0", "1", "0"]


@pytest.mark.parametrize("task", [Classification(2), Supervised("cross_entropy", ["accuracy"])])
def test_weights_of_samples_weigh_loss_and_step(task: Supervised) -> None:
    batch = task.prepare((INPUTS, CLASSES, WEIGHT))
    output = task.training_step(nn.Identity(), batch)
    each = functional.cross_entropy(INPUTS, CLASSES, reduction="none")
    assert output.loss.item() == pytest.approx(((each * WEIGHT).sum() / 3.5).item())
    assert output.num_targets == 3.5
    _, values = evaluated(
        task, nn.Identity(), {"image": INPUTS, "target": CLASSES, "weight": WEIGHT}
    )
    assert values["loss"] == pytest.approx(output.loss.item())


IGNORING = torch.tensor([0, -100, 1])


@pytest.mark.parametrize("task", [Classification(2), Supervised("cross_entropy", ["accuracy"])])
def test_ignored_labels_count_nowhere(task: Supervised) -> None:
    model = nn.Identity()
    output = task.training_step(model, task.prepare((INPUTS, IGNORING)))
    assert output.num_targets == 2
    assert output.loss.item() == pytest.approx(functional.cross_entropy(INPUTS, IGNORING).item())
    metrics = task.metrics()
    for part in (slice(0, 1), slice(1, 2), slice(2, 3)):
        task.evaluation_step(model, task.prepare((INPUTS[part], IGNORING[part])), metrics)
    assert metrics["loss"].compute() == pytest.approx(output.loss.item())
    assert metrics["accuracy"].compute() == 0.5


@pytest.mark.parametrize("weight", [(), (WEIGHT,)])
@pytest.mark.parametrize(
    "task", [Classification(2), Supervised("cross_entropy"), Distillation(nn.Linear(2, 2), 2)]
)
def test_a_batch_of_which_nothing_counts_is_a_zero(
    task: Supervised, weight: tuple[Tensor, ...]
) -> None:
    model = nn.Linear(2, 2)
    batch = task.prepare((INPUTS, torch.full((3,), -100), *weight))
    output = task.training_step(model, batch)
    output.loss.backward()
    assert output.loss.item() == 0.0 and output.num_targets == 0
    assert model.weight.grad is not None and not model.weight.grad.any()


@pytest.mark.parametrize("loss", ["cross_entropy", {"cross_entropy": {"weight": [1.0, 5.0]}}])
def test_micro_batches_of_weighted_samples_give_the_gradient_of_the_whole(loss: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, target = torch.randn(16, 2, generator=generator), torch.arange(16) % 2
    weight = torch.rand(16, generator=generator)
    task, model = Supervised(loss), nn.Linear(2, 2)
    whole = task.training_step(model, task.prepare((inputs, target, weight)))
    (wanted,) = torch.autograd.grad(whole.loss, model.weight)
    halves = [
        task.training_step(model, task.prepare((inputs[part], target[part], weight[part])))
        for part in (slice(0, 8), slice(8, 16))
    ]
    total = sum(half.num_targets for half in halves)
    each = torch.stack([half.loss * half.num_targets for half in halves])
    (found,) = torch.autograd.grad(each.sum() / total, model.weight)
    assert torch.allclose(found, wanted, atol=1e-6)


def test_a_mapping_without_input_is_given_by_name() -> None:
    class Sum(nn.Module):
        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return left + right

    task = Supervised("mse")
    batch = task.prepare({"left": INPUTS, "right": INPUTS, "target": 2 * INPUTS})
    assert task.training_step(Sum(), batch).loss.item() == 0.0
    assert task.predict(Sum(), {"left": INPUTS, "right": INPUTS}).texts[0] == "8 0"


def test_a_subclass_may_return_more_to_log() -> None:
    class WithNorm(Regression):
        def loss_of(self, output: Any, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
            loss = super().loss_of(output, batch)
            assert isinstance(loss, Tensor)
            return loss, {"norm": output.norm()}

    task = WithNorm()
    output = task.training_step(nn.Identity(), task.prepare((INPUTS, INPUTS)))
    assert output.values["norm"].item() == INPUTS.norm().item()


def test_a_batch_of_no_known_form_is_told() -> None:
    with pytest.raises(DataError, match=r"\(inputs, targets\)"):
        Supervised("mse").prepare((INPUTS,))


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (["acuracy"], "did you mean 'accuracy'"),
        ({"f1": {}}, "num_classes"),
        ({"f1": {"num_classes": 2, "average": "makro"}}, "did you mean 'macro'"),
        ({"top_k_accuracy": {"n": 3}}, "unexpected keyword argument 'n'"),
        ({"top_k_accuracy": {"k": 0}}, "k must be >= 1"),
    ],
)
def test_metrics_that_are_not_there_are_told(metrics: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Supervised("cross_entropy", metrics)


def test_an_autoencoder_is_judged_by_its_input() -> None:
    task = Autoencoder()
    batch = task.prepare((INPUTS, CLASSES))
    assert task.training_step(nn.Identity(), batch).loss.item() == 0.0
    assert task.prepare(INPUTS)["target"] is INPUTS


def test_a_variational_code_costs_its_divergence() -> None:
    class Coder(nn.Module):
        def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            code = torch.full((len(inputs), 4), 0.5)
            return inputs, code, torch.full_like(code, 0.2)

    task = Autoencoder(beta=0.5)
    output = task.training_step(Coder(), task.prepare(INPUTS))
    normal = torch.distributions.Normal
    one = torch.distributions.kl_divergence(
        normal(0.5, torch.tensor(0.2).exp().sqrt()), normal(0.0, 1.0)
    )
    divergence = 4 * one.item() / 2  # four numbers of code, two of input
    assert output.values["divergence"].item() == pytest.approx(divergence)
    assert output.loss.item() == pytest.approx(0.5 * divergence)
    _, values = evaluated(task, Coder(), INPUTS)
    assert values["reconstruction"] == 0.0


def test_a_student_of_its_own_teacher_has_nothing_to_learn_but_the_truth() -> None:
    teacher = nn.Linear(2, 2)
    task = Distillation(teacher, num_classes=2, temperature=3.0, alpha=0.7)
    output = task.training_step(teacher, task.prepare((INPUTS, CLASSES)))
    assert output.values["soft_loss"].item() == pytest.approx(0.0, abs=1e-6)
    assert output.loss.item() == pytest.approx(0.3 * output.values["hard_loss"].item(), abs=1e-6)


def test_the_teacher_is_not_trained() -> None:
    teacher, student = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), nn.Linear(2, 2)
    task = Distillation(teacher.train(), num_classes=2)
    task.training_step(student, task.prepare((INPUTS, CLASSES, WEIGHT))).loss.backward()
    assert not teacher.training and all(p.grad is None for p in teacher.parameters())
    assert student.weight.grad is not None


def test_the_teacher_is_built_at_the_first_step_and_draws_no_number_of_the_run() -> None:
    built: list[nn.Module] = []

    def teacher() -> nn.Module:
        built.append(nn.Linear(2, 2))
        return built[-1]

    task = Distillation(teacher, num_classes=2)
    task.predict(nn.Identity(), task.prepare({"input": INPUTS}))
    assert not built
    state = torch.get_rng_state()
    for _ in range(2):
        task.training_step(nn.Identity(), task.prepare((INPUTS, CLASSES)))
    assert len(built) == 1 and torch.equal(state, torch.get_rng_state())


def test_a_teacher_of_other_classes_is_told() -> None:
    task = Distillation(nn.Linear(2, 5), num_classes=2)
    with pytest.raises(ConfigError, match="the same classes"):
        task.training_step(nn.Linear(2, 2), task.prepare((INPUTS, CLASSES)))
