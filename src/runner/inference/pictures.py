"""Pictures to be read, from wherever they come: files, folders, memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from runner.data.pictures import as_seen, find_pictures, load_picture
from runner.errors import DataError

Given = str | Path | Image.Image | np.ndarray  # what a user gives; paths may be folders


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture in memory, under the number with which it came."""

    number: int
    content: Image.Image | np.ndarray

    def __str__(self) -> str:
        return str(self.number)


Source = Path | Shown


def sources_of(pictures: Given | Iterable[Given]) -> Iterable[Source]:
    """Return each of `pictures` as something to be loaded, in order, folders searched.

    A path that does not exist raises DataError when its turn comes.
    """
    if isinstance(pictures, str | Path | Image.Image):
        pictures = [pictures]
    elif not isinstance(pictures, Iterable):
        raise _no_picture(0, pictures)
    elif isinstance(pictures, np.ndarray):  # (pictures, height, width, 3) is several
        pictures = [pictures] if pictures.ndim < 4 else list(pictures)
    if isinstance(pictures, Sequence) and all(isinstance(p, str | Path) for p in pictures):
        return find_pictures(Path(path) for path in pictures)  # type: ignore[arg-type]
    return _each(pictures)


def load_source(source: Source) -> Image.Image:
    """Return the picture; DataError for a file or an array that holds none."""
    if isinstance(source, Path):
        return load_picture(source)
    if isinstance(source.content, np.ndarray):
        return _from_array(source.content, str(source))
    try:
        return as_seen(source.content)  # as of a file; it may not be read yet
    except Exception as error:  # see load_picture
        raise DataError(f"picture {source} cannot be read: {error}") from error


def _each(pictures: Iterable[Given]) -> Iterator[Source]:
    for number, given in enumerate(pictures):
        if isinstance(given, str | Path):
            yield from find_pictures([Path(given)])
        elif isinstance(given, Image.Image | np.ndarray):
            yield Shown(number, given)
        else:
            raise _no_picture(number, given)


def _no_picture(number: int, given: object) -> DataError:
    kind = type(given).__name__
    return DataError(f"picture {number} has the type {kind}: give paths, PIL pictures or arrays")


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    is_grey, is_coloured = array.ndim == 2, array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (is_grey or is_coloured) or not array.size:
        raise DataError(
            f"picture {name} is an array {array.shape} of {array.dtype}: give (height, width) or "
            "(height, width, 3) of uint8"
        )
    return Image.fromarray(array)
