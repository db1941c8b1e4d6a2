"""The texts that runner makes itself: pairs, a grammar's text, opinions; and their tokens."""

from pathlib import Path

import pytest

from runner.config.resolvers import _vocabulary_size
from runner.data.character_text import character_text, grammar_text
from runner.data.characters import Characters
from runner.data.opinions import VOCABULARY, Words, opinions
from runner.data.string_pairs import string_pairs
from runner.errors import DataError

LETTERS = " .abcdefghijklmnopqrstuvwxyz"


def test_characters_go_to_tokens_and_back() -> None:
    characters = Characters("abc")
    assert characters.encode("cab") == [5, 3, 4]
    assert characters.encode("a", add_special_tokens=True) == [1, 3, 2]
    assert characters.decode([1, 5, 2, 0]) == "c"
    assert characters.decode([1, 5, 2], skip_special_tokens=False) == "·c·"
    assert len(characters) == 6 == _vocabulary_size("abc"), "what ${vocabulary_size:...} says"
    with pytest.raises(DataError, match="holds 'x'"):
        characters.encode("ax")
    with pytest.raises(DataError, match="a stands in it twice"):
        Characters("aba")


def test_pairs_follow_the_rule_and_no_text_is_in_two_splits() -> None:
    data = string_pairs(alphabet="0123456789", rule="sort", train_size=50, evaluation_size=20)
    pairs = [data.train[i] for i in range(50)] + [data.evaluation[i] for i in range(20)]
    assert len({pair["input"] for pair in pairs}) == 70
    assert all(pair["target"] == "".join(sorted(pair["input"])) for pair in pairs)
    again = string_pairs(alphabet="0123456789", rule="sort", train_size=50, evaluation_size=20)
    assert again.train.fingerprint == data.train.fingerprint
    other = string_pairs(alphabet="0123456789", train_size=50, evaluation_size=20, pairs_seed=1)
    assert other.train.fingerprint != data.train.fingerprint
    assert data.collate is not None
    assert data.collate(pairs[:2])["input"] == [pair["input"] for pair in pairs[:2]]
    with pytest.raises(DataError, match="got 'srot' - did you mean 'sort'"):
        string_pairs(alphabet="01", rule="srot")
    with pytest.raises(DataError, match="too many for the 12 texts"):
        string_pairs(alphabet="01", max_length=3, min_length=2)


def test_a_grammar_makes_the_same_text_every_time() -> None:
    text = grammar_text(300, seed=3)
    assert text == grammar_text(300, seed=3) != grammar_text(300, seed=4)
    assert 250 < len(text) <= 300
    sentences = text.strip().split(". ")
    assert all(len(sentence.split()) in (5, 6, 7) for sentence in sentences)


def test_a_text_is_cut_in_blocks_and_its_end_is_for_evaluation(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("abcd" * 10, encoding="utf-8")
    data = character_text(alphabet=LETTERS, file=str(file), block_size=4, evaluation_fraction=0.3)
    assert (len(data.train), len(data.evaluation)) == (7, 3)  # type: ignore[arg-type]
    assert data.collate is not None
    batch = data.collate([data.train[0], data.train[1]])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8]] * 2
    with pytest.raises(DataError, match="leaves 0 of 10 blocks"):
        character_text(alphabet=LETTERS, file=str(file), block_size=4, evaluation_fraction=0.01)
    with pytest.raises(DataError, match="cannot be read"):
        character_text(alphabet=LETTERS, file=str(tmp_path / "none.txt"))


def test_opinions_are_turned_round_by_not_and_each_is_there_once() -> None:
    data = opinions(train_size=900, evaluation_size=60)
    assert data.collate is not None
    rows = [data.train[i] for i in range(900)] + [data.evaluation[i] for i in range(60)]
    batch = data.collate(rows)
    texts = [Words().decode(row) for row in batch["input_ids"].tolist()]
    classes = dict(zip(texts, batch["labels"].tolist(), strict=True))
    assert len(classes) == 960
    assert classes["the film was very good"] == 1 == classes["the film was not very bad"]
    assert classes["the film was bad"] == 0 == classes["the film was not good"]
    assert batch["attention_mask"].sum(1).tolist() == [len(text.split()) for text in texts]
    assert len(VOCABULARY) == 28, "what conf/model/bert_classifier.yaml says"
    assert Words().encode("the film was bad") == [1, 4, 2, 16]
    with pytest.raises(DataError, match="unknown word 'movie'"):
        Words().encode("the movie")
    with pytest.raises(DataError, match="there are 960 sentences"):
        opinions(train_size=1000)
