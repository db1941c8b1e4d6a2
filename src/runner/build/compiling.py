"""`trainer.compile`: let torch.compile make the kernels of a model.

In place, so that weights keep their names, and a checkpoint fits a model that is not compiled.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from runner.errors import ConfigError

BACKEND = "inductor"
_MOST_SHAPES = 64  # of the inputs of one model, each compiled for itself


def compile_model(model: nn.Module, how: bool | str, device: torch.device) -> None:
    """Compile the forward pass of `model` in place, when it is called first.

    Each shape is compiled for itself, or with `how="dynamic"` all of them at once: never one or the
    other by what came before, which a resumed run would not know of. ConfigError where there is no
    compiler. A model without a forward, such as an nn.ModuleDict, has its members compiled.
    """
    if how is False:
        return
    _check_compiler(device)
    is_dynamic = how == "dynamic"
    # Else what comes after so many shapes is quietly not compiled, depending on their order.
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    for module in _with_forward(model):
        # What nn.Module.compile does, which leaves a module of torch's own, as nn.Sequential, as
        # it is: no word, no kernel.
        module._compiled_call_impl = torch.compile(  # type: ignore[call-overload]
            _called(module),
            backend=BACKEND,
            mode=how if isinstance(how, str) and not is_dynamic else None,
            dynamic=is_dynamic,
            recompile_limit=_MOST_SHAPES,
        )


def _called(module: nn.Module) -> Callable[..., Any]:
    def call(*inputs: Any, **named: Any) -> Any:
        return module._call_impl(*inputs, **named)

    return call


def _with_forward(model: nn.Module) -> list[nn.Module]:
    if type(model).forward is not nn.Module.forward:
        return [model]
    members = [child for child in model.children() if type(child).forward is not nn.Module.forward]
    if not members:
        raise ConfigError(
            f"trainer.compile compiles a model's forward, and {type(model).__name__} has none: set "
            "trainer.compile=false"
        )
    return members


def _check_compiler(device: torch.device) -> None:
    if BACKEND != "inductor":
        return
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        if not has_triton():
            raise ConfigError(
                "trainer.compile needs triton on this GPU: pip install triton, or "
                "trainer.compile=false"
            )
    if device.type == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except (InvalidCxxCompiler, RuntimeError) as error:
            raise ConfigError(
                "trainer.compile needs a C++ compiler on a CPU (g++ or clang++; CXX names "
                "another), and there is none: install one, or trainer.compile=false"
            ) from error
