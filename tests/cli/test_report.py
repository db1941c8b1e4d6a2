"""`report`: what came of a sweep."""

from pathlib import Path

from runner.run.status import Status
from tests.commands.command import call
from tests.sweeps.sweep_directories import begin, config_of, done, failed, plan

RUNS = [[f"optimizer.lr={lr}", f"seed={seed}"] for lr in ("0.1", "0.01") for seed in (1, 2)]
CURVE = [(50, 0.9), (90, 0.4), (100, 0.5)]


def test_it_writes_markdown_html_and_pictures_and_shows_the_best(tmp_path: Path) -> None:
    sweep = plan(tmp_path / "sweep", RUNS)
    for number, score in enumerate((0.5, 0.4, 0.2)):
        begin(sweep, number, done(score), curve=CURVE)
    begin(sweep, 3, failed("RuntimeError: boom"))
    made = call("report", "sweep", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[1].split() == ["2", "0.2", "90", "optimizer.lr=0.01", "seed=1"]
    assert made.stdout.splitlines()[-1] == "sweep/report/report.html"
    assert {path.name for path in sweep.report.iterdir()} == {
        "report.md",
        "report.html",
        "curves.png",
        "score_by_parameter.png",
    }
    text = (sweep.report / "report.md").read_text()
    assert "python -m runner -m optimizer.lr=0.1,0.01 seed=1,2" in text
    assert "commit abc1234abc12" in text
    assert "## Before comparing" not in text
    assert "| one run: no interval | 2 (+1 without a result) |" in text
    assert "trainer.max\\_steps: 100" in text or "trainer.max_steps: 100" in text


def test_it_warns_of_other_code_and_other_lengths(tmp_path: Path) -> None:
    sweep = plan(tmp_path / "sweep", RUNS)
    begin(sweep, 0, done(0.5), curve=CURVE)
    begin(sweep, 1, done(0.4), code={"commit": "f" * 40, "diff": "x"})
    begin(sweep, 2, done(0.3), config=config_of(RUNS[2], max_steps=500))
    call("report", "sweep", cwd=tmp_path)
    text = (sweep.report / "report.md").read_text()
    assert "different states of the code" in text and "commit ffffffffffff with uncommitted" in text
    assert "trainer.max_steps=100: 2 runs; trainer.max_steps=500: 1 runs" in text


def test_lengths_that_the_sweep_varies_are_no_warning(tmp_path: Path) -> None:
    runs = [[f"trainer.max_steps={steps}"] for steps in (100, 500)]
    sweep = plan(tmp_path / "sweep", runs)
    for number, steps in enumerate((100, 500)):
        begin(sweep, number, done(0.5), config=config_of(runs[number], max_steps=steps))
    call("report", "sweep", cwd=tmp_path)
    assert "different lengths" not in (sweep.report / "report.md").read_text()


def test_several_objectives_have_their_front(tmp_path: Path) -> None:
    objectives = {"evaluation.loss": "min", "evaluation.accuracy": "max"}
    sweep = plan(tmp_path / "sweep", RUNS, objectives=objectives)
    for number, (score, accuracy) in enumerate([(0.5, 0.9), (0.4, 0.8), (0.6, 0.85), (0.3, 0.1)]):
        curve, values = [(90, score)], {"accuracy": accuracy}
        begin(sweep, number, done(score), curve=curve, values=values)
    made = call("report", "sweep", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    _, _, below = (sweep.report / "report.md").read_text().partition("## Several objectives")
    assert (sweep.report / "objectives.png").is_file()
    rows = [line.split(" | ")[0] for line in below.splitlines() if line.startswith("| ")]
    assert rows[2:5] == ["| 3", "| 1", "| 0"]


def test_keys_searched_on_a_logarithmic_scale_are_found(tmp_path: Path) -> None:
    from runner.cli.report import results_of
    from runner.sweeps.summary import summarize

    sweep = plan(
        tmp_path / "sweep",
        RUNS,
        arguments=["optimizer.lr=tag(log, interval(1e-5,1e-1))", "seed=1,2", "name=logs"],
        sweeper={"params": {"model.size": "tag(log, int(interval(1,9)))"}},
    )
    assert results_of(summarize(sweep)).log_scaled == {"optimizer.lr", "model.size"}


def test_a_report_is_made_anew_and_old_pictures_go(tmp_path: Path) -> None:
    sweep = plan(tmp_path / "sweep", RUNS)
    begin(sweep, 0, done(0.5), curve=CURVE)
    call("report", "sweep", cwd=tmp_path)
    assert (sweep.report / "curves.png").is_file()
    begin(sweep, 0, Status(state="queued")).journal.write_text("")
    made = call("report", "sweep", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert not (sweep.report / "curves.png").exists()
    assert made.stdout.startswith("no run of 4 is completed with a score yet\n")
    assert "No run is completed" in (sweep.report / "report.md").read_text()


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    sweep = plan(tmp_path / "sweep", RUNS)
    sweep.report.write_text("a file in the way")
    made = call("report", "sweep", cwd=tmp_path)
    assert made.returncode == 1
    assert "the report cannot be written to sweep/report" in made.stderr


def test_what_is_neither_a_sweep_nor_a_run_is_refused(tmp_path: Path) -> None:
    refused = call("report", ".", cwd=tmp_path)
    assert refused.returncode == 1 and "neither a sweep" in refused.stderr
    assert not (tmp_path / "report").exists()
