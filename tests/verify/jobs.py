"""Processes that start in no time: forked by a server that has torch imported already."""

import contextlib
import multiprocessing
import os
from pathlib import Path

# torch._dynamo: what the first optimizer imports.
PRELOADED = ["torch", "torch._dynamo", "runner.job.job", "runner.cli.commands"]


class ForkedJob:
    """What `runs.start_job` returns, as far as it is used."""

    def __init__(self, directory: Path, output: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._process = context.Process(target=_resume, args=(directory, output, Path.cwd()))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int | None:
        self._process.join(30)
        return self._process.exitcode


def _resume(directory: Path, output: Path, folder: Path) -> None:
    from runner.cli import main

    os.chdir(folder)
    with output.open("a") as file, contextlib.redirect_stderr(file):
        code = main.run(["resume", str(directory)])
    os._exit(code)
