"""A number of bytes, written "500 MB" or "5 GB"."""

import re

from runner.errors import ConfigError

_BYTES_PER_UNIT = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_size(text: str) -> int:
    """Return the bytes that `text` means, or raise ConfigError saying how to write it."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]B)\s*", str(text).upper())
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"'{text}' is no size: write a number and a unit, such as '5 GB'")
    return int(float(match[1]) * _BYTES_PER_UNIT[match[2]])


def parse_optional_size(text: str | None) -> int | None:
    """Return the bytes that `text` means; None stays None."""
    return None if text is None else parse_size(text)
