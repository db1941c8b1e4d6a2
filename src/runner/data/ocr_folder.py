"""`ocr_folder`: a folder of pictures and a labels.csv, as data for reading text."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from runner.data.data import BatchAugmentation, Data
from runner.data.labels import Label, Labels, Wanted, load_labels
from runner.data.pictures import Preprocessor, check_picture, load_picture
from runner.data.splits import rows_of_splits
from runner.data.text_pictures import (
    PictureFiles,
    StoredPictures,
    TextPictures,
    collate_text_pictures,
)
from runner.data.text_rules import TextRules
from runner.errors import DataError

DEFAULT_SPLITS: Mapping[str, Wanted | None] = {"train": "train", "evaluation": "val", "test": None}
MAX_PROBLEMS_SHOWN = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sample:
    text: str
    file: Path
    image: Tensor | None  # None: read when asked for


def ocr_folder(
    *,
    root: str,
    alphabet: str,
    preprocessor: Preprocessor,
    where: Mapping[str, Wanted | None] | None = None,
    splits: Mapping[str, Wanted | None] | None = None,
    holdout_fraction: float = 0.1,
    reverse_digits: bool = False,
    max_length: int | None = None,
    on_bad_sample: str = "error",
    cache: bool = True,
    augment: BatchAugmentation | None = None,
) -> Data:
    """Read the pictures and labels in the folder `root`.

    `where` keeps the rows whose column holds a value or one of several; `splits` says which values
    of the column `split` make train, evaluation and test (see `rows_of_splits`). `on_bad_sample` is
    "error", or "skip" to leave out, once and for all, rows that cannot be used. `cache` holds all
    pictures in memory; without it every picture is checked now and read when needed. `augment`
    changes training batches. Raises DataError.
    """
    rules = text_rules(alphabet, reverse_digits=reverse_digits, max_length=max_length)
    labels = load_labels(root)
    rows = rows_of_splits(
        labels.where(where or {}),
        {**DEFAULT_SPLITS, **(splits or {})},
        known=labels,
        holdout_fraction=holdout_fraction,
    )
    reader = SampleReader(
        Path(root), rules, preprocessor, skip_bad=is_skip(on_bad_sample), cache=cache
    )
    datasets = {name: reader.read_split(name, labels, split) for name, split in rows.items()}
    return Data(
        train=datasets["train"],
        evaluation=datasets.get("evaluation"),
        test=datasets.get("test"),
        collate=collate_text_pictures,
        augment=augment,
        preprocessor=preprocessor,
    )


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
        root: Path,
        rules: TextRules,
        preprocessor: Preprocessor,
        *,
        skip_bad: bool,
        cache: bool,
    ) -> None:
        self._root = root
        self._rules = rules
        self._preprocessor = preprocessor
        self._skip_bad = skip_bad
        self._cache = cache

    def read_split(self, name: str, labels: Labels, rows: Sequence[Label]) -> TextPictures:
        """Return the usable rows as a dataset; raises DataError for bad rows or if none is left.

        Bad rows are found here, not while training: leaving them out changes no batch later.
        """
        samples: list[_Sample] = []
        problems: list[str] = []
        for label in rows:
            try:
                samples.append(self._read(label))
            except (DataError, ValueError) as error:
                problems.append(f"{labels.path} row {label.row}: {error}")
        self._tell(problems)
        if not samples:
            raise DataError(f"the {name} split is empty: none of its {len(rows)} rows is usable")
        return self._dataset(samples)

    def _read(self, label: Label) -> _Sample:
        text = self._rules.apply(label.text)
        file = self._root / label.file
        if self._cache:
            return _Sample(text, file, self._preprocessor(load_picture(file)))
        check_picture(file)
        return _Sample(text, file, None)

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
        files = [sample.file for sample in samples]
        pictures = (
            StoredPictures(images) if self._cache else PictureFiles(files, self._preprocessor)
        )
        return TextPictures(texts, pictures, files)
