"""`AppendedFile`: a file that is only ever added to, and cut back to what is known to be whole."""

from pathlib import Path


class AppendedFile:
    """Appends to `path` behind byte `size`; what a kill or a full disk left behind that is cut off.

    A file that is absent or shorter raises LostEndError: it is not the one that was written.
    """

    def __init__(self, path: Path, *, size: int) -> None:
        if (path.stat().st_size if path.exists() else 0) < size:
            raise LostEndError(f"{path} is shorter than {size} bytes")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._path = path
        self.size = size

    def append(self, content: bytes) -> None:
        """Add `content`, all of it or, as far as `size` tells, nothing."""
        with self._path.open("r+b") as file:
            file.truncate(self.size)
            file.seek(self.size)
            file.write(content)
        self.size += len(content)


class LostEndError(Exception):
    """The file is not what was written to it."""
