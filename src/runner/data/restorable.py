"""Whether a checkpoint could give back the state of a user's object."""

import io
from typing import Any

import torch

from runner.errors import DataError


def check_restorable(state: Any, owner: str) -> None:
    """Raise DataError if `state`, the state_dict() of `owner`, is more than plain containers."""
    kept = io.BytesIO()
    try:
        torch.save(state, kept)
        kept.seek(0)
        torch.load(kept, weights_only=True)
    except Exception as error:
        raise DataError(
            f"data: state_dict() of {owner} holds what a checkpoint cannot give back: keep to "
            f"numbers, texts, lists, dicts and tensors ({_first_line(error)})"
        ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
