"""docs/slurm.md knows every key of hardware.slurm with its default; its commands are valid."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from runner.config.cluster import SlurmOptions
from runner.config.compose import compose
from runner.config.validate import validate

PAGE = (Path(__file__).parents[2] / "docs" / "slurm.md").read_text(encoding="utf-8")
CHECKS = re.findall(r"^python -m runner check (.*)$", PAGE, re.MULTILINE)


def test_the_page_knows_every_key_and_its_default() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| (\S+) \|", PAGE, re.MULTILINE)
    told = {
        key: yaml.safe_load(value) for keys, value in rows for key in re.findall("[a-z_]+", keys)
    }
    options = SlurmOptions()
    assert told == {field.name: getattr(options, field.name) for field in fields(options)}


@pytest.mark.parametrize("command", CHECKS)
def test_a_command_composes_a_valid_config(command: str) -> None:
    slurm = validate(compose(shlex.split(command))).hardware.slurm
    assert slurm != SlurmOptions()
