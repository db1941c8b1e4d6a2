"""What of a machine and its software may change the result of a run, gathered in milliseconds."""

import os
import platform
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.config.secrets import is_secret_name
from runner.runtime.launch import launch_of

_NAMED = ("runner", "torch", "numpy", "hydra-core", "omegaconf", "mlflow", "safetensors")
_INSTRUCTIONS = frozenset(
    ("avx", "avx2", "avx512f", "avx512_bf16", "amx_bf16", "fma", "asimd", "sve", "bf16")
)
# Of these the values are written down. Names that look like a secret are not, whatever they begin
# with.
_PREFIXES = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "VECLIB_", "DNNL_", "ONEDNN_"),
    *("CUBLAS_", "CUDA_", "CUDNN_", "NVIDIA_TF32", "NCCL_", "GLOO_", "TORCH", "PYTORCH_", "ATEN_"),
    *("PYTHONHASHSEED", "RUNNER_", "HF_HOME", "HF_HUB_OFFLINE", "HF_DATASETS", "TRANSFORMERS_"),
)


def machine_facts() -> dict[str, Any]:
    """Return what computes: host, processor, GPUs, and how torch, if it is imported, was built."""
    facts: dict[str, Any] = {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "executable": sys.executable,
        "cpu": _cpu(),
        "gpus": _gpus(),
    }
    launch = launch_of()
    facts["ranks"] = launch.count if launch is not None else 1
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["torch"] = {
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "mkl": torch.backends.mkl.is_available(),
            "openmp": torch.backends.openmp.is_available(),
            "cuda": torch.version.cuda,
            "hip": torch.version.hip,
        }
    return facts


def installed_packages() -> dict[str, str]:
    """Return the version of every installed package, by its normalized name."""
    found: dict[str, str] = {}
    for name, version in _distributions():
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return dict(sorted(found.items()))


def named_versions(packages: dict[str, str]) -> dict[str, str]:
    """Return the versions that a reader looks for first: Python's, and those of a few packages."""
    named = {name: packages[name] for name in _NAMED if name in packages}
    return {"python": platform.python_version(), **named}


def environment_facts() -> dict[str, str]:
    """Return the environment variables that change what is computed, or where it is found."""
    return {name: os.environ[name] for name in sorted(os.environ) if is_told(name)}


def is_told(name: str) -> bool:
    """Return whether the environment variable `name` is written down."""
    return name.startswith(_PREFIXES) and not is_secret_name(name)


def _distributions() -> Iterator[tuple[str, str]]:
    """Yield what the names of the folders say: no file is opened."""
    for entry in sys.path:
        try:
            names = os.listdir(entry or os.curdir)  # noqa: PTH208 - names alone are wanted
        except OSError:
            continue
        for name in sorted(names):
            if name.endswith(".dist-info"):
                package, _, version = name.removesuffix(".dist-info").rpartition("-")
                yield package, version


def _cpu() -> dict[str, Any]:
    plain = {"name": platform.processor() or platform.machine(), "instructions": []}
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return plain
    lines = [line.partition(":") for line in text.partition("\n\n")[0].splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in lines}
    flags = fields.get("flags") or fields.get("Features") or ""
    return {
        "name": fields.get("model name") or plain["name"],
        "instructions": sorted(_INSTRUCTIONS.intersection(flags.split())),
    }


def _gpus() -> list[str]:
    """Return the names of NVIDIA's GPUs here, as the driver tells them: no context is made."""
    found: list[str] = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found += re.findall(r"^Model:\s*(.+)$", text, re.MULTILINE)
    return found
