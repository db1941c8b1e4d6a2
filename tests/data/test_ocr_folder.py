import logging
from pathlib import Path

import pytest
import torch
from PIL import Image

from runner.data.ocr_folder import ocr_folder
from runner.data.pictures import Preprocessor
from runner.errors import DataError

PLATES = Path(__file__).parents[3] / "shared" / "data" / "plates_real"
PERSIAN = "۰۱۲۳۴۵۶۷۸۹بتجدژسصطعقلمنهوی"
ROWS = [("a.png", "12", "train"), ("b.png", "21", "train"), ("c.png", "1", "val")]


@pytest.fixture
def folder(tmp_path):
    lines = ["file,text,split", *(",".join(row) for row in ROWS)]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for shade, (file, _, _) in enumerate(ROWS):
        Image.new("L", (12, 6), shade * 40).save(tmp_path / file)
    return tmp_path


def read(root, **options):
    defaults = {"alphabet": "012", "preprocessor": Preprocessor(4, 8)}
    return ocr_folder(root=str(root), **{**defaults, **options})


def test_rows_become_splits_in_their_order(folder):
    data = read(folder)
    assert [data.train[index]["text"] for index in range(2)] == ["12", "21"]
    assert data.train[1]["image"].unique().tolist() == [40]
    assert data.evaluation.texts == ["1"]
    assert data.test is None


def test_pictures_may_be_read_anew_for_every_sample(folder):
    cached, uncached = read(folder), read(folder, cache=False)
    for index in range(2):
        assert torch.equal(cached.train[index]["image"], uncached.train[index]["image"])


def test_digits_are_turned_as_asked(folder):
    assert read(folder, reverse_digits=True).train.texts == ["21", "12"]


def test_a_part_of_train_is_held_out_where_no_value_makes_evaluation(folder):
    data = read(folder, splits={"evaluation": None, "test": "val"}, holdout_fraction=0.5)
    assert sorted(data.train.texts + data.evaluation.texts) == ["12", "21"]
    assert data.test.texts == ["1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alphabet": "01"}, r"labels\.csv row 2: text '12' holds '2' \(U\+0032\)"),
        ({"max_length": 1}, r"labels\.csv row 3: text '21' has 2 symbols, max_length is 1"),
        ({"alphabet": "0110"}, r"data\.alphabet: .*twice"),
        ({"on_bad_sample": "ignore"}, "data.on_bad_sample must be error or skip, got 'ignore'"),
        ({"where": {"text": "9"}}, "no row"),
    ],
)
def test_options_that_do_not_fit_are_told(folder, options, message):
    with pytest.raises(DataError, match=message):
        read(folder, **options)


@pytest.mark.parametrize("cache", [True, False])
def test_a_missing_and_a_broken_picture_are_told_together_with_their_rows(folder, cache):
    (folder / "a.png").unlink()
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:45])
    with pytest.raises(DataError) as caught:
        read(folder, cache=cache)
    missing, broken, advice = str(caught.value).splitlines()
    assert "row 2: picture" in missing
    assert "a.png does not exist" in missing
    assert "row 3: picture" in broken
    assert "b.png cannot be read" in broken
    assert advice == "to leave such rows out: data.on_bad_sample=skip"


@pytest.mark.parametrize("cache", [True, False])
def test_bad_samples_are_left_out_with_a_warning_each(folder, caplog, cache):
    (folder / "a.png").write_text("no picture", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        data = read(folder, on_bad_sample="skip", cache=cache)
    assert data.train.texts == ["21"]
    assert len(data.train) == 1
    (record,) = caplog.records
    assert "left out" in record.getMessage()
    assert "row 2" in record.getMessage()


def test_nothing_left_is_an_error(folder):
    with pytest.raises(DataError, match="the train split is empty: none of its 2 rows"):
        read(folder, alphabet="1", on_bad_sample="skip")


def test_many_bad_rows_are_counted_not_listed(tmp_path):
    rows = "".join(f"{number}.png,x,train\n" for number in range(40))
    (tmp_path / "labels.csv").write_text("file,text,split\n" + rows, encoding="utf-8")
    with pytest.raises(DataError, match=r"\.\.\. and 30 more rows"):
        read(tmp_path, splits={"evaluation": None}, holdout_fraction=0.0)


@pytest.mark.skipif(not PLATES.is_dir(), reason="needs ../shared/data/plates_real")
def test_real_plates_are_read_as_their_sources_say():
    data = ocr_folder(
        root=str(PLATES),
        alphabet=PERSIAN,
        preprocessor=Preprocessor(16, 64),
        where={"region": "IR"},
        max_length=8,
        cache=False,
    )
    assert (len(data.train), len(data.evaluation)) == (1567, 130)
    assert not set(data.train.texts) & set(data.evaluation.texts)
    assert set(map(len, data.train.texts)) == {8}
    assert data.train[0]["image"].shape == (1, 16, 64)
