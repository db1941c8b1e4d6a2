"""The name of a run's own folder: when it started, and an id that no other run has."""

import re
import secrets
from datetime import datetime

_ID_SYMBOLS = "0123456789abcdefghjkmnpqrstvwxyz"  # no letters that look alike
_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_([0-9a-z]{6})")


def new_id() -> str:
    """Return six random symbols: one of a thousand million."""
    return "".join(secrets.choice(_ID_SYMBOLS) for _ in range(6))


def new_stamp() -> str:
    """Return a name such as 2026-11-21_10-30-00_k3f9a2; two of the same second differ."""
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{new_id()}"


def id_in(name: str) -> str:
    """Return the id in a name that `new_stamp` made, or a new one for any other name."""
    match = _STAMP.fullmatch(name)
    return match[1] if match else new_id()
