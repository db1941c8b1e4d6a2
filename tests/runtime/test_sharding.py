import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from runner.errors import ConfigError
from runner.models.crnn import CRNN
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.sharding import clip_gradients, is_sharded, set_gradient_sync, shard
from tests.ranks import results_of

CPU = torch.device("cpu")
COUNT = 2
# How the samples of a step fall to (micro-batch, rank): unevenly, as at the end of an epoch.
PARTS = [[slice(0, 5), slice(5, 8)], [slice(8, 10), slice(10, 11)]]
INPUTS = torch.randn(11, 3, 5, generator=torch.Generator().manual_seed(1))
STEPS = 20


class Net(nn.Module):
    """Containers, one inside another, tied weights across members, and parameters outside."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 7)
        self.layers = nn.ModuleList(
            [nn.Linear(7, 7), nn.Sequential(nn.Linear(7, 7), nn.Tanh()), nn.Tanh(), nn.Linear(7, 7)]
        )
        self.tied = nn.ModuleList([nn.Linear(7, 7), nn.Linear(7, 7)])
        self.tied[1].weight = self.tied[0].weight
        self.frozen = nn.Parameter(torch.ones(1, 7), requires_grad=False)
        self.last = nn.Linear(7, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        values = self.first(inputs) * self.frozen
        for layer in [*self.layers, *self.tied]:
            values = torch.tanh(layer(values))
        return self.last(values)


class Scalar(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.scale


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def sharded(ranks: Ranks) -> Net:
    model = net()
    shard(model, ranks, CPU)
    return model


def loss_of(model: nn.Module, part: slice, step: int = 0) -> Tensor:
    """Return the sum of the losses of some of the samples."""
    return (model(INPUTS[part] + 0.1 * step) - 1).square().sum()


def train(ranks: Ranks | None, *, fused: bool) -> dict[str, Any]:
    """Train as one process, or as one of several ranks that accumulate over two micro-batches."""
    model = net() if ranks is None else sharded(ranks)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, fused=fused)
    result: dict[str, Any] = {"losses": [], "norms": []}
    for step in range(STEPS):
        loss = torch.zeros(())
        if ranks is None:
            (loss_of(model, slice(None), step) / len(INPUTS)).backward()
            loss = loss_of(model, slice(None), step).detach()
        for position, parts in enumerate(PARTS if ranks else ()):
            set_gradient_sync(model, enabled=position == len(PARTS) - 1)
            part_loss = loss_of(model, parts[ranks.rank], step)
            part_loss.backward()
            loss += part_loss.detach()
        if ranks is not None:
            gradients = [p.grad for p in parameters if p.grad is not None]
            torch._foreach_mul_(gradients, ranks.count / len(INPUTS))
        if step == 0:
            result["gradients"] = [whole(p.grad).clone() for p in parameters if p.grad is not None]
        result["norms"].append(clip_gradients(parameters, 1.0).item())
        result["losses"].append(loss.item() / len(INPUTS))
        optimizer.step()
        optimizer.zero_grad()
    return result


def whole(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def work(ranks: Ranks, folder: Path) -> dict[str, Any]:
    return {
        "layout": layout(ranks),
        "training": {fused: train(ranks, fused=fused) for fused in (False, True)},
        "evaluations": evaluations(ranks),
        "in_place": in_place(sharded(ranks)),
        "average": average(ranks),
        "crnn": crnn(ranks),
        "refusals": [refusal(model, ranks) for model in (Scalar(), nn.ModuleDict({"a": net()}))],
    }


def layout(ranks: Ranks) -> dict[str, Any]:
    model = sharded(ranks)
    parameters = list(model.parameters())
    return {
        "are_dtensors": [isinstance(p, DTensor) for p in parameters],
        "own": sum(p.to_local().numel() for p in parameters),
        "all": sum(p.numel() for p in parameters),
        "units": [name for name, module in model.named_modules() if isinstance(module, FSDPModule)],
        "names": list(model.state_dict()),
        "weights": [p.full_tensor() for p in parameters],
        "is_sharded": is_sharded(model),
    }


def evaluations(ranks: Ranks) -> list[Tensor]:
    """Evaluate before any training, change the weights, and evaluate again."""
    model = sharded(ranks)
    outputs = []
    for _ in range(2):
        with torch.inference_mode():
            outputs.append(model(INPUTS).clone())
        loss_of(model, slice(None)).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.5)
    return outputs


def in_place(model: nn.Module) -> list[Tensor]:
    """Return the gradients of a loss that changes the model's output in place."""
    model(INPUTS).mul_(2).square().sum().backward()
    return [whole(p.grad) for p in model.parameters() if p.grad is not None]


def average(ranks: Ranks) -> dict[str, Any]:
    """Return how far an averaged model gets that is evaluated before and after an update."""
    model, averaged = sharded(ranks), sharded(ranks)
    with torch.no_grad():
        averaged(INPUTS)
        for parameter in model.parameters():
            parameter.mul_(2)
        torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 0.25)
        with torch.inference_mode():
            output = averaged(INPUTS)
    return {"weights": [whole(p.detach()) for p in averaged.parameters()], "output": output.clone()}


def crnn(ranks: Ranks) -> dict[str, Any]:
    """Return what a network of channels_last convolutions and a GRU reads, whole and sharded."""
    torch.manual_seed(0)
    model = CRNN(num_classes=4, height=16, width=2, hidden_size=6).eval()
    pictures = torch.rand(2, 1, 16, 32) * 255
    expected = model(pictures).detach()
    shard(model, ranks, CPU)
    output = model(pictures)
    output.sum().backward()
    return {"expected": expected, "output": output.detach()}


def refusal(model: nn.Module, ranks: Ranks) -> str:
    with pytest.raises(ConfigError) as caught:
        shard(model, ranks, CPU)
    return str(caught.value)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return results_of(work, count=COUNT, folder=tmp_path_factory.mktemp("ranks"))


def test_a_rank_holds_a_part_of_each_parameter(results: list[dict[str, Any]]) -> None:
    for result in results:
        layout = result["layout"]
        assert layout["is_sharded"]
        assert all(layout["are_dtensors"])
        assert layout["own"] < 0.6 * layout["all"]
    assert sum(result["layout"]["own"] for result in results) == results[0]["layout"]["all"]
    assert not is_sharded(net())


def test_members_of_outer_containers_are_units_unless_they_share_parameters(
    results: list[dict[str, Any]],
) -> None:
    assert results[0]["layout"]["units"] == ["", "layers.0", "layers.1", "layers.3"]


def test_names_and_first_weights_are_those_of_the_plain_module(
    results: list[dict[str, Any]],
) -> None:
    assert results[0]["layout"]["names"] == list(net().state_dict())
    for result in results:
        for weight, expected in zip(result["layout"]["weights"], net().parameters(), strict=True):
            assert torch.equal(weight, expected)


@pytest.mark.parametrize("fused", [False, True])
def test_two_ranks_train_as_one_process_does(results: list[dict[str, Any]], fused: bool) -> None:
    expected, trained = train(None, fused=fused), [r["training"][fused] for r in results]
    for gradient, other in zip(trained[0]["gradients"], expected["gradients"], strict=True):
        torch.testing.assert_close(gradient, other)
    losses = [sum(both) for both in zip(*(rank["losses"] for rank in trained), strict=True)]
    torch.testing.assert_close(losses, expected["losses"], rtol=1e-5, atol=0)
    for rank in trained:  # the norm is that over all ranks, on each of them
        torch.testing.assert_close(rank["norms"], expected["norms"], rtol=1e-5, atol=0)
    assert losses[-1] < 0.8 * losses[0]


def test_an_evaluation_sees_the_weights_of_its_time_and_does_not_disturb_training(
    results: list[dict[str, Any]],
) -> None:
    model = net()
    for output in results[0]["evaluations"]:
        torch.testing.assert_close(output, model(INPUTS))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.5)


def test_an_output_may_be_changed_in_place(results: list[dict[str, Any]]) -> None:
    for gradient, expected in zip(results[0]["in_place"], in_place(net()), strict=True):
        torch.testing.assert_close(gradient, expected)


def test_averaged_weights_are_updated_part_by_part(results: list[dict[str, Any]]) -> None:
    expected = copy.deepcopy(net())
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter.mul_(1.25)
    for weight, other in zip(results[0]["average"]["weights"], expected.parameters(), strict=True):
        torch.testing.assert_close(weight, other)
    torch.testing.assert_close(results[0]["average"]["output"], expected(INPUTS))


def test_channels_last_convolutions_and_a_gru_can_be_sharded(
    results: list[dict[str, Any]],
) -> None:
    torch.testing.assert_close(results[0]["crnn"]["output"], results[0]["crnn"]["expected"])


def test_a_model_that_cannot_be_sharded_is_refused_with_the_reason(
    results: list[dict[str, Any]],
) -> None:
    scalar, no_forward = results[0]["refusals"]
    assert "hardware.sharding=fsdp" in scalar and "Change scale to a 1D tensor" in scalar
    assert "ModuleDict has no forward" in no_forward


def test_one_rank_and_devices_without_collectives_are_refused() -> None:
    with pytest.raises(ConfigError, match="hardware.num_processes to 2 or more"):
        shard(net(), ALONE, CPU)
    with pytest.raises(ConfigError, match="not on mps"):
        shard(net(), Ranks(count=2), torch.device("mps"))


def test_a_run_that_is_not_sharded_does_not_wait_for_the_import_of_what_shards() -> None:
    program = (
        "import sys, runner.training.loop\n"
        "heavy = ('torch.distributed.fsdp', 'torch.distributed.tensor')\n"
        "sys.exit(', '.join(name for name in heavy if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.strip() == ""
