"""`TextPictures`: pictures with their texts, as a dataset that gives the same sample every time."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypedDict

import torch
from torch import Tensor

from runner.data.data import Batch
from runner.data.pictures import PictureSource, Preprocessor


class TextPicture(TypedDict):
    """One sample: a uint8 picture of shape (1, height, width) and the text on it."""

    image: Tensor
    text: str


class Pictures(Protocol):
    """Pictures by number, the same every time."""

    def __call__(self, index: int) -> Tensor: ...

    def digest(self) -> str:
        """Return a text that changes when the pictures do."""
        ...


class TextPictures:
    """The pictures of a split and their texts, which are known without reading a picture."""

    deterministic = True

    def __init__(
        self, texts: Sequence[str], pictures: Pictures, files: Sequence[Path] = ()
    ) -> None:
        self.texts = list(texts)
        self.files = list(files)  # where the pictures come from, if from files
        self._pictures = pictures

    @property
    def fingerprint(self) -> str:
        """Return a text that changes when the texts, the pictures or their order do."""
        return "\n".join([*self.texts, self._pictures.digest()])

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> TextPicture:
        return {"image": self._pictures(index), "text": self.texts[index]}


class StoredPictures:
    """Tensors held in memory: about a microsecond a picture."""

    def __init__(self, images: Sequence[Tensor]) -> None:
        self.images = torch.stack(list(images))  # (pictures, 1, height, width)

    def __call__(self, index: int) -> Tensor:
        return self.images[index]

    def digest(self) -> str:
        return hashlib.blake2b(self.images.numpy().tobytes(), digest_size=16).hexdigest()


class PicturesOnDemand:
    """Pictures read anew for every sample, for a set that does not fit in memory."""

    def __init__(self, sources: Sequence[PictureSource], preprocessor: Preprocessor) -> None:
        self._sources = list(sources)
        self._preprocessor = preprocessor

    def __call__(self, index: int) -> Tensor:
        return self._preprocessor(self._sources[index].load())

    def digest(self) -> str:
        return "\n".join([repr(self._preprocessor), *(source.mark() for source in self._sources)])


def collate_text_pictures(samples: list[TextPicture]) -> Batch:
    """Return the samples as {"image": (batch, 1, height, width), "text": list of texts}."""
    return {
        "image": torch.stack([sample["image"] for sample in samples]),
        "text": [sample["text"] for sample in samples],
    }
