"""One damaged run among others: those that read many tell of it, and hide no other."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from runner.cli.compare import compare
from runner.cli.listing.choice import ORDERS, Choice
from runner.cli.ls import View, ls
from runner.cli.status import status
from runner.errors import RunnerError
from runner.run.directory import RunDirectory
from runner.run.provenance import read_provenance
from runner.run.status import read_raw_status
from tests.sweeps.runs import config_of, done, make_run

DEEP = "[" * 5000
ROW = {"step": 100, "epoch": 1.0, "time": 2e9, "split": "evaluation", "values": {"loss": 0.5}}
STATUS = {"state": "completed", "step": 100, "jobs": 1, "score": 0.5, "best_step": 100}
OF_STATUS = [
    *({**STATUS, "state": state} for state in ([1], None, 3, "lost in\nspace")),
    *({**STATUS, "step": step} for step in ("x", None, [1], 1.5, float("nan"), True)),
    *({**STATUS, "score": score} for score in ("x", [1], {}, True)),
    *({**STATUS, "best_step": step} for step in ("x", [1], 0.5)),
    *({**STATUS, "jobs": jobs} for jobs in ("x", None, [1])),
    *({**STATUS, "error": error} for error in (5, ["x"])),
]
OF_ROWS = [
    *({**ROW, "step": step} for step in (None, "x", [1])),
    *({**ROW, "time": time} for time in (None, "x", [1])),
    *({**ROW, "epoch": epoch} for epoch in (None, "x")),
    *({**ROW, "values": values} for values in (None, [], {"loss": None}, {"loss": "x"})),
    *(None, [], 3, {**ROW, "split": None}),
]
TEXTS = [
    *(("status.json", json.dumps(content)) for content in OF_STATUS),
    *(("status.json", text) for text in ("[]", "null", DEEP, "\xff")),
    *(("metrics.jsonl", f"{json.dumps(ROW)}\n{json.dumps(row)}\n") for row in OF_ROWS),
    ("metrics.jsonl", f"{DEEP}\n"),
    *(("run.json", text) for text in ("[]", "null", DEEP, "{", '{"jobs": null}')),
    *(
        ("config.yaml", text)
        for text in (DEEP, "[1]", "\xff", "trainer: 3\n", "trainer: {best_metric: []}")
    ),
]


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_it_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    for number in range(4):
        make_run(
            tmp_path / f"run_{number}",
            status=done(0.5, state="running" if number == 2 else "completed"),  # lost by now
            config=config_of(lr=0.1 + number),
            evaluations={100: {"loss": 0.5 + number}},
        )
    for number in (1, 2):
        (tmp_path / f"run_{number}" / name).write_text(text, encoding="latin-1")
    for as_json in (False, True):
        for order in ORDERS if as_json else ("age",):
            ls([tmp_path], Choice(), View(sort=order, as_json=as_json))
            shown = capsys.readouterr().out
            assert all(f"run_{number}" in shown for number in range(4))
        compare([tmp_path], metrics=(), rtol=0.0, shows_code=False, page=None, as_json=as_json)
        assert "run_0" in (shown := capsys.readouterr().out) and "run_3" in shown
    for number in (1, 2):
        with suppress(RunnerError):  # a sentence will do
            status(tmp_path / f"run_{number}", as_json=False, only_failed=False)


@pytest.mark.parametrize("content", OF_STATUS, ids=str)
def test_a_status_of_other_types_is_refused(tmp_path: Path, content: dict[str, object]) -> None:
    path = tmp_path / "status.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunnerError, match=r"status\.json cannot be read"):
        read_raw_status(path)


def test_what_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for path, read in ((run.status, read_raw_status), (run.provenance, read_provenance)):
        path.write_text(DEEP, encoding="utf-8")
        with pytest.raises(RunnerError, match="too deep"):
            read(path)


def test_the_terminal_gets_no_codes_that_others_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = "x\x1b]0;title\x07\x1b[2J\x9b2J"
    for number, problem in enumerate((None, codes)):
        state = "failed" if problem else "completed"
        run = make_run(
            tmp_path / f"run_{number}_{codes}",
            status=done(0.5, state=state, error=problem),
            config=config_of(name=codes, lr=number),
            overrides=[f"note={codes}"] * (number + 1),
        )
        status(run.path, as_json=False, only_failed=False)
    (tmp_path / f"run_2_{codes}").mkdir()
    (tmp_path / f"run_2_{codes}" / "run.json").write_text(json.dumps({"name": f"/{codes}"}))
    ls([tmp_path], Choice(), View())
    shown = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)
    assert r"x\x1b]0;title\x07\x1b[2J" in shown and f"failed: {shown_code(codes)}" in shown


def shown_code(text: str) -> str:
    return text.encode("unicode_escape").decode()
