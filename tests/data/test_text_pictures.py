import pickle

import torch
from PIL import Image

from runner.data.pictures import PictureFile, Preprocessor
from runner.data.text_pictures import (
    PicturesOnDemand,
    StoredPictures,
    TextPictures,
    collate_text_pictures,
)


def stored(*values: int) -> StoredPictures:
    return StoredPictures([torch.full((1, 2, 3), value, dtype=torch.uint8) for value in values])


def test_samples_are_a_picture_and_its_text():
    dataset = TextPictures(["a", "b"], stored(1, 2))
    assert len(dataset) == 2
    assert dataset[1]["text"] == "b"
    assert dataset[1]["image"].tolist() == [[[2, 2, 2], [2, 2, 2]]]
    assert dataset.deterministic


def test_batches_stack_pictures_and_list_texts():
    dataset = TextPictures(["a", "b"], stored(1, 2))
    batch = collate_text_pictures([dataset[0], dataset[1]])
    assert batch["image"].shape == (2, 1, 2, 3)
    assert batch["image"].dtype == torch.uint8
    assert batch["text"] == ["a", "b"]


def test_fingerprint_follows_texts_and_pictures():
    first = TextPictures(["a", "b"], stored(1, 2)).fingerprint
    assert TextPictures(["a", "b"], stored(1, 2)).fingerprint == first
    assert TextPictures(["a", "c"], stored(1, 2)).fingerprint != first
    assert TextPictures(["a", "b"], stored(1, 3)).fingerprint != first


def test_files_are_read_when_asked_for_also_by_a_worker(tmp_path):
    Image.new("L", (6, 4), 9).save(tmp_path / "a.png")
    pictures = PicturesOnDemand([PictureFile(tmp_path / "a.png")], Preprocessor(2, 3))
    dataset = pickle.loads(pickle.dumps(TextPictures(["a"], pictures)))
    assert dataset[0]["image"].tolist() == [[[9, 9, 9], [9, 9, 9]]]
    assert "a.png" in dataset.fingerprint
