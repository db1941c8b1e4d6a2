"""What the command line says of words it does not know, and of a stop."""

import os
import signal
from pathlib import Path

import pytest

from runner.cli import main
from runner.cli.commands import TRUSTING
from runner.errors import Interrupted
from runner.sweeps.checks import checking
from tests.commands.command import call
from tests.sweeps.runs import make_run


def test_the_folder_of_a_run_is_told_what_can_be_done_with_it(tmp_path: Path) -> None:
    make_run(tmp_path / "my run")
    done = call("my run", cwd=tmp_path)
    assert done.returncode == 2
    told = "'my run' is a folder: python -m runner resume 'my run' goes on with a run or a sweep"
    assert told in done.stderr and "python -m runner report 'my run'" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train", "seed=1"), "to train, leave out the word 'train'"),
        (("--foo",), "unrecognized arguments: --foo"),
        (("--multirn",), "unrecognized arguments: --multirn - did you mean '--multirun'?"),
        (("--config-dir",), "argument --config-dir/-cd: expected one argument"),
        (("optimizer.learning_rate=1",), "(there are _target_, "),
        (("lr=1",), "there is no key 'lr' - did you mean 'optimizer.lr'?"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_word_that_is_not_known_is_one_sentence(
    words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    done = call(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
    assert told in done.stderr


@pytest.mark.parametrize("command", TRUSTING)
def test_the_help_of_what_uses_code_shows_how_to_trust(command: str, tmp_path: Path) -> None:
    assert "[trust=true|PACKAGE]" in call(command, "--help", cwd=tmp_path).stdout


def test_ctrl_c_is_a_line(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    def stop(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_dispatch", stop)
    assert main.run(["ls"]) == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize("words", [("check",), ("check", "-m", "seed=1,2"), ("-m", "seed=1,2")])
def test_a_stop_while_checking_says_that_nothing_was_started(
    words: tuple[str, ...], tmp_path: Path, monkeypatch
) -> None:
    def stop(*_arguments: object, **_options: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(checking.Checker, "check", stop)
    done = call(*words, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "stopped: nothing was started"
    assert not list(tmp_path.rglob("*.json"))
