"""Samples with predictions for the page of a run: wrong ones first."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from runner.cli.pages.evaluations import FILE_NAME
from runner.errors import RunError
from runner.reports.page import Sample
from runner.reports.run.facts import SampleFacts
from runner.run.directory import RunDirectory
from runner.run.signature import is_ours

SHEET = "samples.png"  # that the run itself has drawn
_TABLE = "predictions.csv"
_DAMAGES = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, SyntaxError),
    Image.DecompressionBombError,
)
_MOST_WRONG = 36
_MOST_RIGHT = 12
_THUMBNAIL = (280, 140)
_LEGEND = "Green is right; red is wrong, with the truth below it."
_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def samples_of(directory: RunDirectory, config: Mapping[str, Any]) -> SampleFacts | None:
    """Return samples of the newest evaluation after the training; else those of the training.

    Those of the training come before samples without any picture. RunError for a sheet of samples
    that cannot be read.
    """
    tables = [*directory.evaluations.glob(f"[!.]*/{_TABLE}"), *directory.predictions.glob("*.csv")]
    roots = _roots(directory, config)
    newest = sorted(tables, key=lambda path: -path.stat().st_mtime)
    whole = (_of_table(table, roots) for table in newest if not _is_cut_short(table))
    found = next((facts for facts in whole if facts is not None), None)
    if found is not None and any(sample.picture for sample in found.samples):
        return found
    return _of_sheet(directory.plots / SHEET) or found


def _is_cut_short(table: Path) -> bool:
    """Return whether a table is that of an evaluation with debug.limit_batches or the like."""
    try:
        told = json.loads((table.parent / FILE_NAME).read_text(encoding="utf-8"))
        return any(str(word).startswith("debug.") for word in told.get("overrides", ()))
    except _DAMAGES:
        return False


def in_order(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples as they are worth looking at.

    First the wrong ones, the surest first, then the others, the least sure first.
    """

    def rank(sample: Sample) -> tuple[bool, float]:
        confidence = 0.0 if sample.confidence is None else sample.confidence
        return not sample.is_wrong, -confidence if sample.is_wrong else confidence

    return sorted(samples, key=rank)


def _of_sheet(path: Path) -> SampleFacts | None:
    if not path.is_file():
        return None
    from runner.reports.samples import read_sheet  # the drawing of pictures, only where one is

    try:
        title, samples = read_sheet(path)
    except _DAMAGES as error:
        raise RunError(f"{path.name} cannot be read: {error}") from error
    if not samples:
        return None
    wrong = sum(sample.is_wrong for sample in samples)
    end = "these come first" if wrong else "the least sure come first"
    told = (
        f"{title.partition(': ')[2] or title}: {wrong or 'none'} of {len(samples)} wrong; {end}. "
        f"{_LEGEND} The percentages are the model's own confidence, not calibrated."
    )
    return SampleFacts(samples=in_order(samples), told=told[0].upper() + told[1:])


def _of_table(path: Path, roots: Iterable[Path]) -> SampleFacts | None:
    """Return the samples worth looking at of a table of predictions; None if it is not one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            samples = [_sample(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, csv.Error):
        return None
    if not samples:
        return None
    ordered = in_order(samples)
    wrong = [sample for sample in ordered if sample.is_wrong]
    right = ordered[len(wrong) :]
    shown = [*wrong[:_MOST_WRONG], *right[:_MOST_RIGHT]]
    name = path.parent.name if path.name == _TABLE else path.stem
    shown_wrong, shown_right = min(len(wrong), _MOST_WRONG), min(len(right), _MOST_RIGHT)
    parts = [f"{shown_wrong} of them, the surest first"] if wrong else []
    parts += [f"the {shown_right} others of which the model was least sure"] if right else []
    told = (
        f"{name}: {len(wrong) or 'none'} of {len(samples)} wrong. Here are {', and '.join(parts)}. "
        f"{_LEGEND}"
    )
    return SampleFacts(samples=[_with_picture(sample, roots) for sample in shown], told=told)


def _sample(row: Mapping[str, str]) -> Sample:
    name = row["sample"] if "sample" in row else row["file"]
    text = row["text"] if "text" in row else row["prediction"]
    confidence = float(row["confidence"]) if row.get("confidence") else None
    return Sample(text=text, confidence=confidence, target=row.get("target"), name=name)


def _with_picture(sample: Sample, roots: Iterable[Path]) -> Sample:
    """Return the sample with its picture, if its name is a file of one."""
    if Path(sample.name).suffix.lower() not in _PICTURES:
        return sample
    for root in roots:
        path = (root / sample.name).resolve()
        if path.is_relative_to(root) and path.is_file():
            picture = _thumbnail(path)
            return Sample(
                text=sample.text,
                confidence=sample.confidence,
                target=sample.target,
                name=sample.name,
                picture=picture,
            )
    return sample


def _thumbnail(path: Path) -> bytes | None:
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
            small.thumbnail(_THUMBNAIL)
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    written = io.BytesIO()
    small.save(written, format="PNG")
    return written.getvalue()


def _roots(directory: RunDirectory, config: Mapping[str, Any]) -> list[Path]:
    """Return the folders, resolved, in which the pictures may lie, and outside of which none may.

    A table that someone else wrote may name any file of this machine, and a page is made to be
    passed on: of a run that is not this user's own only its own directory counts.
    """
    data = config.get("data")
    root = data.get("root") if isinstance(data, Mapping) else None
    roots = [directory.path]
    if isinstance(root, str) and is_ours(directory):
        roots.append(Path(root))
    return [root.resolve() for root in roots]
