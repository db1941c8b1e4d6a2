import random

import pytest
import torch
from PIL import Image

from runner.data.data import Data
from runner.data.pictures import Preprocessor
from runner.data.plates_mixed import RealAndSynthetic, plates_mixed
from runner.data.text_pictures import StoredPictures, TextPictures
from runner.errors import DataError


def plates(*texts: str, shade: int = 0) -> TextPictures:
    picture = torch.full((1, 4, 8), shade, dtype=torch.uint8)
    return TextPictures(texts, StoredPictures([picture] * len(texts)))


def mixed(fraction: float, *, excluded=()) -> RealAndSynthetic:
    real, synthetic = plates(*"aaaaaaaa"), plates("b", "c", "d", shade=255)
    return RealAndSynthetic(
        real, synthetic, synthetic_fraction=fraction, excluded_texts=set(excluded)
    )


def draw(dataset, seed):
    random.seed(seed)
    return [dataset[index]["text"] for index in range(len(dataset))]


@pytest.mark.parametrize(("fraction", "length"), [(0.0, 8), (0.2, 10), (0.5, 16)])
def test_synthetic_plates_fill_their_share_of_an_epoch(fraction, length):
    texts = draw(mixed(fraction), seed=0)
    assert len(texts) == length
    assert texts.count("a") == 8


def test_each_epoch_draws_other_plates_and_the_same_seed_the_same():
    dataset = mixed(0.5)
    assert draw(dataset, seed=0) == draw(dataset, seed=0)
    assert draw(dataset, seed=0) != draw(dataset, seed=1)
    assert not dataset.deterministic


def test_texts_that_are_measured_are_never_drawn():
    dataset = mixed(0.8, excluded=["b", "d"])
    assert set(draw(dataset, seed=0)) == {"a", "c"}
    assert set(dataset.texts) == {"a", "c"}


def test_texts_hold_all_that_may_come():
    assert set(mixed(0.2).texts) == {"a", "b", "c", "d"}
    assert set(mixed(0.0).texts) == {"a"}


def test_a_fraction_of_one_is_refused():
    with pytest.raises(DataError, match="synthetic_fraction must be >= 0 and < 1, got 1"):
        mixed(1.0)


def test_nothing_to_draw_from_is_an_error():
    with pytest.raises(DataError, match="no train plates to draw from"):
        mixed(0.2, excluded=["b", "c", "d"])


def test_evaluation_is_held_out_of_train_and_test_is_val(tmp_path):
    lines = ["file,text,split,region"]
    for number in range(60):
        Image.new("L", (8, 4)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{number // 2},{'val' if number > 55 else 'train'},IR")
    (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    data = plates_mixed(
        root=str(tmp_path),
        alphabet="0123456789",
        preprocessor=Preprocessor(4, 8),
        synthetic=Data(train=plates("77", "29", "28")),
        where={"region": "IR"},
        holdout_fraction=0.3,
    )
    assert data.test.texts == ["28", "28", "29", "29"]
    held_out = set(data.evaluation.texts)
    assert held_out
    assert not held_out & set(data.train.texts)
    assert "77" in data.train.texts
    assert not {"28", "29"} & set(data.train.texts)
