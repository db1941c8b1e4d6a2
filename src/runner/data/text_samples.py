"""From labelled pictures to samples: what every source of texts in pictures has in common."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from runner.data.pictures import PictureSource, Preprocessor
from runner.data.text_pictures import PicturesOnDemand, StoredPictures, TextPictures
from runner.data.text_rules import TextRules
from runner.errors import DataError

MAX_PROBLEMS_SHOWN = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TextRow:
    """A labelled picture: `place` is where its label stands, `file` names the picture."""

    place: str
    text: str
    picture: PictureSource
    file: Path


@dataclass(frozen=True, slots=True)
class _Sample:
    text: str
    row: TextRow
    image: Tensor | None  # None: read when asked for


def text_rules(alphabet: str, *, reverse_digits: bool, max_length: int | None) -> TextRules:
    """Return the rules; raises DataError for an alphabet that cannot be used."""
    try:
        return TextRules(alphabet=alphabet, reverse_digits=reverse_digits, max_length=max_length)
    except ValueError as error:
        raise DataError(f"data.alphabet: {error}") from None


def is_skip(on_bad_sample: str) -> bool:
    """Return whether bad samples are left out; raises DataError for an unknown word."""
    if on_bad_sample not in ("error", "skip"):
        raise DataError(f"data.on_bad_sample must be error or skip, got '{on_bad_sample}'")
    return on_bad_sample == "skip"


class SampleReader:
    """Reads the rows of a split into a dataset, collecting what is wrong with them."""

    def __init__(
        self,
        rules: TextRules,
        preprocessor: Preprocessor,
        *,
        skip_bad: bool,
        cache: bool,
    ) -> None:
        self._rules = rules
        self._preprocessor = preprocessor
        self._skip_bad = skip_bad
        self._cache = cache

    def read_split(self, name: str, rows: Sequence[TextRow]) -> TextPictures:
        """Return the usable rows as a dataset; raises DataError for bad rows or if none is left.

        Bad rows are found here, not while training: leaving them out changes no batch later.
        """
        samples: list[_Sample] = []
        problems: list[str] = []
        for row in rows:
            try:
                samples.append(self._read(row))
            except (DataError, ValueError) as error:
                problems.append(f"{row.place}: {error}")
        self._tell(problems)
        if not samples:
            raise DataError(f"the {name} split is empty: none of its {len(rows)} rows is usable")
        return self._dataset(samples)

    def _read(self, row: TextRow) -> _Sample:
        text = self._rules.apply(row.text)
        if self._cache:
            return _Sample(text, row, self._preprocessor(row.picture.load()))
        row.picture.check()
        return _Sample(text, row, None)

    def _tell(self, problems: list[str]) -> None:
        if problems and not self._skip_bad:
            shown = problems[:MAX_PROBLEMS_SHOWN]
            if len(problems) > len(shown):
                shown.append(f"... and {len(problems) - len(shown)} more rows")
            raise DataError(
                "\n".join(
                    [
                        *shown,
                        "to leave such rows out: data.on_bad_sample=skip",
                    ]
                )
            )
        for problem in problems:
            logger.warning("left out: %s", problem)

    def _dataset(self, samples: Sequence[_Sample]) -> TextPictures:
        texts = [sample.text for sample in samples]
        images = [sample.image for sample in samples if sample.image is not None]
        sources = [sample.row.picture for sample in samples]
        pictures = (
            StoredPictures(images) if self._cache else PicturesOnDemand(sources, self._preprocessor)
        )
        return TextPictures(texts, pictures, [sample.row.file for sample in samples])
