"""A model as ONNX, which other languages and runtimes read; in float32, on the CPU."""

import json
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from runner.errors import RunError
from runner.inference.call import StandIn, first_line
from runner.inference.traced import Traced, quiet

FILE = "model.onnx"


def save_onnx(traced: Traced, path: Path) -> StandIn:
    """Write the program to `path` as ONNX, and return what was written as a model."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _needed(package)
    try:
        with quiet():
            made = torch.onnx.export(
                traced.program,
                dynamo=True,
                verbose=False,
                input_names=traced.input_names,
                output_names=traced.output_names,
            )
            assert made is not None
            made.save(str(path))
            _tell(path, traced)
    except Exception as error:  # of many kinds, whatever the model does
        raise RunError(f"ONNX has no form for it: {first_line(error)}") from error
    return load_onnx(path)


def load_onnx(path: Path) -> StandIn:
    """Return the ONNX model at `path`, to be called as the model that it was made of."""
    runtime = _needed("onnxruntime")
    if not path.is_file():
        raise RunError(
            f"there is no {path}: python -m runner export RUN_DIR --onnx writes one into the "
            "folder that is then read"
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors alone
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds
        raise RunError(f"{path} cannot be read as ONNX: {first_line(error)}") from error
    inputs = [given.name for given in session.get_inputs()]
    outputs = [given.name for given in session.get_outputs()]

    def compute(tensors: Sequence[Tensor]) -> list[Tensor]:
        named = {n: t.detach().cpu().numpy() for n, t in zip(inputs, tensors, strict=True)}
        return [torch.from_numpy(array) for array in session.run(outputs, named)]

    return StandIn(compute, inputs, outputs)


def _tell(path: Path, traced: Traced) -> None:
    """Write into the file what is known of the model, and call its free size by its name."""
    onnx = _needed("onnx")
    model = onnx.load(str(path), load_external_data=False)
    for key, value in traced.facts.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        model.metadata_props.add(key=key, value=text)
    if traced.takes_any_batch:
        _call_batch(model.graph)
    onnx.save(model, str(path))


def _call_batch(graph: Any) -> None:
    """Let the first size of the inputs be called "batch", wherever it is found again."""
    values = [*graph.input, *graph.output, *graph.value_info]
    shapes = [value.type.tensor_type.shape.dim for value in values]
    symbols = {dims[0].dim_param for dims in shapes[: len(graph.input)] if dims}
    for size in (size for dims in shapes for size in dims if size.dim_param):
        words = re.split(r"(\w+)", size.dim_param)
        size.dim_param = "".join("batch" if word in symbols else word for word in words)


def _needed(package: str) -> ModuleType:
    try:
        return import_module(package)
    except ImportError as error:
        raise RunError(f"ONNX needs {package}: pip install 'runner[onnx]'") from error
