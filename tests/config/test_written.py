from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from runner.config.written import read_config, to_yaml
from runner.errors import RunError

TEXTS = ["1e3", "1_000", "on", "null", "~", "12:30:45", "2026-11-21", ".5", "0x1f", "nan", ""]
CONFIG = {
    "texts": {f"text_{number}": text for number, text in enumerate(TEXTS)},
    "alphabet": "۰۱۲ الف ب پ",
    "home": "${oc.env:HOME}",
    "numbers": [1e-5, 1000.0, 1, True, None, float("inf")],
    "lines": "one\ntwo  # three",
    "empty": {},
}


def test_what_is_written_is_read_back_by_both_readers(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(CONFIG), encoding="utf-8")
    assert OmegaConf.to_container(OmegaConf.load(path), resolve=False) == CONFIG
    assert read_config(path) == CONFIG == yaml.safe_load(path.read_text(encoding="utf-8"))
    assert "الف" in path.read_text(encoding="utf-8")


def test_a_folder_without_a_config_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run directory"):
        read_config(tmp_path / "config.yaml")
