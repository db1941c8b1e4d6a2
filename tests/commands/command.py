"""Start the command line as a user does: in a process of its own, or faster in this one."""

import contextlib
import io
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from runner.cli import main

SOURCES = str(Path(__file__).parents[2] / "src")
# Small and silent: no MLflow process, no pictures.
BARE = ("trackers=none", "callbacks=none")


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Start `python -m runner` with `arguments` in the folder `cwd`."""
    return subprocess.Popen(
        [sys.executable, "-m", "runner", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    process = start(*arguments, cwd=cwd, **environment)
    stdout, stderr = process.communicate(timeout=110)
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


def call(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in this process, which has imported torch already."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _own_imports(cwd),
    ):
        try:
            code = main.run(arguments)
        except SystemExit as leaving:  # --help and the like
            code = int(leaving.code or 0)
        except Exception:
            traceback.print_exc()
            code = 1
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def only_run(folder: Path, name: str = "run") -> Path:
    """Return the directory of the one run under `folder`/outputs."""
    (directory,) = (path for path in (folder / "outputs" / name).iterdir() if path.name != "sweeps")
    return directory


@contextlib.contextmanager
def _own_imports(folder: Path) -> Iterator[None]:
    """Forget afterwards what was imported from `folder`, and that it was looked through."""
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(f"{folder}{os.sep}"):
                del sys.modules[name]
