import pytest

from runner.data.text_rules import TextRules


def test_a_text_of_known_symbols_stays_as_it_is():
    assert TextRules(alphabet="ab1", max_length=3).apply("a1b") == "a1b"


def test_unknown_symbols_are_named_with_their_code_points():
    with pytest.raises(ValueError, match=r"text 'aي' holds 'ي' \(U\+064A\), not in data.alphabet"):
        TextRules(alphabet="aی").apply("aي")


def test_a_text_too_long_is_refused_with_both_lengths():
    with pytest.raises(ValueError, match="text 'aaaa' has 4 symbols, max_length is 3"):
        TextRules(alphabet="a", max_length=3).apply("aaaa")


def test_an_empty_text_is_refused():
    with pytest.raises(ValueError, match="the text is empty"):
        TextRules(alphabet="a").apply("")


@pytest.mark.parametrize(
    ("text", "turned"), [("12b345", "21b543"), ("۱۲ب۳۴۵۶۷", "۲۱ب۷۶۵۴۳"), ("b", "b"), ("1", "1")]
)
def test_reverse_digits_turns_each_run_round(text, turned):
    rules = TextRules(alphabet="12345b۱۲۳۴۵۶۷ب", reverse_digits=True)
    assert rules.apply(text) == turned
    assert rules.apply(turned) == text


@pytest.mark.parametrize(
    ("alphabet", "reason"), [("", "it is empty"), ("aba", "a stands in it twice")]
)
def test_alphabet_must_hold_each_symbol_once(alphabet, reason):
    with pytest.raises(ValueError, match=reason):
        TextRules(alphabet=alphabet)
