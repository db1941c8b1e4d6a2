"""Compiled models: the same checkpoints, and runs that resume exactly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from runner.build import compiling
from runner.config.combinations import check_combinations
from runner.config.options import HardwareOptions, TrainerOptions
from runner.errors import ConfigError, Interrupted
from tests.training.harness import (
    CPU,
    StopAt,
    final_state,
    journal_of,
    same,
    tiny_options,
    tiny_parts,
    train,
)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> list[torch.fx.GraphModule]:
    """Compile with everything but the making of kernels; return the graphs that were compiled."""
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: object) -> object:
        del inputs
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(compiling, "BACKEND", backend)
    torch._dynamo.reset()
    return graphs


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_compiled_runs_resume_exactly_under_the_names_of_the_plain_model(
    eager: list[object], ema_decay: float | None, tmp_path: Path
) -> None:
    options = tiny_options(compile=True, ema_decay=ema_decay, batch_size=5)  # 5, 5, 5, 5, 4
    train(tmp_path / "straight", options)
    assert len(eager) >= 3, "two shapes in training, and an evaluation"
    with pytest.raises(Interrupted):
        train(tmp_path / "resumed", options, callbacks={"stop": StopAt(4)})
    train(tmp_path / "resumed", options)
    assert same(final_state(tmp_path / "straight"), final_state(tmp_path / "resumed"))
    assert journal_of(tmp_path / "straight") == journal_of(tmp_path / "resumed")
    plain = tiny_parts(tiny_options()).model
    plain.load_state_dict(final_state(tmp_path / "resumed")[0])


@pytest.mark.slow  # a C++ compiler runs
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what inductor imports
def test_real_kernels_resume_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch._dynamo.reset()
    options = tiny_options(compile=True, ema_decay=0.9, max_epochs=2, batch_size=5)
    train(tmp_path / "straight", options)
    with pytest.raises(Interrupted):
        train(tmp_path / "resumed", options, callbacks={"stop": StopAt(4)})
    torch._dynamo.reset()  # as in a new process: the smaller shape comes first
    train(tmp_path / "resumed", options)
    assert same(final_state(tmp_path / "straight"), final_state(tmp_path / "resumed"))
    assert journal_of(tmp_path / "straight") == journal_of(tmp_path / "resumed")


def test_a_compiled_model_learns_what_the_plain_one_does(
    eager: list[object], tmp_path: Path
) -> None:
    train(tmp_path / "plain", tiny_options())
    train(tmp_path / "compiled", tiny_options(compile="dynamic"))
    assert eager
    assert same(final_state(tmp_path / "plain")[0], final_state(tmp_path / "compiled")[0])


def test_the_members_of_a_model_without_forward_are_compiled(eager: list[object]) -> None:
    model = nn.ModuleDict({"one": nn.Linear(2, 2), "two": nn.Linear(2, 2)})
    compiling.compile_model(model, True, CPU)
    model["one"](torch.zeros(1, 2))
    assert len(eager) == 1


def test_a_machine_without_a_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, "no-such-compiler"))
    from torch._inductor import cpp_builder

    if hasattr(cpp_builder.get_cpp_compiler, "cache_clear"):
        cpp_builder.get_cpp_compiler.cache_clear()
    cpp_builder.cpp_compiler_search.cache_clear()
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler"):
        compiling.compile_model(nn.Linear(2, 2), True, CPU)


def test_compiling_and_sharding_exclude_each_other() -> None:
    options = replace(
        tiny_options(compile=True), hardware=HardwareOptions(num_processes=2, sharding="fsdp")
    )
    assert "does not go with hardware.sharding=fsdp" in check_combinations(options, None)[0]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"trainer.compile must be true, false or one of"):
        TrainerOptions(compile="fast")
