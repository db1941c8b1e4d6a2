"""`ls`: the runs and sweeps below some folders."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from runner.cli.listing.choice import Choice
from runner.cli.ls import View, ls
from runner.files import write_json_atomically
from runner.run.directory import RunDirectory
from runner.run.status import Status
from runner.sweeps.slurm.book import JobBook
from tests.commands.command import call
from tests.sweeps import sweep_directories
from tests.sweeps.runs import START, config_of, done, make_run
from tests.sweeps.slurm.programs import Commands, calls_in, line

DAY = 86_400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs in different folders, a lost one, and a sweep of three with one failed run."""
    outputs = tmp_path / "outputs"
    make_run(
        outputs / "plates" / "old",
        status=done(0.2),
        config=config_of(name="plates", lr=0.01),
        evaluations={50: {"loss": 0.2}},
    )
    make_run(
        outputs / "group" / "deep" / "new",
        status=done(0.1, step=300),
        config=config_of(lr=1e-3),
        evaluations={300: {"loss": 0.1}},
        began=time.time() - 600,
    )
    make_run(
        outputs / "plates" / "gone",
        status=Status(state="running", jobs=1),
        config=config_of(name="plates"),
        began=START + 1,
    )
    sweep = sweep_directories.plan(
        outputs / "run" / "sweeps" / "tried", [[f"seed={n}"] for n in range(3)]
    )
    sweep_directories.begin(sweep, 0, done(0.4))
    sweep_directories.begin(sweep, 1, done(0.3))
    sweep_directories.begin(sweep, 2, sweep_directories.failed("RuntimeError: boom"))
    return tmp_path


def listed(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    shown = call("ls", *arguments, "--json", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines()]


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [Path(row["path"]).name for row in rows]


def test_runs_and_sweeps_are_rows_the_newest_first(folder: Path) -> None:
    rows = listed(folder)
    assert names(rows) == ["tried", "new", "gone", "old"]
    sweep, new, gone, old = rows
    assert sweep["kind"] == "sweep" and sweep["counts"] == {"completed": 2, "failed": 1}
    assert (sweep["score"], sweep["best_run"], sweep["total"]) == (0.3, 1, 3)
    assert (new["state"], new["score"], new["metric"]) == ("completed", 0.1, "evaluation.loss")
    assert gone["state"] == "lost"
    assert old["seconds"] == 50.0  # from its start to its last row


def test_the_table_has_paths_to_type_and_a_sentence(folder: Path) -> None:
    shown = call("ls", cwd=folder).stdout.splitlines()
    assert shown[0].split() == [
        *("name", "state", "evaluation.loss", "step", "began", "took", "overrides", "path")
    ]
    assert shown[1].split()[:4] == ["run", "2/3", "completed,", "1"]
    assert shown[1].endswith("outputs/run/sweeps/tried")
    assert shown[-1] == "6 runs, 1 sweep: 4 completed, 1 failed, 1 lost"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--runs"], ["2", "1", "0", "new", "gone", "old"]),
        (["--state", "failed,lost"], ["tried", "gone"]),
        (["--state", "failed", "--runs"], ["2"]),
        (["--name", "plat*"], ["gone", "old"]),
        (["--name", "new"], ["new"]),
        (["--where", "optimizer.lr=0.001"], ["new", "gone"]),
        (["--where", "optimizer.lr=1e-3"], ["new", "gone"]),
        (["--where", "optimizer.lr!=0.001"], ["old"]),
        (["--where", "optimizer.lr>=0.01", "--where", "score<0.25"], ["old"]),
        (["--where", "score<=0.1"], ["new"]),
        (["--where", "optimizer=adamw", "--where", "optimizer.lr=0.01"], ["old"]),
        (["--where", "optimizer._target_=*Adam?"], ["new", "gone", "old"]),
        (["--where", "trainer.max_steps=100", "--where", "step=300"], ["new"]),
        (["--since", "2 days"], ["tried", "new"]),
        (["--sort", "score"], ["new", "old", "tried", "gone"]),
        (["--sort", "score", "--reverse"], ["tried", "old", "new", "gone"]),
        (["--sort", "name", "--limit", "2"], ["gone", "old"]),
        (["--sort", "step", "--limit", "1"], ["new"]),
        (["--sort", "duration", "--limit", "1"], ["new"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_filters_and_orders(folder: Path, arguments: list[str], expected: list[str]) -> None:
    found = names(listed(folder, *arguments))
    if "--runs" in arguments:
        assert sorted(found) == sorted(expected)
    else:
        assert found == expected


def test_of_a_sweep_those_runs_are_counted_that_are_asked_for(folder: Path) -> None:
    (sweep,) = listed(folder, "--state", "failed")
    assert sweep["counts"] == {"failed": 1} and sweep["total"] == 3 and sweep["score"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--state", "faild"], "did you mean 'failed'?"),
        (["--sort", "scor"], "did you mean 'score'?"),
        (["--where", "optimizr.lr=1"], "did you mean 'optimizer.lr'?"),
        (["--where", "scor<1"], "did you mean 'score'?"),
        (["--where", "optimizer.lr"], "is no condition"),
        (["--where", "state=failed"], "there is --state"),
        (["--where", "score<few"], "compares with a number"),
        (["--since", "2 dais"], "did you mean 'days'?"),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_mistake_is_told(folder: Path, arguments: list[str], words: str) -> None:
    shown = call("ls", *arguments, cwd=folder)
    assert shown.returncode == 2 and words in shown.stderr


def test_damaged_directories_are_named_and_hide_no_other(folder: Path) -> None:
    broken = {
        "no_json": ("run.json", "{"),
        "list": ("run.json", "[]"),
        "newer": ("run.json", '{"format_version": 99}'),
        "sweep": ("sweep.json", "7"),
        "lacks": ("status.json", "{}"),
    }
    for name, (file, text) in broken.items():
        path = folder / "outputs" / "bad" / name
        path.mkdir(parents=True)
        (path / file).write_text(text)
    bad_config = make_run(folder / "outputs" / "bad" / "config")
    bad_config.config.write_text("trainer:\n  max_steps: [\n")
    rows = listed(folder)
    assert names(rows)[:4] == ["tried", "new", "gone", "old"]
    damaged = [row for row in rows if row["kind"] == "damaged"]
    assert sorted(names(damaged)) == sorted([*broken, "config"])
    assert "use a newer runner" in next(r["error"] for r in damaged if r["path"].endswith("newer"))
    shown = call("ls", cwd=folder).stdout
    assert "outputs/bad/lacks has no run.json" in shown


def test_a_damaged_status_is_a_lost_run(folder: Path) -> None:
    (folder / "outputs" / "plates" / "old" / "status.json").write_text("{")
    states = {Path(row["path"]).name: row.get("state") for row in listed(folder)}
    assert states["old"] == "lost" and states["new"] == "completed"


def test_links_lead_to_a_run_once_under_its_own_name(folder: Path) -> None:
    outputs = folder / "outputs"
    (outputs / "a_link").symlink_to(outputs / "plates" / "old")
    (outputs / "a_circle").symlink_to(outputs)
    (outputs / "itself").symlink_to(outputs / "itself")
    far = make_run(folder / "scratch" / "far").path
    (outputs / "b_link").symlink_to(far)
    assert sorted(names(listed(folder))) == ["b_link", "gone", "new", "old", "tried"]


def test_a_run_or_a_sweep_may_be_named_itself(folder: Path) -> None:
    run, sweep = "outputs/plates/old", "outputs/run/sweeps/tried"
    assert names(listed(folder, run, f"{sweep}/1", run)) == ["1", "old"]
    assert names(listed(folder, sweep, f"{sweep}/1")) == ["1", "tried"]
    assert names(listed(folder / run, ".")) == [""]


def test_where_runs_go_may_be_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "outputs").rename(folder / "elsewhere")
    assert call("ls", cwd=folder).returncode == 1
    monkeypatch.setenv("RUNNER_OUTPUT_DIR", "elsewhere")
    assert len(listed(folder)) == 4


def test_an_empty_folder_and_a_choice_of_none_are_told(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert call("ls", "empty", cwd=folder).stdout == "no runs here yet\n"
    assert call("ls", "--where", "score<0", cwd=folder).stdout == "none of 6 runs matches\n"


def test_slurm_is_asked_once_for_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(("first", "second")):
        path = folder / "outputs" / "queue" / name
        path.mkdir(parents=True)
        book = JobBook(path / "slurm.jsonl")
        book.opened({}, config_of(name="waits", lr=0.5))
        book.submitting(name, [0])
        book.submitted(name, {0: str(70 + number)})
    waits = line("70", "PENDING", reason="Priority")
    calls = Commands(folder, monkeypatch)("squeue", waits + line("71", "RUNNING", nodes="n1"))
    rows = {Path(row["path"]).name: row for row in listed(folder)}
    assert (rows["first"]["state"], rows["second"]["state"]) == ("queued", "running")
    assert rows["first"]["name"] == "waits" and rows["first"]["where"] == "pending: Priority"
    assert len(calls_in(calls)) == 1
    assert names(listed(folder, "--where", "optimizer.lr=0.5", "--sort", "name")) == [
        *("first", "second")
    ]


def test_a_damaged_run_hides_no_other(folder: Path) -> None:
    damaged = RunDirectory(folder / "outputs" / "plates" / "gone").provenance
    content = json.loads(damaged.read_text())
    damaged.write_text(json.dumps({**content, "jobs": [{}]}))
    shown = call("ls", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert "outputs/plates/gone cannot be read: " in shown.stdout
    assert "job 1 has no time" in shown.stdout and "outputs/plates/old" in shown.stdout


def test_of_a_sweep_that_was_chosen_from_no_counts_of_all_are_told(folder: Path) -> None:
    shown = call("ls", "--state", "failed", cwd=folder).stdout
    assert "1 failed of 3" in shown and "completed" not in shown


def narrow(
    folder: Path, monkeypatch: pytest.MonkeyPatch, columns: int, *arguments: str
) -> list[str]:
    monkeypatch.setattr("runner.cli.ls.width_of", lambda: columns)
    return call("ls", *arguments, cwd=folder).stdout.splitlines()


def test_in_a_narrow_terminal_paths_stay_whole_and_overrides_are_left_out_last(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, path in enumerate(("plates/old", "plates/gone", "group/deep/new")):
        provenance = RunDirectory(folder / "outputs" / path).provenance
        content = json.loads(provenance.read_text())
        content["jobs"][0]["overrides"] = [f"model.number_of_layers={number}", "a.b.c.d.e.f.g.h=1"]
        write_json_atomically(provenance, content)
    whole = call("ls", "--name", "*", cwd=folder).stdout  # of a pipe nothing is cut
    assert "model.number_of_layers=2 a.b.c.d.e.f.g.h=1" in whole and "…" not in whole
    for columns in (200, 80):
        lines = narrow(folder, monkeypatch, columns)
        assert lines[4].endswith("outputs/plates/old")
        assert max(map(len, lines[:5])) <= columns
        assert "overrides" in lines[0]
    assert "overrides" not in narrow(folder, monkeypatch, 30)[0]
    assert narrow(folder, monkeypatch, 30)[4].endswith(" outputs/plates/old")


def test_scores_of_several_experiments_in_one_order_are_told(folder: Path) -> None:
    told = "scores of plates and run stand in one order"
    assert told in call("ls", "--sort", "score", cwd=folder).stdout
    assert told not in call("ls", cwd=folder).stdout
    assert told not in call("ls", "--sort", "score", "--name", "plates", cwd=folder).stdout


def test_overrides_are_quoted_as_a_shell_takes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "single", overrides=["trainer.evaluate_every=500 steps", "seed=1"])
    words = [["trainer.evaluate_every=50 steps", f"+tags=[{n}]"] for n in range(2)]
    sweep_directories.plan(tmp_path / "sweep", words)
    ls([tmp_path], Choice(), View(opens_sweeps=True))
    shown = capsys.readouterr().out
    assert "'trainer.evaluate_every=500 steps' seed=1  " in shown
    assert "'trainer.evaluate_every=50 steps' '+tags=[1]'  " in shown
    ls([tmp_path], Choice(), View(opens_sweeps=True, as_json=True))
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert words[1] in [row["overrides"] for row in rows]


def test_a_narrow_column_stays_where_a_wider_one_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "score_of_plates_that_are_very_far_away_and_seen_from_above"
    for name, metric in (("one", "evaluation.loss"), ("other", long)):
        config = config_of(trainer={"best_metric": metric})
        make_run(tmp_path / "runs" / name, config=config)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("runner.cli.ls.width_of", lambda: 80)
    ls([tmp_path], Choice(), View())
    header = capsys.readouterr().out.splitlines()[0].split()
    assert header == ["name", "state", "score", "step", "began", "took", "overrides", "path"]
