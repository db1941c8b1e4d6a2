"""Pictures from files to tensors, the same way for training and for prediction."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from runner.errors import DataError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


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
    """Return the picture in `file`, fully read and upright; raises DataError, which says `name`."""
    try:
        with Image.open(file) as picture:
            picture.load()
            return ImageOps.exif_transpose(picture)
    except FileNotFoundError:
        raise DataError(f"picture {name or file} does not exist") from None
    except Exception as error:  # Pillow's decoders raise many kinds for a damaged file
        raise DataError(f"picture {name or file} cannot be read: {_reason(error)}") from error


def check_picture(file: Path | IO[bytes], name: str = "") -> None:
    """Raise DataError if `file` holds no complete picture; JPEGs are read at 1/8 of their size."""
    try:
        with Image.open(file) as picture:
            picture.draft("L", (1, 1))
            picture.load()
    except FileNotFoundError:
        raise DataError(f"picture {name or file} does not exist") from None
    except Exception as error:  # see load_picture
        raise DataError(f"picture {name or file} cannot be read: {_reason(error)}") from error


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """Return the files named in `paths` and the pictures in the folders named there, sorted.

    Folders are searched with all their subfolders; a file named directly is taken whatever its
    suffix. Raises DataError for a path that does not exist and if nothing was found.
    """
    found: set[Path] = set()
    for path in paths:
        if path.is_dir():
            inside = path.rglob("*")
            found.update(p for p in inside if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
        elif path.is_file():
            found.add(path)
        else:
            raise DataError(f"{path} does not exist: give picture files or folders of them")
    if not found:
        named = ", ".join(sorted(PICTURE_SUFFIXES))
        raise DataError(f"no pictures found: looked for files ending in {named}")
    return sorted(found)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is no picture of a known format"
    return str(error) or type(error).__name__
