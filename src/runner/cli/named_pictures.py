"""Names of pictures: read from a stream, and shown in a terminal whatever they hold."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from runner.errors import RunError

_LONGEST = 300  # characters of a line that tells of a bad name
_UNSEEN = ("Cc", "Cs", "Cn", "Co")  # they move the cursor, or have no form
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


def printable(text: str) -> str:
    """Return `text` with what is not seen escaped, and without its middle if it is very long."""
    shown = escaped(text)
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST // 2]} ... {shown[-_LONGEST // 2 :]}"
    return shown


def escaped(text: str) -> str:
    """Return `text` with what is not seen escaped: what others wrote may steer a terminal."""
    return text if text.isprintable() else "".join(_seen(character) for character in text)


def _seen(character: str) -> str:
    if unicodedata.category(character) in _UNSEEN:
        return character.encode("unicode_escape", "backslashreplace").decode("ascii")
    return character
