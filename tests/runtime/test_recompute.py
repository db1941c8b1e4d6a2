"""Blocks computed again in backward: the same bits, with less kept in between."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runner.errors import ConfigError
from runner.models.convnet import ConvNet
from runner.models.encoder_decoder import EncoderDecoder
from runner.models.mlp import MLP
from runner.runtime.recompute import keep_blocks, recompute_blocks
from tests.training.harness import final_state, journal_of, same, tiny_options, train

PICTURES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
TOKENS = torch.tensor([[3, 4, 5, 6, 7], [8, 7, 6, 0, 0]])


class Residual(nn.Module):
    """A list of blocks with random numbers, running means and an argument given by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block() for _ in range(4))
        self.head = nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = inputs.flatten(1)[:, :8]
        for block in self.blocks:
            hidden = block(hidden, scale=0.5)
        return self.head(hidden)


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.3)

    def forward(self, hidden: Tensor, *, scale: float) -> Tensor:
        return hidden + scale * self.dropout(torch.relu(self.norm(self.linear(hidden))))


def gpt2() -> Any:
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 10, "n_positions": 12, "n_embd": 16, "n_layer": 3, "n_head": 2}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **ends))


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], Tensor]]] = {
    "list of blocks": (Residual, lambda model: model(PICTURES).square().mean()),
    "sequential": (
        lambda: ConvNet(3, width=4, dropout=0.2),
        lambda model: model(PICTURES).square().mean(),
    ),
    "mlp": (lambda: MLP(64, 3, 16, 6, 0.1), lambda model: model(PICTURES).square().mean()),
    "encoder-decoder": (
        lambda: EncoderDecoder(9, 16, 3, 2, dropout=0.2),
        lambda model: model(TOKENS, TOKENS).square().mean(),
    ),
    "transformers": (gpt2, lambda model: model(input_ids=TOKENS, labels=TOKENS).loss),
}


def trained(name: str, *, recompute: bool) -> tuple[dict[str, Tensor], list[float], int]:
    """Return weights and losses of three steps, and the bytes kept for backward in the first."""
    make, loss_of = MODELS[name]
    torch.manual_seed(0)
    model = make()
    if recompute:
        recompute_blocks(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses, kept = [], 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.nbytes if not losses and not isinstance(tensor, nn.Parameter) else 0
        return tensor

    for _ in range(3):
        optimizer.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = loss_of(model)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model.state_dict(), losses, kept


@pytest.mark.parametrize("name", MODELS)
def test_losses_weights_and_running_means_keep_their_bits_and_less_is_kept(name: str) -> None:
    plain, again = trained(name, recompute=False), trained(name, recompute=True)
    assert list(plain[0]) == list(again[0]), "the names in a checkpoint"
    assert same(plain[0], again[0])
    assert plain[1] == again[1]
    assert again[2] < 0.8 * plain[2]


@pytest.mark.parametrize("name", MODELS)
def test_it_is_undone(name: str) -> None:
    model = MODELS[name][0]()
    before = [set(vars(module)) for module in model.modules()]
    recompute_blocks(model)
    assert any(
        "forward" in vars(module) or getattr(module, "gradient_checkpointing", False)
        for module in model.modules()
    )
    keep_blocks(model)
    assert not any("forward" in vars(module) for module in model.modules())
    assert not any(getattr(m, "gradient_checkpointing", False) for m in model.modules())
    if name != "transformers":  # which keeps the function that it was told
        assert before == [set(vars(module)) for module in model.modules()]


def test_a_copy_computes_with_its_own_weights() -> None:
    model = Residual().eval()
    recompute_blocks(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.blocks.parameters():
            parameter.zero_()
    assert not torch.equal(other(PICTURES), model(PICTURES))
    assert all(block.forward.args[0] is block for block in other.blocks)


def test_an_evaluation_computes_nothing_twice() -> None:
    model, calls = Residual().eval(), []
    model.blocks[0].linear.register_forward_hook(lambda *_: calls.append(1))
    recompute_blocks(model)
    with torch.inference_mode():
        model(PICTURES)
    assert calls == [1]
    model(PICTURES).sum().backward()
    assert calls == [1, 1, 1]


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(ConfigError, match="Linear has nothing to compute again"):
        recompute_blocks(nn.Linear(3, 3))
    with pytest.raises(ConfigError, match="nothing to compute again"):
        recompute_blocks(nn.Sequential(nn.Flatten(), nn.ReLU()))


def test_a_training_with_averages_is_the_same_with_it(tmp_path: Path) -> None:
    states = []
    for wanted in (False, True):
        torch.manual_seed(0)
        options = tiny_options(max_epochs=1, ema_decay=0.9, gradient_checkpointing=wanted)
        train(tmp_path / str(wanted), options, model=Residual())
        states.append((final_state(tmp_path / str(wanted)), journal_of(tmp_path / str(wanted))))
    assert same(states[0], states[1])


def test_it_goes_with_any_precision(tmp_path: Path) -> None:
    from runner.config.options import PrecisionOptions

    losses = []
    for wanted in (False, True):
        torch.manual_seed(0)
        options = tiny_options(max_epochs=1, gradient_checkpointing=wanted)
        options = replace(options, precision=PrecisionOptions(autocast="bf16"))
        train(tmp_path / str(wanted), options, model=Residual())
        losses.append(journal_of(tmp_path / str(wanted)))
    assert losses[0] == losses[1]


def test_every_list_of_blocks_is_computed_again() -> None:
    model = EncoderDecoder(9, 16, 3, 2, dropout=0.2)
    recompute_blocks(model)
    lists = [list(one) for one in model.modules() if isinstance(one, nn.ModuleList)]
    assert len(lists) == 2
    assert all("forward" in vars(block) for blocks in lists for block in blocks)


def test_every_part_of_a_model_of_several_is_computed_again() -> None:
    parts = {name: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)) for name in ("one", "two")}
    recompute_blocks(nn.ModuleDict(parts))
    assert all("forward" in vars(part) for part in parts.values())


def test_a_list_within_a_block_is_left_to_its_block() -> None:
    inner = [nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)) for _ in range(3)]
    recompute_blocks(nn.Sequential(*inner))
    assert all(one.forward.func.__name__ == "_once_more" for one in inner)
