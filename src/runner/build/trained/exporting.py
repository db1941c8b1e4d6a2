"""Export what was trained: a folder that holds the model and all that is needed to use it."""

import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from runner.build.trained.examples import Examples, example_batches
from runner.build.trained.export_readme import write_readme
from runner.build.trained.export_target import carry_evaluations, carry_over, check_target
from runner.build.trained.model_card import model_card
from runner.build.trained.network import describe_network, reads_pictures
from runner.build.trained.result import extras, step_to_use
from runner.build.trained.used_run import config_to_use, run_to_use
from runner.build.trained.weights import load_trained_weights, read_trained_weights
from runner.checkpoint.weights import save_weights, weight_files
from runner.config.instantiate import instantiate
from runner.config.options import HardwareOptions
from runner.config.run_config import RunConfig
from runner.config.trust import NOBODY_ELSE, Trust
from runner.errors import RunError, RunnerError
from runner.files import sha256_of
from runner.inference import onnx_model, traced
from runner.inference.call import StandIn, watch
from runner.inference.export_check import Checked, Original, check_exported
from runner.inference.progress import Tell, tell_nobody
from runner.inference.traced import Traced, trace
from runner.run.directory import RunDirectory
from runner.run.model_card import ModelCard, is_exported, read_model_card, write_model_card
from runner.run.whole import bring_back, new_folder, put_in_place
from runner.runtime.device import prepare_hardware
from runner.runtime.precision import Precision

TORCH_EXPORT, ONNX = traced.FILE, onnx_model.FILE
_SAVE: dict[str, Callable[[Traced, Path], StandIn]] = {
    TORCH_EXPORT: traced.save_traced,
    ONNX: onnx_model.save_onnx,
}


@dataclass(kw_only=True)
class Exported:
    """What was exported, and what came of each program that was asked for."""

    folder: Path
    card: ModelCard
    told: list[str] = field(default_factory=list)  # of those that are there, how they agree
    problems: list[str] = field(default_factory=list)  # why others are not


def export_model(
    path: Path,
    *,
    to: Path | None = None,
    step: int | None = None,
    programs: tuple[str, ...] = (),
    force: bool = False,
    trust: Trust = NOBODY_ELSE,
    tell: Tell = tell_nobody,
) -> Exported:
    """Export the run in `path`, or a model exported before, to `to` (None: its folder "export").

    Weights (safetensors), config, preprocessor, calibration, card and a page about them, whole or
    not at all; with those of `programs` (TORCH_EXPORT, ONNX) that can be made, each compared with
    the original. The same model in `to` is written anew: its evaluations and its programs stay. For
    another model, or other files in its folder, it takes `force`; what is no model is never
    replaced. `tell` is told how far it is. Raises RunnerError, and then nothing is written.
    """
    source = run_to_use(path)
    chosen = step_to_use(source, step)
    target = RunDirectory((to or source.export).resolve())
    try:
        bring_back(target.path)
        check_target(target.path, source, _card(source, chosen), force=force)
        with new_folder(target.path.parent) as folder:
            tell("copying the weights")
            partial = RunDirectory(folder)
            exported = Exported(folder=target.path, card=_write_model(source, chosen, partial))
            if programs:
                _write_programs(source, chosen, programs, folder, exported, trust, tell)
            _finish(partial, target, exported)
            put_in_place(folder, target.path)
            carry_evaluations(partial, target)  # of an evaluation that was made meanwhile
    except OSError as error:
        raise RunError(f"{target.path} cannot be written: {error.strerror or error}") from error
    return exported


def _finish(partial: RunDirectory, target: RunDirectory, exported: Exported) -> None:
    """Write the page and the card, let stay what may, and have all of it on the disk."""
    exported.card = carry_over(target, partial, exported.card)
    write_model_card(partial.model_card, exported.card)
    write_readme(partial.path, exported.card)
    for path in partial.path.rglob("*"):
        if path.is_file():
            path.chmod(partial.path.stat().st_mode & 0o666)  # safetensors lets nobody else read
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _card(source: RunDirectory, step: int) -> ModelCard:
    return read_model_card(source.model_card) if is_exported(source) else model_card(source, step)


def _write_model(source: RunDirectory, step: int, target: RunDirectory) -> ModelCard:
    tied = save_weights(read_trained_weights(source, step), target.path)
    files = weight_files(target.path)
    checksums = {file.name: sha256_of(file) for file in files}
    card = replace(
        _card(source, step), weights=checksums, tied=tied, programs={}, checks={}, network={}
    )
    shutil.copyfile(source.config, target.config)
    for extra in extras(source):
        if extra.is_dir():
            shutil.copytree(extra, target.path / extra.name, symlinks=True)
        else:
            shutil.copyfile(extra, target.path / extra.name)
    write_model_card(target.model_card, card)
    return card


def _write_programs(
    source: RunDirectory,
    step: int,
    programs: tuple[str, ...],
    folder: Path,
    exported: Exported,
    trust: Trust,
    tell: Tell,
) -> None:
    """Make each program; one that cannot be made is a problem, and harms nothing else."""
    tell("tracing the network")
    try:
        config = config_to_use(source, trust=trust)
        original, examples = _original(source, config, step)
        call, _ = watch(original.model, original.task, original.batches[0], autocast=nullcontext)
        program = trace(original.model, call, only_batch=reads_pictures(config))
        network = describe_network(
            config, original.task, call, program.output_names, any_batch=program.takes_any_batch
        )
        program = replace(program, facts=network)
    except RunnerError as error:
        exported.problems.extend(f"no {name}: {error}" for name in programs)
        return
    for name in programs:
        tell(f"making and trying {name}")
        try:
            checked = _checked(original, program, folder / name)
        except RunnerError as error:
            (folder / name).unlink(missing_ok=True)
            exported.problems.append(f"no {name}: {error}")
            continue
        told = _described(checked, program, examples, config)
        exported.told.append(f"{name}: {told}")
        made = {**exported.card.programs, name: told}
        checks = {**exported.card.checks, name: _figures(checked)}
        exported.card = replace(exported.card, programs=made, checks=checks, network=network)


def _original(source: RunDirectory, config: RunConfig, step: int) -> tuple[Original, Examples]:
    device = prepare_hardware(HardwareOptions(device="cpu", threads=config.hardware.threads))
    task = instantiate(config.task, "task")
    model: nn.Module = instantiate(config.model, "model")
    load_trained_weights(model, source, step)
    examples = example_batches(config, task)
    autocast = Precision(replace(config.precision, tf32=False), device).autocast
    original = Original(model=model, task=task, batches=examples.batches, autocast=autocast)
    return original, examples


def _checked(original: Original, program: Traced, path: Path) -> Checked:
    exported = _SAVE[path.name](program, path)
    return check_exported(original, exported, any_batch=program.takes_any_batch)


def _figures(checked: Checked) -> dict[str, float]:
    return {
        "samples": checked.num_samples,
        "largest_difference": checked.difference,
        "otherwise_in_own_precision": checked.num_own,
    }


def _described(checked: Checked, program: Traced, examples: Examples, config: RunConfig) -> str:
    own = config.precision.autocast
    count = "batches of any size" if program.takes_any_batch else "batches as large as those alone"
    others = ""
    if own is not None:
        others = (
            f" (the original itself, in {own} as it was trained, predicts {checked.num_own} of "
            "them otherwise)"
        )
    return (
        f"same predictions as the original for {checked.num_samples} samples {examples.source}, "
        f"outputs within {checked.difference:.1g}, in float32{others}; it takes {count}"
    )
