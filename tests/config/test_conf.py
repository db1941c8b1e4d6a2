"""conf/ as it is shipped."""

from dataclasses import asdict
from typing import Any

import pytest
import yaml

from runner.config.compose import compose
from runner.config.groups import describe, groups, members
from runner.config.locate import shipped_conf
from runner.config.options import Options
from runner.config.validate import validate

NEEDED = {  # what a member needs beside it to be runnable
    "data=ocr_folder": ["task=ctc", "model=crnn", "data.root=somewhere"],
    "data=ocr_hub": ["task=ctc", "model=crnn"],
    "data=plates_synthetic": ["task=ctc", "model=crnn"],
    "data=plates_mixed": ["task=ctc", "model=crnn", "data.root=somewhere"],
    "task=ctc": ["data=plates_synthetic", "model=crnn"],
    "task=adversarial": ["model=gan", "optimizer=gan"],
    "data=character_text": ["model=gpt2", "task=huggingface", "task.labels=next_tokens"],
    "data=string_pairs": ["model=encoder_decoder", "task=sequence_to_sequence"],
    "task=huggingface": ["data=opinions", "model=bert_classifier", "task.labels=classes"],
    "task=sequence_to_sequence": ["data=string_pairs", "model=encoder_decoder"],
    "model=gpt2": ["data=character_text", "task=huggingface", "task.labels=next_tokens"],
    "model=encoder_decoder": ["data=string_pairs", "task=sequence_to_sequence"],
    "model=crnn": ["data=plates_synthetic", "task=ctc"],
    "model=gan": ["task=adversarial", "optimizer=gan"],
    "experiment=plate_ocr_real": ["data.root=somewhere"],
    "experiment=distillation": ["task.teacher.run=somewhere"],
    "task=distillation": ["task.teacher.run=somewhere"],
    "task=regression": ["model.num_classes=1"],
    "task=supervised": ["model.num_classes=1"],
    "task=autoencoder": ["model=vae"],
}


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((shipped_conf() / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("loader", "loader"),
        ("trainer/default", "trainer"),
        ("checkpoint/default", "checkpoint"),
        ("precision/fp32", "precision"),
        ("debug/none", "debug"),
        ("parameters/default", "parameters"),
    ],
)
def test_conf_repeats_the_defaults_of_the_dataclass(file: str, part: str) -> None:
    assert read(f"{file}.yaml") == asdict(getattr(Options(), part))


def test_hardware_and_slurm_repeat_the_defaults_in_two_files() -> None:
    hardware = read("hardware/auto.yaml") | {"slurm": read("slurm.yaml")}
    assert hardware == asdict(Options().hardware)
    assert compose().hardware == hardware


@pytest.mark.parametrize("member", ["auto", "cpu", "cuda", "fsdp", "mps"])
def test_every_hardware_keeps_the_node_slurm(member: str) -> None:
    assert compose([f"hardware={member}"]).hardware.slurm == read("slurm.yaml")


def choices() -> list[str]:
    return [f"{group}={member}" for group in groups() for member in members(group)]


@pytest.mark.parametrize("choice", choices())
def test_every_member_of_every_group_makes_a_valid_config(choice: str) -> None:
    sign = "+" if choice.startswith("experiment=") else ""
    config = validate(compose([f"{sign}{choice}", *NEEDED.get(choice, [])]))
    assert config.model["_target_"]


@pytest.mark.parametrize("choice", choices())
def test_every_member_is_described_by_its_first_line(choice: str) -> None:
    group, member = choice.split("=")
    assert len(describe(group, member)) > 3


def test_the_files_are_short() -> None:
    long = [
        path.name
        for path in shipped_conf().rglob("*.yaml")
        if len(path.read_text(encoding="utf-8").splitlines()) > 60
    ]
    assert long == []


def test_the_groups_of_the_design_are_there() -> None:
    assert {"sgd", "adam", "adamw"} <= set(members("optimizer"))
    assert {"constant", "cosine", "one_cycle", "step", "plateau"} <= set(members("scheduler"))
    assert {"fp32", "bf16", "fp16", "tf32"} <= set(members("precision"))
    assert {"auto", "cpu", "cuda", "mps"} <= set(members("hardware"))
    assert {"crnn", "mlp", "convnet"} <= set(members("model"))
