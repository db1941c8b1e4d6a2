"""How a process that looked at a config died, in a sentence."""

from pathlib import Path

import pytest

from runner.sweeps.checks.deaths import sentence_of_death
from runner.sweeps.checks.findings import Notes
from runner.sweeps.pool import Ended, Limits

STACK = """\
some words of the user
Fatal Python error: Segmentation fault

Current thread 0x00007f (most recent call first):
  File "/usr/lib/python3.11/site-packages/torch/nn/modules/module.py", line 9 in _call
  File "/elsewhere/nets.py", line 12 in forward

Extension modules: numpy
"""


@pytest.mark.parametrize(
    ("ended", "log", "said"),
    [
        (
            Ended(number=0, signal=11),
            STACK,
            "the forward pass killed its process (SIGSEGV), at /elsewhere/nets.py:12",
        ),
        (
            Ended(number=0, signal=9),
            "",
            "the forward pass: its process was killed, most likely since the memory ran out",
        ),
        (
            Ended(number=0, signal=9, exceeded="memory"),
            "",
            "the forward pass took more than 1.5 GiB (sweep.check_memory_gib)",
        ),
        (
            Ended(number=0, signal=15, exceeded="time"),
            STACK,
            "the forward pass did not end within 90 seconds (sweep.check_timeout), at "
            "/elsewhere/nets.py:12",
        ),
        (
            Ended(number=0, exit_code=3),
            "one\ntwo\n\n",
            "the forward pass ended the process with exit code 3: two",
        ),
    ],
)
def test_the_stage_the_reason_and_the_line_are_told(
    ended: Ended, log: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text(log)
    notes = Notes(findings=[], stage="the forward pass")
    limits = Limits(seconds=90, memory_gib=1.5)
    assert sentence_of_death(ended, notes, limits=limits, log=tmp_path / "log") == said


def test_a_process_that_never_began_is_told(tmp_path: Path) -> None:
    ended = Ended(number=0, exit_code=1)
    notes = Notes(findings=[])
    sentence = sentence_of_death(ended, notes, limits=Limits(), log=tmp_path / "none")
    assert sentence == "its start ended the process with exit code 1"
