"""Names of pictures, read from a stream as they come."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from runner.errors import RunError

# How files of pictures begin: PNG, JPEG, GIF, WebP, TIFF of either order.
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")


def paths_from(stream: BinaryIO) -> Iterator[Path]:
    """Yield the paths that a stream names as they come, one a line; or apart by NUL bytes.

    These are known by the first NUL, which no path has: `find -print0` gives any name whole. Raises
    RunError for the bytes of a picture.
    """
    waiting, separator, is_first = b"", b"", True
    while chunk := _read_some(stream):
        waiting += chunk
        if is_first and waiting.startswith(_PICTURES):
            raise RunError(
                "standard input holds the bytes of a picture: give there the paths of pictures, "
                "one a line"
            )
        is_first = False
        if not separator:
            separator = b"\0" if b"\0" in waiting else b"\n"
        *whole, waiting = waiting.split(separator)
        yield from (Path(os.fsdecode(name)) for name in whole if name)
    if waiting.strip(b"\n"):
        yield Path(os.fsdecode(waiting))


def _read_some(stream: BinaryIO) -> bytes:
    """Return what is there, without waiting until a buffer is full."""
    return stream.read1(1 << 16)  # type: ignore[attr-defined]
