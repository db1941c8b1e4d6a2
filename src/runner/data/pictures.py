"""Pictures from files to tensors, the same way for training and for prediction."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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


def load_picture(path: Path) -> Image.Image:
    """Return the picture in the file `path`, fully read and upright; raises DataError."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return ImageOps.exif_transpose(picture)
    except FileNotFoundError:
        raise DataError(f"picture {path} does not exist") from None
    except Exception as error:  # Pillow's decoders raise many kinds for a damaged file
        raise DataError(f"picture {path} cannot be read: {_reason(error)}") from error


def check_picture(path: Path) -> None:
    """Raise DataError if the file `path` holds no complete picture; JPEGs are read at 1/8 size."""
    try:
        with Image.open(path) as picture:
            picture.draft("L", (1, 1))
            picture.load()
    except FileNotFoundError:
        raise DataError(f"picture {path} does not exist") from None
    except Exception as error:  # see load_picture
        raise DataError(f"picture {path} cannot be read: {_reason(error)}") from error


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
