from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.labels import Label, Labels
from runner.data.splits import hold_out, rows_of_splits, text_fraction
from runner.errors import DataError

steady = settings(deadline=None, derandomize=True)  # the same examples, however slow
DEFAULT = {"train": "train", "evaluation": "val", "test": None}


def labels_of(*rows: tuple[str, str]) -> Labels:
    labels = [
        Label(number, {"file": f"{number}.jpg", "text": text, "split": split})
        for number, (text, split) in enumerate(rows, start=2)
    ]
    return Labels(Path("labels.csv"), ("file", "text", "split"), labels)


FOUR = labels_of(("a", "train"), ("b", "val"), ("c", "val_aug"), ("d", "train"))
MANY = labels_of(*((f"plate {number // 3}", "train") for number in range(600)))


def texts_of(splits, labels=FOUR, known=None, holdout_fraction=0.0):
    known = known or labels
    rows = rows_of_splits(labels, splits, known=known, holdout_fraction=holdout_fraction)
    return {name: [label.text for label in labels] for name, labels in rows.items()}


def test_values_of_the_column_make_the_splits_and_others_stay_out():
    assert texts_of(DEFAULT) == {"train": ["a", "d"], "evaluation": ["b"]}


def test_a_split_may_take_several_values():
    splits = {"train": "train", "test": ["val", "val_aug"]}
    assert texts_of(splits) == {"train": ["a", "d"], "test": ["b", "c"]}


def test_train_null_takes_what_is_left():
    assert texts_of({"test": "val"}) == {"train": ["a", "c", "d"], "test": ["b"]}


def test_no_column_is_needed_when_no_value_is_named():
    labels = Labels(Path("labels.csv"), ("file", "text"), [Label(2, {"file": "f", "text": "a"})])
    assert texts_of({}, labels) == {"train": ["a"]}


def test_an_unknown_value_is_an_error_that_lists_the_known_ones():
    message = r"data\.splits\.evaluation=vall: .* holds only train, val, val_aug.*mean 'val'"
    with pytest.raises(DataError, match=message):
        texts_of({"train": "train", "evaluation": "vall"})


def test_an_unknown_split_is_an_error():
    with pytest.raises(
        DataError, match=r"data\.splits\.evaluaton is no split.*did you mean 'evaluation'"
    ):
        texts_of({"evaluaton": "val"})


def test_a_missing_column_is_an_error():
    labels = Labels(Path("labels.csv"), ("file", "text"), [Label(2, {"file": "f", "text": "a"})])
    with pytest.raises(DataError, match="has no column 'split'"):
        texts_of(DEFAULT, labels)


def test_a_split_emptied_by_the_filter_is_an_error():
    train_only = labels_of(("a", "train"))
    with pytest.raises(DataError, match="the evaluation split is empty: none of the 1 rows"):
        texts_of(DEFAULT, train_only, known=FOUR)


def test_without_an_evaluation_value_a_part_of_train_is_held_out():
    splits = texts_of({"train": "train"}, MANY, holdout_fraction=0.25)
    assert not set(splits["train"]) & set(splits["evaluation"])
    assert len(splits["train"]) + len(splits["evaluation"]) == 600
    assert 0.15 < len(splits["evaluation"]) / 600 < 0.35


def test_an_evaluation_value_leaves_train_whole():
    assert texts_of(DEFAULT, holdout_fraction=0.5)["train"] == ["a", "d"]


def test_more_pictures_move_no_text_across():
    before = {label.text for label in hold_out(MANY.rows[:300], 0.2)[1]}
    after = {label.text for label in hold_out(reversed(MANY.rows), 0.2)[1]}
    assert before <= after


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_fraction_out_of_range_is_an_error(fraction):
    with pytest.raises(DataError, match=r"data\.holdout_fraction must be >= 0 and < 1"):
        hold_out(MANY.rows, fraction)


def test_too_few_texts_to_hold_any_out_is_an_error():
    with pytest.raises(DataError, match="leaves 3 rows for training and 0 for evaluation"):
        hold_out(labels_of(("a", "train"), ("a", "train"), ("a", "train")).rows, 0.001)


@steady
@given(st.text())
def test_text_fraction_is_in_range_and_repeatable(text):
    assert 0.0 <= text_fraction(text) < 1.0
    assert text_fraction(text) == text_fraction(text)
