"""A model as a program that needs none of its code: torch.export's, in float32."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from runner.errors import RunError
from runner.inference.call import Call, Positional, StandIn, first_line

FILE = "model.pt2"


@dataclass(frozen=True)
class Traced:
    """A program with the names of what goes in and comes out."""

    program: ExportedProgram
    input_names: list[str]
    output_names: list[str]
    facts: Mapping[str, Any] = field(default_factory=dict)  # plain values, written into the file

    @property
    def takes_any_batch(self) -> bool:
        """Return whether the number of samples, the first size of each input, is free."""
        nodes = {node.name: node for node in self.program.graph.nodes if node.op == "placeholder"}
        taken = self.program.graph_signature.user_inputs
        shapes = [nodes[str(name)].meta["val"].shape for name in taken]
        return all(not isinstance(shape[0], int) for shape in shapes if len(shape))


def trace(model: nn.Module, call: Call, *, only_batch: bool = False) -> Traced:
    """Return `model`, called as in `call`, as a program; RunError with the reason if it cannot be.

    Every size of an input is free that the model lets be, but those of 1; with `only_batch` that is
    the first one alone.
    """
    positional = Positional(model, call).eval()
    tensors = tuple(tensor.clone() for tensor in call.tensors.values())  # out of inference mode
    sizes = tuple(_sizes(tensor, only_batch=only_batch) for tensor in tensors)
    try:
        with quiet(), torch.no_grad():
            output_names = list(positional.named(*tensors))
            program = torch.export.export(positional, tensors, dynamic_shapes=(sizes,))
    except Exception as error:  # of many kinds, whatever the model does
        raise RunError(f"torch.export cannot follow it: {first_line(error)}") from error
    return Traced(program, list(call.tensors), output_names)


def save_traced(traced: Traced, path: Path) -> StandIn:
    """Write the program to `path`, and return what was written as a model."""
    with quiet():
        torch.export.save(traced.program, path)
        module = torch.export.load(path).module()

    def compute(tensors: list[Tensor]) -> tuple[Tensor, ...]:
        return module(*tensors)

    return StandIn(compute, traced.input_names, traced.output_names)  # type: ignore[arg-type]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to themselves what torch's exporters say of their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _sizes(tensor: Tensor, *, only_batch: bool) -> dict[int, object]:
    sizes = list(enumerate(tensor.shape))[: 1 if only_batch else None]
    return {place: Dim.AUTO for place, size in sizes if size > 1}
