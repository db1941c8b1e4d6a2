"""Weights that no training has touched are used with a warning."""

import logging
from pathlib import Path

import pytest

from runner import load_reader
from runner.build.trained.evaluating import Asked, evaluate_run
from runner.build.trained.exporting import export_model
from runner.build.trained.model import trained_model
from tests.trained import plate_run

__all__ = ["plate_run"]  # a fixture

TOLD = "the weights are of step 0, before any training"


@pytest.fixture
def untrained(plate_run: Path, tmp_path: Path) -> Path:
    """A model that was exported of step 0."""
    export_model(plate_run, to=tmp_path / "plates")
    card = tmp_path / "plates/model.json"
    card.write_text(card.read_text().replace('"step": 4', '"step": 0'), encoding="utf-8")
    return tmp_path / "plates"


@pytest.mark.parametrize("use", [load_reader, trained_model, evaluate_run, export_model])
def test_what_uses_untrained_weights_warns_once(use, untrained: Path, caplog, tmp_path) -> None:
    more = {"to": tmp_path / "other"} if use is export_model else {}
    use(Asked(path=untrained) if use is evaluate_run else untrained, **more)
    assert [record.levelno for record in caplog.records if TOLD in record.message] == [
        logging.WARNING
    ]


def test_nothing_is_said_of_trained_ones(plate_run: Path, caplog, tmp_path) -> None:
    load_reader(plate_run)
    export_model(plate_run, to=tmp_path / "plates")
    assert TOLD not in caplog.text
