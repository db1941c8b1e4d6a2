"""Export what was trained: a folder that holds the model and all that is needed to use it."""

import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from runner.build.examples import Examples, example_batches
from runner.build.export_readme import write_readme
from runner.build.model_card import model_card
from runner.build.trained import extras, trained_step
from runner.build.trained_weights import load_trained_weights, read_trained_weights
from runner.build.trusted import trusted_config
from runner.checkpoint.weights import save_weights, weight_files
from runner.config.instantiate import instantiate
from runner.config.options import HardwareOptions
from runner.config.run_config import RunConfig
from runner.config.trust import NOBODY_ELSE, Trust
from runner.errors import RunError, RunnerError
from runner.files import sha256_of, sync_directory
from runner.inference import onnx_model, traced
from runner.inference.call import StandIn, watch
from runner.inference.export_check import Checked, Original, check_exported
from runner.inference.traced import Traced, trace
from runner.run.directory import RunDirectory
from runner.run.model_card import ModelCard, is_exported, read_model_card, write_model_card
from runner.runtime.device import prepare_hardware
from runner.runtime.precision import Precision

TORCH_EXPORT, ONNX = traced.FILE, onnx_model.FILE
_SAVE: dict[str, Callable[[Traced, Path], StandIn]] = {
    TORCH_EXPORT: traced.save_traced,
    ONNX: onnx_model.save_onnx,
}


@dataclass(frozen=True, kw_only=True)
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
) -> Exported:
    """Export the run in `path`, or a model exported before, to `to` (None: its folder "export").

    Weights (safetensors), config, preprocessor, calibration, card and a page about them, whole or
    not at all; with those of `programs` (TORCH_EXPORT, ONNX) that can be made, each compared with
    the original. Another model in `to` is replaced with `force` alone, anything else never. Raises
    RunnerError, and then nothing is written.
    """
    source = RunDirectory(path)
    chosen = trained_step(source, step)
    target = (to or source.export).absolute()
    _check_target(target, source, chosen, force=force)
    partial = RunDirectory(target.with_name(f".{target.name}.{os.getpid()}.partial"))
    shutil.rmtree(partial.path, ignore_errors=True)
    partial.path.mkdir(parents=True)
    try:
        card = _write_model(source, chosen, partial)
        exported = Exported(folder=target, card=card)
        if programs:
            _write_programs(source, chosen, programs, partial.path, exported, trust)
        write_readme(partial.path, card, exported.told)
        _replace(target, partial.path)
    finally:
        shutil.rmtree(partial.path, ignore_errors=True)
    return exported


def _check_target(target: Path, source: RunDirectory, step: int, *, force: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    there = RunDirectory(target)
    if not is_exported(there) or target == source.path.absolute():
        raise RunError(f"{target} is there and no exported model: give another folder with --to")
    if force:
        return
    with suppress(RunnerError):  # one that cannot be read is another one
        old, new = read_model_card(there.model_card), _card(source, step)
        if (old.run, old.step) == (new.run, new.step):
            return
    raise RunError(f"{target} holds another model: --force replaces it, --to names another folder")


def _card(source: RunDirectory, step: int) -> ModelCard:
    return read_model_card(source.model_card) if is_exported(source) else model_card(source, step)


def _write_model(source: RunDirectory, step: int, target: RunDirectory) -> ModelCard:
    tied = save_weights(read_trained_weights(source, step), target.path)
    files = weight_files(target.path)
    checksums = {file.name: sha256_of(file) for file in files}
    card = replace(_card(source, step), weights=checksums, tied=tied)
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
) -> None:
    """Make each program; one that cannot be made is a problem, and harms nothing else."""
    try:
        config = trusted_config(source, trust=trust)
        original, examples = _original(source, config, step)
        call, _ = watch(original.model, original.task, original.batches[0], autocast=nullcontext)
        program = trace(original.model, call)
    except RunnerError as error:
        exported.problems.extend(f"no {name}: {error}" for name in programs)
        return
    for name in programs:
        try:
            checked = _checked(original, program, folder / name)
        except RunnerError as error:
            (folder / name).unlink(missing_ok=True)
            exported.problems.append(f"no {name}: {error}")
            continue
        exported.told.append(f"{name}: {_described(checked, program, examples, config)}")


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


def _described(checked: Checked, program: Traced, examples: Examples, config: RunConfig) -> str:
    own = config.precision.autocast
    count = "batches of any size" if program.takes_any_batch else "batches as large as those alone"
    others = "" if own is None else f"; in {own}, as it trained, {checked.num_own} read otherwise"
    return (
        f"same predictions as the original for {checked.num_samples} samples {examples.source}, "
        f"outputs within {checked.difference:.1g}, in float32{others}; it takes {count}"
    )


def _replace(target: Path, partial: Path) -> None:
    """Put `partial` where `target` is; what is there goes only then."""
    for path in partial.rglob("*"):
        if path.is_file():
            path.chmod(partial.stat().st_mode & 0o666)  # safetensors lets nobody else read its own
            with path.open("rb") as file:
                os.fsync(file.fileno())
    aside = target.with_name(f".{target.name}.{os.getpid()}.replaced")
    if target.exists():
        target.rename(aside)
    try:
        partial.rename(target)
    except OSError:
        with suppress(OSError):
            aside.rename(target)
        raise
    sync_directory(target.parent)
    shutil.rmtree(aside, ignore_errors=True)
