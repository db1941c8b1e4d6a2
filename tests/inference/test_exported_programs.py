"""What is exported is compared with the original, and computes what it does."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from runner.errors import RunError
from runner.inference import onnx_model
from runner.inference.call import StandIn, watch
from runner.inference.export_check import Original, check_exported
from runner.inference.onnx_model import load_onnx, save_onnx
from runner.inference.traced import save_traced, trace
from runner.tasks.classification import Classification
from runner.tasks.huggingface import HuggingFace


class Named(nn.Module):
    """Called by names, one of them for no tensor; returns a mapping, as Hugging Face's models."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, *, shift, values, labels=None, times=1):
        logits = self.inner(values) * times + shift
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits}


class Branching(nn.Module):
    def forward(self, values):
        return values if values.sum() > 0 else -values


def original(model, task, batches):
    return Original(model=model.eval(), task=task, batches=batches, autocast=nullcontext)


def named_batches(*sizes):
    torch.manual_seed(0)
    make = {"values": (3,), "shift": (2,)}
    return [
        {name: torch.randn(size, *shape) for name, shape in make.items()} | {"times": 2}
        for size in sizes
    ]


@pytest.mark.parametrize("save", [save_traced, save_onnx])
def test_a_model_called_by_names_is_the_same_in_batches_of_any_size(save, tmp_path):
    wanted = original(Named(), HuggingFace("classes"), named_batches(4, 3))
    call, _ = watch(wanted.model, wanted.task, wanted.batches[0], autocast=nullcontext)
    assert list(call.tensors) == ["values", "shift"] and call.constants == {"times": 2}
    program = trace(wanted.model, call)
    assert program.takes_any_batch
    suffix = ".pt2" if save is save_traced else ".onnx"
    exported = save(program, tmp_path / f"model{suffix}")
    checked = check_exported(wanted, exported, any_batch=True)
    assert checked.num_samples == 7 and checked.num_own == 0
    assert checked.difference < 1e-6


def test_another_model_than_the_original_is_found_out(tmp_path):
    batches = [{"input": torch.randn(4, 3)}]
    model, task = nn.Linear(3, 2), Classification(2)
    wanted = original(model, task, batches)

    def close(tensors):
        return [model(tensors[0]) + 0.01]

    with pytest.raises(RunError, match=r"its output differs from the original's by 0\.01"):
        check_exported(wanted, StandIn(close, ["input"], ["output"]), any_batch=False)

    def turned(tensors):
        return [-model(tensors[0])]

    with pytest.raises(RunError, match="it predicts 4 of 4 samples otherwise"):
        check_exported(wanted, StandIn(turned, ["input"], ["output"]), any_batch=False)

    def fixed(tensors):
        return [model(tensors[0].reshape(4, 3))]

    exported = StandIn(fixed, ["input"], ["output"])
    assert check_exported(wanted, exported, any_batch=False).difference == 0
    with pytest.raises(RunError, match=r"it does not run with input \(1, 3\)"):
        check_exported(wanted, exported, any_batch=True)


def test_what_cannot_be_exported_is_told_in_a_sentence(tmp_path, monkeypatch):
    task, batch = Classification(2), {"input": torch.randn(4, 2)}
    call, _ = watch(Branching(), task, batch, autocast=nullcontext)
    with pytest.raises(RunError, match=r"^torch\.export cannot follow it: .*[^\n]$"):
        trace(Branching(), call)
    parts = nn.ModuleDict({"generator": nn.Linear(2, 2)})
    with pytest.raises(RunError, match="Classification does more with its ModuleDict than call"):
        watch(parts, task, batch, autocast=nullcontext)

    def no_package(name):
        raise ImportError(name)

    monkeypatch.setattr(onnx_model, "import_module", no_package)
    with pytest.raises(RunError, match=r"ONNX needs onnxruntime: pip install 'runner\[onnx\]'"):
        load_onnx(tmp_path / "model.onnx")


def test_a_file_that_is_no_onnx_model_is_refused(tmp_path):
    with pytest.raises(RunError, match="export RUN_DIR --onnx"):
        load_onnx(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(RunError, match="cannot be read as ONNX"):
        load_onnx(tmp_path / "model.onnx")
