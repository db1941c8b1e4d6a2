"""Random numbers: seeding a run, seeding one sample, saving and restoring the generators."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

_MASK = (1 << 64) - 1


def seed_everything(seed: int) -> None:
    """Seed python, numpy and torch (all devices) with `seed`."""
    random.seed(seed)
    np.random.seed(seed % (1 << 32))
    torch.manual_seed(seed)


def seed_sample(*parts: int) -> None:
    """Seed the CPU generators from `parts`, such as (seed, epoch, index), in a few microseconds."""
    mixed = mix(*parts)
    random.seed(mixed)
    np.random.seed(mixed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(mixed >> 1)


def mix(*parts: int) -> int:
    """Return 64 bits that depend on every one of `parts` (splitmix64, Steele et al. 2014)."""
    state = 0
    for part in parts:
        state = (state + part + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def seeded_generator(*parts: int) -> torch.Generator:
    """Return a new CPU generator that depends on `parts` alone."""
    return torch.Generator().manual_seed(mix(*parts) >> 1)


def random_state() -> dict[str, Any]:
    """Return the state of all generators of this process as plain values and tensors."""
    version, internal, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [
            numpy_state["bit_generator"],
            torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            int(numpy_state["state"]["pos"]),
            int(numpy_state["has_gauss"]),
            float(numpy_state["gauss"]),
        ],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put all generators back to what `random_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, key, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, key.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Put the generators back, at the end, to where they stood at the beginning."""
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(state)


@contextmanager
def preserved_cpu_generators() -> Iterator[None]:
    """Do the same for the CPU generators alone, in about 10 microseconds."""
    python, numpy_, torch_ = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_)
        torch.set_rng_state(torch_)
