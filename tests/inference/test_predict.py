import logging

import pytest
import torch
from PIL import Image
from torch import nn

from runner.config.options import PrecisionOptions
from runner.data.pictures import Preprocessor
from runner.inference.predict import predict_pictures
from runner.runtime.precision import Precision
from runner.tasks.ctc import CTC

CPU = torch.device("cpu")


class ReadsBrightness(nn.Module):
    """Says "a" for dark pictures and "b" for bright ones; counts its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_sizes: list[int] = []

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.batch_sizes.append(len(pictures))
        bright = pictures.float().mean(dim=(1, 2, 3)) > 127
        logits = torch.zeros(1, len(pictures), 3)
        logits[0, :, 1] = (~bright).float() * 20
        logits[0, :, 2] = bright.float() * 20
        return logits


@pytest.fixture
def files(tmp_path):
    for number in range(5):
        Image.new("L", (8, 4), 255 * (number % 2)).save(tmp_path / f"{number}.png")
    return [tmp_path / f"{number}.png" for number in range(5)]


def predict(model, files, **options):
    precision = Precision(PrecisionOptions(), CPU)
    return predict_pictures(
        model, CTC("ab"), Preprocessor(4, 8), files, device=CPU, precision=precision, **options
    )


def test_every_picture_is_read_in_order_and_in_batches(files):
    model = ReadsBrightness()
    readings = list(predict(model, files, batch_size=2))
    assert [reading.text for reading in readings] == ["a", "b", "a", "b", "a"]
    assert [reading.file for reading in readings] == [str(file) for file in files]
    assert all(reading.confidence == pytest.approx(1.0, abs=1e-6) for reading in readings)
    assert model.batch_sizes == [2, 2, 1]


def test_a_picture_that_cannot_be_read_is_reported_and_the_rest_are_read(files, caplog):
    files[1].write_text("no picture", encoding="utf-8")
    files[2].unlink()
    with caplog.at_level(logging.WARNING):
        readings = list(predict(ReadsBrightness(), files))
    assert [reading.file for reading in readings] == [str(files[index]) for index in (0, 3, 4)]
    assert [record.getMessage().split()[0:2] for record in caplog.records] == [["left", "out:"]] * 2


def test_unreadable_pictures_can_be_collected(files):
    files[4].write_text("no picture", encoding="utf-8")
    unreadable = []
    list(predict(ReadsBrightness(), files, on_unreadable=lambda file, _: unreadable.append(file)))
    assert unreadable == [files[4]]


def test_readings_come_before_the_last_picture_is_loaded(files):
    def lazily():
        yield from files[:2]
        raise AssertionError("loaded too early")

    readings = predict(ReadsBrightness(), lazily(), batch_size=2)
    assert next(readings).text == "a"
