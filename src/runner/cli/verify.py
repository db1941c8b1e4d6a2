"""`verify-resume`: prove on this machine that an experiment resumes exactly."""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from runner.cli.composing import compose_run
from runner.config.run_config import RunConfig
from runner.config.validate import validate
from runner.errors import ConfigError, RunnerError
from runner.verify.compare import Comparison, compare
from runner.verify.diagnose import Suspects, diagnose
from runner.verify.runs import (
    MIN_STEPS,
    Verification,
    callbacks_without_state,
    short_config,
)

T = TypeVar("T")


def verify_resume(overrides: Sequence[str], *, steps: int, keep: bool) -> int:
    """Train `steps` steps straight, again, and killed and resumed; return 0 if all are equal."""
    if steps < MIN_STEPS:
        raise ConfigError(f"--steps must be >= {MIN_STEPS}: with a save, a kill and a resume in it")
    config = _compose(overrides)
    if not config.checkpoint.enabled:
        raise ConfigError("checkpoint=off saves nothing to resume from: leave it out here")
    folder = Path(tempfile.mkdtemp(prefix="runner_verify_"))
    is_exact = False
    try:
        is_exact = _verify(config, folder, steps)
    except RunnerError:
        print(f"the runs are kept in {folder}")
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if is_exact and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"\nthe runs are kept in {folder}")
    return 0 if is_exact else 1


def _compose(overrides: Sequence[str]) -> RunConfig:
    """Compose and validate as training does."""
    cfg, choices = compose_run(overrides)
    return validate(cfg, choices=choices)


def _verify(config: RunConfig, folder: Path, steps: int) -> bool:
    short = short_config(config.frozen, steps=steps)
    suspects = Suspects(
        is_deterministic=config.trainer.deterministic,
        callbacks=callbacks_without_state(short["callbacks"]),
    )
    runs = Verification(folder, short)
    print(f"verify-resume: {steps} steps of {config.name}, each run in processes of its own")
    first = _timed("straight", lambda: runs.straight("straight"))
    straight = compare(first, _timed("straight again", lambda: runs.straight("again")))
    resumed = None
    if straight.first is None:
        killed = _timed("killed and resumed", lambda: runs.interrupted("interrupted"))
        resumed = compare(first, killed)
    print()
    _print_table(straight, resumed)
    finding = diagnose(straight, resumed, suspects)
    if finding is None and resumed is not None:
        again = steps if resumed.resumed_at is None else resumed.resumed_at
        print(f"\nresumes exactly (killed by SIGKILL, resumed at step {again} of {steps})")
        return True
    assert finding is not None
    where = "two straight runs differ already" if resumed is None else "differs after a resume"
    print(f"\nDOES NOT RESUME EXACTLY: {where}")
    print(f"  first difference: {finding.what}")
    print(f"  likely cause:     {finding.cause}")
    print(f"  what to do:       {finding.remedy}")
    return False


def _timed(name: str, work: Callable[[], T]) -> T:
    start = time.monotonic()
    result = work()
    print(f"  {name.ljust(20)} {time.monotonic() - start:5.1f} s", flush=True)
    return result


def _print_table(straight: Comparison, resumed: Comparison | None) -> None:
    kinds = list(straight.compared)
    if resumed is not None:
        kinds += [kind for kind in resumed.compared if kind not in straight.compared]
    width = max(len(kind) for kind in kinds)
    print(f"{'compared'.ljust(width)}  straight / straight   straight / resumed")
    for kind in kinds:
        columns = [_cell(straight, kind), _cell(resumed, kind) if resumed else "not run"]
        print(f"{kind.ljust(width)}  {columns[0].ljust(20)}  {columns[1]}")


def _cell(comparison: Comparison, kind: str) -> str:
    total, differing = comparison.compared.get(kind, 0), comparison.differing.get(kind, 0)
    return f"{differing} of {total} DIFFER" if differing else f"{total} equal"
