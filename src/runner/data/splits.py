"""Which labels belong to which split: by a column of labels.csv, or by a hash of the text."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from runner.data.labels import Label, Labels, Wanted, wanted_values
from runner.errors import DataError, did_you_mean

SPLIT_COLUMN = "split"
SPLIT_NAMES = ("train", "evaluation", "test")


class Labelled(Protocol):
    """Anything with a text."""

    @property
    def text(self) -> str: ...


L = TypeVar("L", bound=Labelled)


def rows_of_splits(
    labels: Labels, splits: Mapping[str, Wanted | None], *, known: Labels, holdout_fraction: float
) -> dict[str, list[Label]]:
    """Return the labels of each split that exists, keeping their order.

    `splits` names the values of the column `split` for train, evaluation and test. `train: null`
    takes all rows that no other split took; `evaluation: null` holds out `holdout_fraction` of
    train by text. A value must stand in `known`, the labels before filtering. Raises DataError.
    """
    accepted = _accepted_values(splits, known)
    taken = set[str]().union(*accepted.values())
    rows = {
        name: [label for label in labels.rows if _split_of(label) in values]
        for name, values in accepted.items()
        if values
    }
    if not accepted["train"]:
        rows["train"] = [label for label in labels.rows if _split_of(label) not in taken]
    _refuse_empty(rows, labels)
    if not accepted["evaluation"] and holdout_fraction:
        rows["train"], rows["evaluation"] = hold_out(rows["train"], holdout_fraction)
    return rows


def hold_out(labels: Iterable[L], fraction: float) -> tuple[list[L], list[L]]:
    """Return (the rest, about `fraction` of the labels), all pictures of one text on one side.

    The choice depends on the text alone, so more pictures or another order move no text across.
    """
    if not 0.0 <= fraction < 1.0:
        raise DataError(f"data.holdout_fraction must be >= 0 and < 1, got {fraction}")
    kept: list[L] = []
    held_out: list[L] = []
    for label in labels:
        (held_out if text_fraction(label.text) < fraction else kept).append(label)
    if fraction and not (kept and held_out):
        raise DataError(
            f"data.holdout_fraction={fraction} leaves {len(kept)} rows for training and "
            f"{len(held_out)} for evaluation: there are too few texts for it (0: no evaluation)"
        )
    return kept, held_out


def text_fraction(text: str) -> float:
    """Return a number in [0, 1) that is always the same for `text` and spread evenly over texts."""
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _accepted_values(splits: Mapping[str, Wanted | None], known: Labels) -> dict[str, set[str]]:
    for name in splits:
        if name not in SPLIT_NAMES:
            raise DataError(
                f"data.splits.{name} is no split: name train, evaluation or test"
                + did_you_mean(name, SPLIT_NAMES)
            )
    accepted = {name: wanted_values(splits.get(name)) for name in SPLIT_NAMES}
    for name, values in accepted.items():
        present = known.values(SPLIT_COLUMN) if values else []
        for value in sorted(values - set(present)):
            raise DataError(
                f"data.splits.{name}={value}: the column '{SPLIT_COLUMN}' of {known.path} holds "
                f"only {', '.join(present)}{did_you_mean(value, present)} (null: no value; "
                "evaluation=null holds out data.holdout_fraction of train)"
            )
    return accepted


def _split_of(label: Label) -> str | None:
    return label.columns.get(SPLIT_COLUMN)


def _refuse_empty(rows: Mapping[str, list[Label]], labels: Labels) -> None:
    for name, labels_of_split in rows.items():
        if not labels_of_split:
            raise DataError(
                f"the {name} split is empty: none of the {len(labels.rows)} rows of {labels.path} "
                f"(after data.where) belongs to it; see data.splits.{name}, data.holdout_fraction"
            )
