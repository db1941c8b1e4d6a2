"""`ocr_folder`: a folder of pictures and a labels.csv, as data for reading text."""

from collections.abc import Mapping

from runner.data.data import BatchAugmentation, Data
from runner.data.labels import Label, Labels, Wanted, load_labels
from runner.data.pictures import PictureFile, Preprocessor
from runner.data.splits import rows_of_splits
from runner.data.text_pictures import collate_text_pictures
from runner.data.text_samples import SampleReader, TextRow, is_skip, text_rules

DEFAULT_SPLITS: Mapping[str, Wanted | None] = {"train": "train", "evaluation": "val", "test": None}


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
    reader = SampleReader(rules, preprocessor, skip_bad=is_skip(on_bad_sample), cache=cache)
    datasets = {
        name: reader.read_split(name, [_row(labels, label) for label in split])
        for name, split in rows.items()
    }
    return Data(
        train=datasets["train"],
        evaluation=datasets.get("evaluation"),
        test=datasets.get("test"),
        collate=collate_text_pictures,
        augment=augment,
        preprocessor=preprocessor,
    )


def _row(labels: Labels, label: Label) -> TextRow:
    file = labels.path.parent / label.file
    return TextRow(f"{labels.path} row {label.row}", label.text, PictureFile(file), file)
