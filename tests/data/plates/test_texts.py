import re

import pytest

from runner.data.plates.texts import PlateFormat, reverse_digit_groups, split_of
from runner.errors import DataError


def test_texts_follow_the_format():
    texts = PlateFormat().draw_texts("train", 300, seed=1)
    assert all(re.fullmatch("[۱-۹]{2}[بتجدژسصطعقلمنهوی][۱-۹]{4}[۰-۹]", text) for text in texts)
    assert any(text.endswith("۰") for text in texts)


def test_any_alphabet_and_format():
    texts = PlateFormat(alphabet="0123456789ABC", pattern="LLDDA").draw_texts("train", 50, seed=0)
    assert all(re.fullmatch("[ABC]{2}[0-9]{2}[0-9ABC]", text) for text in texts)


def test_no_text_is_in_two_splits():
    plates = PlateFormat(pattern="DDLD")  # 16,000 texts: nearly all are drawn
    drawn = {
        split: set(plates.draw_texts(split, 2000, seed=seed))
        for seed, split in enumerate(("train", "evaluation", "test"))
    }
    assert not drawn["train"] & drawn["evaluation"]
    assert not drawn["train"] & drawn["test"]
    assert not drawn["evaluation"] & drawn["test"]
    assert all(split_of(text) == split for split, texts in drawn.items() for text in texts)


def test_a_longer_list_begins_with_the_shorter():
    plates = PlateFormat()
    assert plates.draw_texts("test", 60, seed=3)[:20] == plates.draw_texts("test", 20, seed=3)
    assert plates.draw_texts("test", 20, seed=3) != plates.draw_texts("test", 20, seed=4)


@pytest.mark.parametrize(
    ("alphabet", "pattern", "message"),
    [
        ("۰۱", "DL", "no symbol .* can stand at 'L'"),
        ("0", "N", "no symbol .* can stand at 'N'"),
        ("01", "DX", "no symbol .* can stand at 'X'"),
        ("01", "", "format is empty"),
        ("010", "D", "symbol twice"),
    ],
)
def test_an_impossible_format_is_refused(alphabet: str, pattern: str, message: str):
    with pytest.raises(DataError, match=message):
        PlateFormat(alphabet=alphabet, pattern=pattern)


def test_too_few_texts_for_a_split_is_told():
    alphabet = next(a for a in ("0", "1", "2") if split_of(a) == "train")
    with pytest.raises(DataError, match="too few texts"):
        PlateFormat(alphabet=alphabet, pattern="D").draw_texts("test", 1, seed=0)


def test_each_run_of_digits_is_reversed():
    assert reverse_digit_groups("۱۲ب۳۴۵") == "۲۱ب۵۴۳"
    assert reverse_digit_groups("") == ""
