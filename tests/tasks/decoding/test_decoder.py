"""Decoding against the sum over every path there is."""

from itertools import groupby, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from runner.errors import ConfigError
from runner.tasks.decoding.beam import search
from runner.tasks.decoding.decoder import decode_best_paths, decode_by_beams, decoder_of
from runner.tasks.decoding.grammar import Grammar
from runner.tasks.decoding.greedy import decode_greedily

steady = settings(deadline=None, derandomize=True, max_examples=40)
ALPHABET = "1aب"
GRAMMARS = ["A", "L", "LL", "DL", "AAA", ["A", "LL"], ["DLA", "LA", "AAA"]]
seeds = st.integers(0, 10_000)
frames = st.integers(3, 5)


def spoken(num_frames: int, seed: int, *, samples: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num_frames, samples, len(ALPHABET) + 1, generator=generator)
    return (2 * logits).log_softmax(-1)


def paths_of(sample: Tensor) -> list[tuple[str, float]]:
    """Return what every path through (time, classes) spells, and its probability."""
    table = sample.double().exp().tolist()
    spelled = []
    for path in product(range(len(ALPHABET) + 1), repeat=len(table)):
        text = "".join(ALPHABET[number - 1] for number, _ in groupby(path) if number)
        probability = 1.0
        for row, number in zip(table, path, strict=True):
            probability *= row[number]
        spelled.append((text, probability))
    return spelled


def texts_of(sample: Tensor) -> dict[str, float]:
    """Return the probability of every text there is."""
    sums: dict[str, float] = {}
    for text, probability in paths_of(sample):
        sums[text] = sums.get(text, 0.0) + probability
    return sums


@steady
@given(frames, seeds)
def test_wide_beams_find_the_most_probable_text_and_its_probability(num_frames: int, seed: int):
    given = spoken(num_frames, seed)
    texts, confidences = decode_by_beams(given, ALPHABET, width=400)
    for sample, text, confidence in zip(given.unbind(1), texts, confidences, strict=True):
        sums = texts_of(sample)
        assert text == max(sums, key=lambda text: sums[text])
        assert confidence == pytest.approx(sums[text], rel=1e-5)


@steady
@given(frames, seeds, st.sampled_from(GRAMMARS))
def test_wide_beams_under_a_grammar_find_its_most_probable_text(
    num_frames: int, seed: int, patterns: str | list[str]
):
    given, grammar = spoken(num_frames, seed), Grammar(patterns, ALPHABET)
    texts, confidences = decode_by_beams(given, ALPHABET, width=400, grammar=grammar)
    for sample, text, confidence in zip(given.unbind(1), texts, confidences, strict=True):
        sums = {text: sum for text, sum in texts_of(sample).items() if grammar.admits(text)}
        assert text == max(sums, key=lambda text: sums[text])
        assert confidence == pytest.approx(sums[text], rel=1e-5)


@steady
@given(frames, seeds, st.sampled_from(GRAMMARS))
def test_greedy_reading_under_a_grammar_is_the_best_path_that_spells_a_text_of_it(
    num_frames: int, seed: int, patterns: str | list[str]
):
    given, grammar = spoken(num_frames, seed), Grammar(patterns, ALPHABET)
    texts, confidences = decode_best_paths(given, ALPHABET, grammar=grammar)
    for sample, text in zip(given.unbind(1), texts, strict=True):
        admitted = [path for path in paths_of(sample) if grammar.admits(path[0])]
        assert text == max(admitted, key=lambda path: path[1])[0]
    assert all(0 < confidence <= 1 for confidence in confidences)


def test_a_beam_adds_up_paths_where_greedy_reading_sees_the_best_one():
    table = torch.tensor([[0.6, 0.4, 0, 0], [0.6, 0.4, 0, 0]]).log()[:, None]
    assert decode_greedily(table, ALPHABET)[0] == [""]  # 0.36; "1" has 0.16 + 0.24 + 0.24
    texts, (confidence,) = decode_by_beams(table, ALPHABET, width=2)
    assert texts == ["1"]
    assert confidence == pytest.approx(0.64)


def test_a_letter_cannot_stand_where_a_digit_must():
    table = torch.full((3, 1, 4), 0.01)
    table[[0, 1, 2], 0, [2, 0, 1]] = 0.9  # says a, then 1
    table[0, 0, 1] = 0.08
    assert decoder_of(ALPHABET)(table.log())[0] == ["a1"]
    for width in (1, 4):
        assert decoder_of(ALPHABET, beam_width=width, grammar="DD")(table.log())[0] == ["11"]
        assert decoder_of(ALPHABET, beam_width=width, grammar=["DD", "LD"])(table.log())[0] == [
            "a1"
        ]


def test_what_the_grammar_admits_is_read_as_without_it_bit_for_bit():
    given = spoken(6, 1, samples=40)
    grammar = Grammar(["A", "AA", "AAA"], ALPHABET)
    free = zip(*decode_greedily(given, ALPHABET), strict=True)
    bound = zip(*decode_best_paths(given, ALPHABET, grammar=grammar), strict=True)
    pairs = list(zip(free, bound, strict=True))
    admitted = [pair for pair in pairs if grammar.admits(pair[0][0])]
    assert 5 < len(admitted) < len(pairs)
    assert all(first == second for first, second in admitted)


@pytest.mark.parametrize("grammar", [None, ["LDLDA", "DL"]])
def test_a_batch_is_read_as_its_samples_one_by_one(grammar: list[str] | None):
    given = spoken(9, 2, samples=16)
    for width in (1, 3):
        decode = decoder_of(ALPHABET, beam_width=width, grammar=grammar)
        texts, confidences = decode(given)
        alone = [decode(given[:, [number]]) for number in range(16)]
        assert texts == [text for (text,), _ in alone]
        assert confidences == pytest.approx([one for _, (one,) in alone], rel=1e-6)


def test_a_narrow_beam_under_a_grammar_always_ends_in_a_text_of_it():
    table = torch.full((6, 1, 4), 1e-6)
    table[:, 0, 1] = 1.0  # one long 1, where the grammar wants three
    table = (table / table.sum(-1, keepdim=True)).log()
    grammar = Grammar("DDD", ALPHABET)
    texts, (confidence,) = decode_by_beams(table, ALPHABET, width=2, grammar=grammar)
    assert texts == ["111"]
    assert 0 < confidence < 1e-6
    (pattern,) = grammar.patterns
    assert search(table[:5].double().numpy(), 1, pattern) == [None]  # what is made good


def test_frames_without_sense_are_read_all_the_same():
    for value in (float("nan"), float("-inf")):
        table = torch.full((4, 2, 4), value)
        for width in (1, 3):
            texts, confidences = decoder_of(ALPHABET, beam_width=width, grammar="DL")(table)
            assert all(len(text) == 2 for text in texts)
            assert all(0 <= confidence <= 1 for confidence in confidences)


@pytest.mark.parametrize("width", [1, 3])
def test_too_few_frames_for_any_text_are_told(width: int):
    decode = decoder_of("1", beam_width=width, grammar="DD")  # 1, blank, 1
    assert decode(torch.zeros(3, 1, 2).log_softmax(-1))[0] == ["11"]
    with pytest.raises(ConfigError, match=r"no text of task.grammar fits into the 2 frames"):
        decode(torch.zeros(2, 1, 2).log_softmax(-1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_width": 0}, "task.beam_width must be >= 1, got 0"),
        ({"grammar": "DXL"}, "task.grammar 'DXL': no symbol .* can stand at 'X' .D a digit"),
        ({"grammar": ["LL", "DN"]}, "task.grammar 'DN': no symbol .* can stand at 'N'"),
        ({"grammar": ""}, "task.grammar is empty"),
        ({"grammar": []}, "task.grammar is empty"),
        ({"grammar": 12}, "task.grammar must be a text such as DDLDDDDD, or a list .*, got 12"),
        ({"grammar": ["DD", 5]}, "task.grammar must be a text"),
    ],
)
def test_an_impossible_decoder_is_refused(options: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        decoder_of("0a", **options)


def test_digits_are_those_of_unicode():
    grammar = Grammar("DNL", "۰۱२0ب")
    assert all(map(grammar.admits, ("۰۱ب", "२२ب", "0२ب")))
    assert not any(map(grammar.admits, ("۱۰ب", "ب۱ب", "۰۱", "۰۱بب")))
