"""`ocr_hub`: pictures with texts from the Hugging Face Hub, or a folder laid out as there."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from runner.data.data import BatchAugmentation, Data
from runner.data.pictures import (
    PictureFile,
    PictureSource,
    Preprocessor,
    check_picture,
    load_picture,
)
from runner.data.splits import SPLIT_NAMES, hold_out
from runner.data.text_pictures import collate_text_pictures
from runner.data.text_samples import SampleReader, TextRow, is_skip, text_rules
from runner.errors import DataError, did_you_mean

DEFAULT_SPLITS: Mapping[str, str | None] = {
    "train": "train",
    "evaluation": "validation",
    "test": "test",
}


def ocr_hub(
    *,
    path: str,
    alphabet: str,
    preprocessor: Preprocessor,
    image_column: str = "image_path",
    text_column: str = "label",
    splits: Mapping[str, str | None] | None = None,
    revision: str | None = None,
    holdout_fraction: float = 0.1,
    reverse_digits: bool = False,
    max_length: int | None = None,
    on_bad_sample: str = "error",
    cache: bool = True,
    augment: BatchAugmentation | None = None,
) -> Data:
    """Read the data set `path`: its name on the hub, or a folder with a copy of it.

    A copy has data/train-*.parquet and so on, or a folder of pictures with a metadata file for each
    split: whatever `datasets.load_dataset` reads. `splits` says which of its splits are train,
    evaluation and test; without one for evaluation, `holdout_fraction` of train is held out by
    text. `revision` is a commit or tag on the hub. The rest is as in `ocr_folder`. Raises
    DataError.
    """
    rules = text_rules(alphabet, reverse_digits=reverse_digits, max_length=max_length)
    reader = SampleReader(rules, preprocessor, skip_bad=is_skip(on_bad_sample), cache=cache)
    tables = _load(path, revision)
    chosen = _chosen({**DEFAULT_SPLITS, **(splits or {})}, tables, path)
    rows = {
        name: _rows(tables[split], split, path, image_column, text_column)
        for name, split in chosen.items()
    }
    if "evaluation" not in rows and holdout_fraction:
        rows["train"], rows["evaluation"] = hold_out(rows["train"], holdout_fraction)
    datasets = {name: reader.read_split(name, labelled) for name, labelled in rows.items()}
    return Data(
        train=datasets["train"],
        evaluation=datasets.get("evaluation"),
        test=datasets.get("test"),
        collate=collate_text_pictures,
        augment=augment,
    )


@dataclass(frozen=True, slots=True)
class _Cell:
    """A picture in a table of `datasets`, which keeps it on disk until it is asked for."""

    table: Any
    column: str
    index: int
    name: str

    def load(self) -> Image.Image:
        return load_picture(io.BytesIO(self._content()), self.name)

    def check(self) -> None:
        check_picture(io.BytesIO(self._content()), self.name)

    def mark(self) -> str:
        return f"{self.name}:{len(self._content())}"

    def _content(self) -> bytes:
        cell = self.table[self.index][self.column] or {}
        if cell.get("bytes") is not None:
            return cell["bytes"]
        try:
            return Path(cell.get("path") or "").read_bytes()
        except OSError:
            raise DataError(f"picture {self.name} does not exist") from None


def _load(path: str, revision: str | None) -> Mapping[str, Any]:
    try:
        import datasets
    except ImportError as error:
        raise DataError("data=ocr_hub needs datasets: pip install 'runner[hub]'") from error
    is_folder = Path(path).is_dir()
    try:
        tables: Any = datasets.load_dataset(path, revision=None if is_folder else revision)
    except Exception as error:  # of the hub, of the network, of a broken file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(
            f"data.path={path} cannot be loaded: {reason}; where the hub cannot be reached, copy "
            "the data set to a folder (data/train-*.parquet and so on) and set data.path to it"
        ) from error
    return tables


def _chosen(
    splits: Mapping[str, str | None], tables: Mapping[str, Any], path: str
) -> dict[str, str]:
    for name, split in splits.items():
        if name not in SPLIT_NAMES:
            raise DataError(
                f"data.splits.{name} is no split: name train, evaluation or test"
                + did_you_mean(name, SPLIT_NAMES)
            )
        if split is not None and split not in tables:
            raise DataError(
                f"data.splits.{name}={split}: {path} has the splits {', '.join(tables)}"
                f"{did_you_mean(split, tables)} (null: none)"
            )
    if splits["train"] is None:
        raise DataError("data.splits.train=null: name the split to learn from")
    return {name: split for name, split in splits.items() if split is not None}


def _rows(table: Any, split: str, path: str, image_column: str, text_column: str) -> list[TextRow]:
    from datasets import Image as ImageFeature

    for key, column in (("image_column", image_column), ("text_column", text_column)):
        if column not in table.column_names:
            raise DataError(
                f"data.{key}={column}: {path} has the columns {', '.join(table.column_names)}"
                + did_you_mean(column, table.column_names)
            )
    texts = list(table[text_column])
    if texts and not all(isinstance(text, str) for text in texts):
        raise DataError(
            f"data.text_column={text_column} of {path} holds no texts but "
            f"{type(next(t for t in texts if not isinstance(t, str))).__name__}: digits in a "
            "metadata.csv are read as numbers, which lose zeros; use metadata.jsonl or parquet"
        )
    has_pictures = isinstance(table.features[image_column], ImageFeature)
    if has_pictures:
        table = table.select_columns([image_column]).cast_column(
            image_column, ImageFeature(decode=False)
        )
    rows = []
    for index, text in enumerate(texts):
        place = f"{path} {split} row {index}"
        source: PictureSource
        if has_pictures:
            source, file = _Cell(table, image_column, index, place), Path(split, str(index))
        else:
            file = Path(path, table[index][image_column])
            source = PictureFile(file)
        rows.append(TextRow(place, text, source, file))
    return rows
