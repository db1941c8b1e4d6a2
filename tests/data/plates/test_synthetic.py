import pickle

import numpy as np
import pytest
import torch

from runner.data.fingerprint import fingerprint
from runner.data.pictures import Preprocessor
from runner.data.plates.synthetic import plates_synthetic
from runner.errors import DataError

SMALL = {"train_size": 40, "evaluation_size": 10, "test_size": 10}


def test_a_sample_is_a_grey_picture_and_its_text():
    sample = plates_synthetic(**SMALL).train[0]
    assert sample["image"].shape == (1, 32, 128)
    assert sample["image"].dtype == torch.uint8
    assert len(sample["text"]) == 8


def test_the_same_index_is_always_the_same_picture():
    first, second = plates_synthetic(**SMALL), plates_synthetic(**SMALL)
    second.train[7]  # another order of asking
    for index in (3, 3, 11):
        assert torch.equal(first.train[index]["image"], second.train[index]["image"])
    assert first.train.deterministic
    state = torch.get_rng_state()
    np.random.seed(0)
    assert torch.equal(first.train[3]["image"], second.train[3]["image"])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_copy_in_another_process_draws_the_same():
    data = plates_synthetic(**SMALL)
    image = data.train[5]["image"]
    copy = pickle.loads(pickle.dumps(data.train))
    assert torch.equal(copy[5]["image"], image)


def test_no_text_is_in_two_splits():
    data = plates_synthetic(format="DDLD", train_size=3000, evaluation_size=500, test_size=500)
    train, evaluation, test = (set(split.texts) for split in data.splits().values())
    assert not train & evaluation
    assert not train & test
    assert not evaluation & test


def test_seeds_give_other_plates():
    assert plates_synthetic(**SMALL).train.texts != plates_synthetic(**SMALL, seed=1).train.texts


def test_reversed_digits_change_labels_not_pictures():
    plain, turned = plates_synthetic(**SMALL), plates_synthetic(**SMALL, reverse_digits=True)
    text, other = plain.train.texts[0], turned.train.texts[0]
    assert other == text[:2][::-1] + text[2] + text[3:][::-1]
    assert torch.equal(plain.train[0]["image"], turned.train[0]["image"])


def test_a_text_that_is_too_long_is_refused():
    with pytest.raises(DataError, match=r"max_length.*has 8 symbols, max_length is 7"):
        plates_synthetic(**SMALL, max_length=7)


def test_sizes_of_zero_leave_a_split_out():
    data = plates_synthetic(train_size=5, evaluation_size=0, test_size=0)
    assert list(data.splits()) == ["train"]
    with pytest.raises(DataError, match="train_size must be >= 1"):
        plates_synthetic(train_size=0)


def test_pictures_of_another_size_than_the_preprocessors_are_refused():
    plates_synthetic(**SMALL, preprocessor=Preprocessor(height=32, width=128))
    with pytest.raises(DataError, match="64x256 pictures, the plates are 32x128"):
        plates_synthetic(**SMALL, preprocessor=Preprocessor(height=64, width=256))


def test_the_fingerprint_tells_other_data():
    base = fingerprint(plates_synthetic(**SMALL))
    assert base == fingerprint(plates_synthetic(**SMALL))
    assert base != fingerprint(plates_synthetic(**SMALL, seed=1))
    assert base != fingerprint(plates_synthetic(**SMALL, region_length=0))


def test_the_collated_batch_has_pictures_and_texts():
    data = plates_synthetic(**SMALL)
    assert data.collate is not None
    batch = data.collate([data.train[0], data.train[1]])
    assert batch["image"].shape == (2, 1, 32, 128)
    assert batch["text"] == data.train.texts[:2]
