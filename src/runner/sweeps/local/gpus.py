"""Which GPUs there are, found without importing torch."""

import os
import re
import subprocess
from collections.abc import Mapping

from runner.sweeps.local.slots import GPUS

_TIMEOUT_SECONDS = 20.0  # a driver that has to wake up takes a few


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the NVIDIA GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = environment.get(GPUS)
    if named is None:
        return _installed()
    devices: list[str] = []
    for name in (part.strip() for part in named.split(",")):
        if name in ("", "-1", "NoDevFiles"):  # CUDA looks no further than a name it does not know
            break
        devices.append(name)
    return devices


def _installed() -> list[str]:
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_TIMEOUT_SECONDS,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return re.findall(r"^GPU (\d+):", listed, re.MULTILINE)
