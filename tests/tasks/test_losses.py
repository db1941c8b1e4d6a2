"""Losses by name."""

import pytest
import torch
from torch import nn

from runner.errors import ConfigError, DataError
from runner.tasks.losses import LOSSES, OF_CLASSES, Loss

CLASSES = torch.tensor([1, 2])
OUTPUT = torch.tensor([[0.2, 0.7, 0.1], [0.9, 0.3, 0.5]])


def target_for(name: str) -> torch.Tensor:
    if name in OF_CLASSES:
        return torch.tensor([1, 2])
    return torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
def test_every_name_is_the_loss_of_torch_and_weights_of_one_change_nothing(name: str) -> None:
    target = target_for(name)
    plain = Loss(name)(OUTPUT, target)
    assert plain.item() == LOSSES[name]()(OUTPUT, target).item()
    assert Loss(LOSSES[name].__name__).name == name
    if name != "kl_div":  # of which torch's mean is one over all numbers
        assert Loss(name)(OUTPUT, target, torch.ones(2)).item() == pytest.approx(plain.item())


def test_a_weight_counts_a_sample_as_often() -> None:
    twice = torch.cat([OUTPUT, OUTPUT[:1]]), torch.tensor([1, 2, 1])
    weighted = Loss("cross_entropy")(OUTPUT, torch.tensor([1, 2]), torch.tensor([2.0, 1.0]))
    assert weighted.item() == pytest.approx(nn.CrossEntropyLoss()(*twice).item())


def test_arguments_objects_and_functions() -> None:
    target = target_for("huber")
    expected = nn.HuberLoss(delta=0.3)(OUTPUT, target).item()
    assert Loss({"huber": {"delta": 0.3}})(OUTPUT, target).item() == expected
    assert Loss(nn.HuberLoss(delta=0.3))(OUTPUT, target).item() == expected
    each = Loss(lambda output, target: (output - target).abs().sum(dim=1))
    assert each(OUTPUT, target).item() == pytest.approx((OUTPUT - target).abs().sum().item() / 2)
    weighted = each(OUTPUT, target, torch.tensor([0.0, 3.0]))
    assert weighted.item() == pytest.approx((OUTPUT - target)[1].abs().sum().item())


def test_numbers_are_compared_one_by_one_whatever_their_shape() -> None:
    loss = Loss("mse")(torch.tensor([[1.0], [2.0]]), torch.tensor([1, 2]))
    assert loss.item() == 0.0  # to torch (2, 1) and (2,) are four pairs
    half = Loss("mse")(torch.tensor([[1.0]]).bfloat16(), torch.tensor([[3.0]]))
    assert half.dtype == torch.float32


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("cross_entrpy", "did you mean 'cross_entropy'"),
        ({"huber": {"dleta": 1}}, "task.loss.huber"),
        ({"huber": {}, "mse": {}}, "one name with its arguments"),
        (3, "a name or a function"),
        (nn.MSELoss, r"make one: MSELoss\(\)"),
        (nn.Linear(2, 2), "has parameters of its own"),
        (nn.MSELoss(reduction="sum"), "a reduction of its own"),
    ],
)
def test_mistakes_are_told(wrong: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Loss(wrong)  # type: ignore[arg-type]


def test_shapes_that_torch_would_spread_are_told() -> None:
    for output, target in (((6, 6), (6,)), ((6, 4), (4, 6))):
        with pytest.raises(DataError, match="need one shape"):
            Loss("mse")(torch.zeros(output), torch.zeros(target))


def test_samples_that_all_count_nothing_make_no_nan() -> None:
    loss = Loss("cross_entropy")(OUTPUT, torch.tensor([0, 1]), torch.zeros(2))
    assert loss.item() == 0.0


def test_what_counts_in_the_mean_of_torch_is_counted() -> None:
    target = torch.tensor([[0, -100, 1], [2, 2, -100]])
    assert Loss("cross_entropy").counts(target) == [2.0, 2.0]
    weighted = Loss({"cross_entropy": {"weight": [1.0, 2.0, 4.0]}})
    assert weighted.counts(target) == [3.0, 8.0]
    assert weighted.counts(torch.tensor([1, 2])) == [2.0, 4.0]
    assert Loss("cross_entropy").counts(torch.tensor([1, 2])) is None
    assert Loss("mse").counts(target) is None
    expected = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 4.0]))
    assert weighted(OUTPUT, CLASSES).item() == expected(OUTPUT, CLASSES).item()


@pytest.mark.parametrize(
    "loss",
    [
        {"cross_entropy": {"weight": [1.0, 5.0, 1.0]}},
        {"cross_entropy": {"weight": [1.0, 5.0, 1.0], "ignore_index": 255}},
        {"cross_entropy": {"weight": [1.0, 5.0, 1.0], "label_smoothing": 0.2}},
        {"nll": {"weight": [1.0, 5.0, 1.0]}},
        {"multi_margin": {"weight": [1.0, 5.0, 1.0]}},
        "cross_entropy",
    ],
)
def test_weights_of_one_change_nothing_about_the_weights_of_classes(loss: object) -> None:
    generator = torch.Generator().manual_seed(0)
    for classes in ([1, 2, 0, 1], [1, 255, 0, 1], [1, -100, 0, 1]):
        is_named = "ignore_index" in str(loss)
        if (255 in classes) != is_named or ("margin" in str(loss) and -100 in classes):
            continue
        output, target = torch.randn(4, 3, generator=generator), torch.tensor(classes)
        made = Loss(loss)  # type: ignore[arg-type]
        ones = torch.ones(4)
        plain = made(output, target)
        assert made(output, target, ones).item() == pytest.approx(plain.item())
        assert sum(made.counts(target, ones) or ()) == sum(made.counts(target) or ones.tolist())


def test_a_label_that_is_ignored_counts_nothing_and_probabilities_count_one_a_sample() -> None:
    assert Loss("cross_entropy").counts(torch.tensor([1, -100])) == [1.0, 0.0]
    shares = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    weighted = Loss({"cross_entropy": {"weight": [1.0, 5.0, 1.0]}})
    assert weighted.counts(shares) is None
    ones = weighted(OUTPUT, shares, torch.ones(2))
    assert ones.item() == pytest.approx(weighted(OUTPUT, shares).item())


def test_weights_need_a_loss_for_each_sample() -> None:
    mean = Loss(lambda output, target: (output - target).mean())
    with pytest.raises(ConfigError, match="a loss for each sample"):
        mean(OUTPUT, OUTPUT, torch.ones(2))
