"""Pictures from the hub: the layouts that `datasets` reads, here in a folder."""

import io
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from runner.data.fingerprint import fingerprint
from runner.data.ocr_hub import ocr_hub
from runner.data.pictures import Preprocessor
from runner.data.plates.synthetic import plates_synthetic
from runner.errors import DataError

datasets = pytest.importorskip("datasets")
PERSIAN = "۰۱۲۳۴۵۶۷۸۹بتجدژسصطعقلمنهوی"
Row = tuple[bytes, str]  # a PNG and its text


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def png(image: torch.Tensor) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image[0].numpy()).save(content, "PNG")
    return content.getvalue()


def plates(count: int) -> list[Row]:
    drawn = plates_synthetic(
        height=16, width=64, train_size=count, evaluation_size=0, test_size=0, alphabet=PERSIAN
    )
    samples = [drawn.train[index] for index in range(count)]  # type: ignore[index]
    return [(png(sample["image"]), sample["text"]) for sample in samples]


def write(folder: Path, **splits: list[Row]) -> Path:
    """Write a copy as it lies on the hub."""
    features = datasets.Features(
        {"image_path": datasets.Image(), "label": datasets.Value("string")}
    )
    (folder / "data").mkdir(parents=True)
    for split, rows in splits.items():
        columns = {
            "image_path": [{"bytes": content, "path": None} for content, _ in rows],
            "label": [text for _, text in rows],
        }
        table = datasets.Dataset.from_dict(columns, features=features)
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def read(folder: Path, **options: Any) -> Any:
    defaults = {"alphabet": PERSIAN, "preprocessor": Preprocessor(16, 64)}
    return ocr_hub(path=str(folder), **{**defaults, **options})


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return plates(8)


@pytest.mark.parametrize("cache", [True, False])
def test_a_copy_of_the_hub_is_read_split_by_split(
    tmp_path: Path, rows: list[Row], cache: bool
) -> None:
    folder = write(tmp_path / "copy", train=rows[:5], validation=rows[5:7], test=rows[7:])
    data = read(folder, cache=cache)
    assert data.train.texts == [text for _, text in rows[:5]]
    assert data.evaluation.texts == [text for _, text in rows[5:7]]
    assert data.test.texts == [rows[7][1]]
    picture = torch.frombuffer(
        bytearray(Image.open(io.BytesIO(rows[3][0])).tobytes()), dtype=torch.uint8
    )
    for dataset in (data.train, pickle.loads(pickle.dumps(data.train))):  # as workers get it
        assert torch.equal(dataset[3]["image"].flatten(), picture)
    assert data.collate([data.train[0]])["text"] == [rows[0][1]]


@pytest.mark.parametrize("cache", [True, False])
def test_other_pictures_are_other_data(tmp_path: Path, rows: list[Row], cache: bool) -> None:
    changed = [*rows[:4], (rows[0][0], rows[4][1])]
    one = write(tmp_path / "one", train=rows[:5], validation=rows[5:7], test=rows[7:])
    other = write(tmp_path / "other", train=changed, validation=rows[5:7], test=rows[7:])
    first, again, second = (fingerprint(read(folder, cache=cache)) for folder in (one, one, other))
    assert first == again
    assert first["train"] != second["train"]


def test_splits_go_by_name_and_a_part_may_be_held_out(tmp_path: Path, rows: list[Row]) -> None:
    folder = write(tmp_path / "copy", train=rows[:6], test=rows[6:])
    data = read(folder, splits={"evaluation": None}, holdout_fraction=0.4)
    assert sorted(data.train.texts + data.evaluation.texts) == sorted(t for _, t in rows[:6])
    assert data.evaluation.texts
    with pytest.raises(DataError, match="evaluation=validation: .* has the splits train, test"):
        read(folder)


def test_a_folder_of_pictures_with_metadata_is_read_too(tmp_path: Path, rows: list[Row]) -> None:
    for split in ("train", "validation"):
        (tmp_path / "folder" / split).mkdir(parents=True)
        lines = []
        for number, (content, text) in enumerate(rows[:3]):
            (tmp_path / "folder" / split / f"{number}.png").write_bytes(content)
            lines.append(f'{{"file_name": "{number}.png", "text": "{text}"}}\n')
        metadata = tmp_path / "folder" / split / "metadata.jsonl"
        metadata.write_text("".join(lines), encoding="utf-8")
    data = read(
        tmp_path / "folder", image_column="image", text_column="text", splits={"test": None}
    )
    assert data.train.texts == [text for _, text in rows[:3]]
    assert data.train[0]["image"].shape == (1, 16, 64)


def test_bad_samples_are_told_with_their_rows_or_left_out(
    tmp_path: Path, rows: list[Row], caplog: pytest.LogCaptureFixture
) -> None:
    train = [rows[0], (b"no picture", "۱۲"), (rows[1][0], "abc"), rows[2]]
    folder = write(tmp_path / "copy", train=train, validation=rows[3:5], test=rows[5:])
    with pytest.raises(DataError) as caught:
        read(folder)
    broken, unknown, advice = str(caught.value).splitlines()
    assert "train row 1: picture" in broken
    assert "cannot be read: it is no picture" in broken
    assert "train row 2: text 'abc' holds 'a'" in unknown
    assert advice == "to leave such rows out: data.on_bad_sample=skip"
    with caplog.at_level(logging.WARNING):
        data = read(folder, on_bad_sample="skip")
    assert data.train.texts == [rows[0][1], rows[2][1]]
    assert sum("left out" in record.getMessage() for record in caplog.records) == 2


def test_columns_that_are_not_there_are_named(tmp_path: Path, rows: list[Row]) -> None:
    folder = write(tmp_path / "copy", train=rows[:2], validation=rows[:2], test=rows[:2])
    with pytest.raises(DataError, match="label, .*|text_column=labels: .* did you mean 'label'"):
        read(folder, text_column="labels")
    with pytest.raises(
        DataError, match=r"image_column=image: .* has the columns image_path, label"
    ):
        read(folder, image_column="image")
    with pytest.raises(DataError, match=r"data\.splits\.trian is no split"):
        read(folder, splits={"trian": "train"})


def test_texts_that_were_read_as_numbers_are_refused(tmp_path: Path, rows: list[Row]) -> None:
    (tmp_path / "data").mkdir()
    table = datasets.Dataset.from_dict(
        {"image_path": [{"bytes": rows[0][0], "path": None}], "label": [12]},
        features=datasets.Features(
            {"image_path": datasets.Image(), "label": datasets.Value("int64")}
        ),
    )
    table.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match="holds no texts but int: digits in a metadata.csv"):
        read(tmp_path, splits={"evaluation": None, "test": None})


def test_without_network_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError) as caught:
        read(Path("nobody/no-such-plates"))
    (sentence,) = str(caught.value).splitlines()
    assert sentence.startswith("data.path=nobody/no-such-plates cannot be loaded: ")
    assert sentence.endswith(
        "copy the data set to a folder (data/train-*.parquet and so on) and set data.path to it"
    )
