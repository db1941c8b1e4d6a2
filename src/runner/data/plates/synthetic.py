"""`plates_synthetic`: rendered licence plates as a dataset per split."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from runner.data.data import BatchAugmentation, Data
from runner.data.pictures import Preprocessor
from runner.data.plates.glyphs import DRAWN_FORMS, GlyphBank
from runner.data.plates.rendering import PlateRenderer
from runner.data.plates.texts import PERSIAN_ALPHABET, PlateFormat
from runner.data.text_pictures import TextPicture, collate_text_pictures
from runner.data.text_rules import TextRules
from runner.errors import DataError

_SPLITS = ("train", "evaluation", "test")
_PICTURES_IN_FINGERPRINT = 4


class SyntheticPlates:
    """Plates of one split; the same index is always the same picture, whatever process draws it.

    `drawn_texts` stand on the plates, `texts` in the labels. With `keep` a picture is rendered once
    and kept in memory.
    """

    deterministic = True

    def __init__(
        self,
        drawn_texts: Sequence[str],
        texts: Sequence[str],
        renderer: PlateRenderer,
        *,
        seeds: tuple[int, ...],
        keep: bool = False,
    ) -> None:
        self.texts = list(texts)
        self._drawn_texts = drawn_texts
        self._renderer = renderer
        self._seeds = seeds
        self._kept: dict[int, Tensor] | None = {} if keep else None

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> TextPicture:
        return {"image": self._picture(index), "text": self.texts[index]}

    @property
    def fingerprint(self) -> str:
        """Return a text that changes when the texts or the way of rendering do."""
        digest = hashlib.blake2b(digest_size=16)
        for index in range(min(_PICTURES_IN_FINGERPRINT, len(self))):
            digest.update(self._picture(index).numpy().tobytes())
        return "\n".join([*self.texts, digest.hexdigest()])

    def _picture(self, index: int) -> Tensor:
        if self._kept is not None and index in self._kept:
            return self._kept[index]
        rng = np.random.Generator(np.random.PCG64([*self._seeds, index]))
        pixels = self._renderer.render(self._drawn_texts[index], rng)
        image = torch.from_numpy(pixels)[None]
        if self._kept is not None:
            self._kept[index] = image
        return image


def plates_synthetic(
    *,
    height: int = 32,
    width: int = 128,
    train_size: int = 32_000,
    evaluation_size: int = 1_000,
    test_size: int = 1_000,
    alphabet: str = PERSIAN_ALPHABET,
    format: str = "NNLNNNND",
    region_length: int = 2,
    fonts: Sequence[str] = (),
    drawn_forms: Mapping[str, str] = DRAWN_FORMS,
    reverse_digits: bool = False,
    max_length: int | None = None,
    seed: int = 0,
    preprocessor: Preprocessor | None = None,
    augment: BatchAugmentation | None = None,
) -> Data:
    """Return splits of rendered plates; no text occurs in two of them. Raises DataError.

    `format` has one character a place (D digit, N digit but zero, L letter, A any symbol); the last
    `region_length` symbols stand in a box of their own. Texts are written as seen from left to
    right; `reverse_digits` turns each run of digits round in the labels. `fonts` are font files to
    draw with besides runner's own strokes; `drawn_forms` maps a symbol to the code point that is
    drawn for it. `preprocessor` makes pictures from elsewhere alike, for `predict`. A size of 0
    leaves a split out.
    """
    _check_sizes(height, width, train_size, preprocessor)
    plate_format = PlateFormat(alphabet=alphabet, pattern=format)
    rules = TextRules(alphabet=alphabet, reverse_digits=reverse_digits, max_length=max_length)
    bank = GlyphBank(alphabet, fonts=fonts, drawn_forms=drawn_forms, resolution=height, seed=seed)
    renderer = PlateRenderer(bank, height=height, width=width, region_length=region_length)
    datasets: dict[str, SyntheticPlates] = {}
    for number, size in enumerate((train_size, evaluation_size, test_size)):
        drawn = plate_format.draw_texts(_SPLITS[number], size, seed=seed)
        datasets[_SPLITS[number]] = SyntheticPlates(
            drawn,
            _labels(drawn, rules),
            renderer,
            seeds=(seed, number),
            keep=_SPLITS[number] != "train",
        )
    return Data(
        train=datasets["train"],
        evaluation=datasets["evaluation"] if evaluation_size else None,
        test=datasets["test"] if test_size else None,
        collate=collate_text_pictures,
        augment=augment,
        preprocessor=preprocessor,
    )


def _labels(drawn: Sequence[str], rules: TextRules) -> list[str]:
    try:
        return [rules.apply(text) for text in drawn]
    except ValueError as error:
        raise DataError(f"data.format and data.max_length do not fit together: {error}") from None


def _check_sizes(
    height: int, width: int, train_size: int, preprocessor: Preprocessor | None
) -> None:
    if height < 16 or width < 16:
        raise DataError(f"plates need data.height and data.width >= 16, got {height}x{width}")
    if train_size < 1:
        raise DataError(f"data.train_size must be >= 1, got {train_size}")
    if preprocessor is not None and (preprocessor.height, preprocessor.width) != (height, width):
        raise DataError(
            f"data.preprocessor makes {preprocessor.height}x{preprocessor.width} pictures, "
            f"the plates are {height}x{width}: set data.height and data.width alone"
        )
