"""`resume` of one run: here, or on the cluster where it was begun."""

from collections.abc import Sequence
from pathlib import Path

from runner.config.trust import NOBODY_ELSE, Trust
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.signature import StrangerError, is_ours, refuse_stranger

_LAUNCHER = "hydra/launcher="


def resume_run(
    directory: Path,
    overrides: Sequence[str],
    *,
    step: int | None = None,
    trust: Trust = NOBODY_ELSE,
) -> None:
    """Continue the run in `directory`, its layout changed by `overrides`.

    One from elsewhere needs `trust` if it could do more than train. With a `step` a new run beside
    it goes on from that checkpoint. A run that was begun on a cluster goes on there, unless
    hydra/launcher names another place.
    """
    names_launcher = any(text.startswith(_LAUNCHER) for text in overrides)
    if step is None and (names_launcher or RunDirectory(directory).slurm.exists()):
        from runner.cli.cluster.run import resume_there

        _refuse_book_of_stranger(directory, trust)
        if resume_there(directory, overrides):
            return
    if RunDirectory(directory).config.is_file():  # else it is no run, which is told below
        _refuse_what_acts(RunDirectory(directory), trust, overrides)
    _resume_here(directory, [text for text in overrides if not text.startswith(_LAUNCHER)], step)


def _resume_here(directory: Path, overrides: Sequence[str], step: int | None) -> None:
    from runner.config.frozen import load_frozen
    from runner.config.validate import validate
    from runner.job.job import run_job

    cfg = load_frozen(RunDirectory(directory).config, overrides)
    if "model" not in cfg:
        raise RunError(
            f"{directory} was started from Python, and its config builds nothing: go on there, "
            "with Trainer(directory=...)"
        )
    command = ["python", "-m", "runner", "resume", str(directory), *overrides]
    config = validate(cfg)
    if step is not None:
        command += ["--step", str(step)]
        directory = _fork(directory, step)
    run_job(config, directory, overrides=overrides, command=command, continue_completed=True)


def _refuse_what_acts(directory: RunDirectory, trust: Trust, overrides: Sequence[str]) -> None:
    """Refuse to train a run from elsewhere that could do more: see `what_acts`."""
    if trust.everything or is_ours(directory):
        return
    from runner.build.trained.harmless import what_acts

    if found := what_acts(directory, trust, overrides=overrides):
        raise StrangerError(directory.path, trust, to="resume", found=found)


def _refuse_book_of_stranger(directory: Path, trust: Trust) -> None:
    """Refuse what slurm.jsonl says, by which a job is submitted, of a run from elsewhere."""
    from runner.sweeps.slurm.book import JobBook

    book = JobBook(RunDirectory(directory).slurm)
    if book.opening is not None and not (trust.everything or book.is_ours):
        raise StrangerError(directory, trust, to="resume")
    if book.opening is None and RunDirectory(directory).config.is_file():
        refuse_stranger(RunDirectory(directory), trust, to="resume")


def _fork(directory: Path, step: int) -> Path:
    from runner.job.fork import fork_run
    from runner.runtime.launch import launch_of
    from runner.runtime.rendezvous import agreed

    return Path(agreed(launch_of(), lambda: str(fork_run(directory, step=step))))
