"""The pool's end of its server: how it is started, spoken to and ended."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from multiprocessing import Pipe

from runner.sweeps.local.messages import Setup, Signal, Start, Started
from runner.sweeps.pool import Ended

_SERVER = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from runner.sweeps.local.server import main; main(int(sys.argv[1]))"
)
# What importing asks CUDA must not initialise it, or no job could use it.
_ENVIRONMENT = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
_STDERR = 2


class ServerProcess:
    """A running server; once it is gone, `messages` says so and what is sent is dropped."""

    def __init__(self, setup: Setup, *, environment: Mapping[str, str]) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
            self._process = subprocess.Popen(
                # -P: the folder where the user stands is on sys.path only if it is on ours
                [sys.executable, *flags, "-P", "-c", _SERVER, str(number), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,  # of ours: stdout is for results
                pass_fds=[number],
                env={**os.environ, **environment, **_ENVIRONMENT},
                start_new_session=True,  # Ctrl-C reaches the jobs through the pool alone
            )
        self.send(setup)

    @property
    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    def send(self, order: Setup | Start | Signal) -> None:
        """Order something; a server that is gone is found out by `messages`."""
        try:
            self._connection.send(order)
        except OSError:
            return

    def messages(self, seconds: float) -> Iterator[Started | Ended]:
        """Yield what the server says, the first within `seconds`; EOFError when it is gone."""
        try:
            while self._connection.poll(seconds):
                yield self._connection.recv()
                seconds = 0.0
        except OSError as error:
            raise EOFError from error

    def end(self, *, at_once: bool = True) -> None:
        """End the server; if not `at_once`, it goes when its jobs have gone."""
        self._connection.close()
        if at_once:
            self._process.kill()
            self._process.wait()
