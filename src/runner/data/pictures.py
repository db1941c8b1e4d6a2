"""Pictures from files to tensors, the same way for training and for prediction."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from runner.errors import DataError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


OnUnreadable = Callable[[Path, DataError], None]  # the error names the file and says why


def raise_unreadable(_file: Path, error: DataError) -> None:
    """Raise what was wrong with a file."""
    raise error


@dataclass(frozen=True)
class Preprocessor:
    """Turns a picture into what a text model takes: grey, resized to `height` x `width` pixels."""

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"height and width must be >= 1, got {self.height}x{self.width}")

    def __call__(self, picture: Image.Image) -> Tensor:
        """Return the picture as a uint8 tensor (1, height, width), 0 black to 255 white."""
        grey = picture.convert("L")
        if grey.size != (self.width, self.height):
            grey = grey.resize((self.width, self.height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(grey)).unsqueeze(0)


class PictureSource(Protocol):
    """Where a picture comes from: a file, a table."""

    def load(self) -> Image.Image:
        """Return the picture, fully read and upright; raises DataError."""
        ...

    def check(self) -> None:
        """Raise DataError if there is no complete picture; cheaper than to load it."""
        ...

    def mark(self) -> str:
        """Return a text that changes when the picture does, most of the time."""
        ...


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture in a file of its own."""

    path: Path

    def load(self) -> Image.Image:
        return load_picture(self.path)

    def check(self) -> None:
        check_picture(self.path)

    def mark(self) -> str:
        return f"{self.path.name}:{self.path.stat().st_size}"


def load_picture(file: Path | IO[bytes], name: str = "") -> Image.Image:
    """Return the picture in `file` as it is seen (see `as_seen`), of a moving one the first.

    It is fully read. Raises DataError, which says `name`.
    """
    try:
        with Image.open(file) as picture:
            picture.load()
            return as_seen(picture)
    except Exception as error:  # Pillow's decoders raise many kinds for a damaged file
        raise _unreadable(name or file, error) from error


def as_seen(picture: Image.Image) -> Image.Image:
    """Return `picture` upright, what is transparent as white paper, 16 bits of grey as 8.

    Otherwise Pillow shows what lies below a transparency, and all but the darkest greys as white.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        return _in_8_bits(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        colours = picture.convert("RGBA")
        paper = Image.new("RGBA", colours.size, "white")
        return Image.alpha_composite(paper, colours).convert("RGB")
    return picture


def check_picture(file: Path | IO[bytes], name: str = "") -> None:
    """Raise DataError if `file` holds no complete picture; JPEGs are read at 1/8 of their size."""
    try:
        with Image.open(file) as picture:
            picture.draft("L", (1, 1))
            picture.load()
    except Exception as error:  # see load_picture
        raise _unreadable(name or file, error) from error


def find_pictures(
    paths: Iterable[Path], on_unreadable: OnUnreadable = raise_unreadable
) -> Iterator[Path]:
    """Yield the files in `paths` and the pictures in the folders there, in their order, at once.

    Folders are searched with their subfolders, sorted by name, but for what is hidden; a file that
    is named directly is taken whatever its suffix. What does not exist, cannot be entered or holds
    no picture is given to `on_unreadable`.
    """
    for path in paths:
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except OSError as error:  # a name that no file can have, a folder that is closed
            on_unreadable(path, _unreadable(path, error))
            continue
        if is_folder:
            yield from _inside(path, on_unreadable)
        elif is_there:
            yield path
        else:
            on_unreadable(path, DataError(f"{path} does not exist"))


def _inside(folder: Path, on_unreadable: OnUnreadable) -> Iterator[Path]:
    found = False
    closed: list[OSError] = []
    for here, folders, files in os.walk(folder, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES:
                found = True
                yield Path(here, name)
    for error in closed:
        on_unreadable(Path(error.filename), _unreadable(error.filename, error, kind="folder"))
    if not found and not closed:
        named = ", ".join(sorted(PICTURE_SUFFIXES))
        on_unreadable(
            folder, DataError(f"no pictures in {folder}: looked for files ending in {named}")
        )


def _in_8_bits(picture: Image.Image) -> Image.Image:
    """Return a picture of 16 bits (32, if it needs them) as grey of 8."""
    values = np.asarray(picture)
    bits = 16 if values.size == 0 or values.max() < 1 << 16 else 31
    return Image.fromarray((values >> (bits - 8)).clip(0, 255).astype(np.uint8))


def _unreadable(name: object, error: Exception, *, kind: str = "picture") -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{kind} {name} does not exist")
    if isinstance(error, Image.UnidentifiedImageError):
        reason = "it is no picture of a known format"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror.lower()
    else:
        reason = str(error) or type(error).__name__
    return DataError(f"{kind} {name} cannot be read: {reason}")
