"""`report` of a run: one page with what its directory holds now, also while it is under way."""

from runner.cli.pages.facts import facts_of
from runner.cli.pages.samples import SHEET
from runner.errors import RunError
from runner.files import write_text_atomically
from runner.reports.curves import learning_curves
from runner.reports.markdown import to_markdown
from runner.reports.reliability import PICTURE
from runner.reports.reliability_plot import plot_reliability
from runner.reports.run.facts import RunFacts, RunPictures
from runner.reports.run.page import run_page
from runner.reports.web_page import to_html
from runner.run.directory import RunDirectory

_CURVES = "curves.png"


def report_run(directory: RunDirectory) -> None:
    """Write report/report.html and report.md in the run's directory and print where the page is."""
    facts = facts_of(directory)
    folder = directory.report
    try:
        page = run_page(facts, _pictures(directory, facts))
        write_text_atomically(folder / "report.md", to_markdown(page))
        write_text_atomically(folder / "report.html", to_html(page, folder))
    except OSError as error:
        raise RunError(f"the report cannot be written to {folder}: {error}") from error
    print(folder / "report.html")


def _pictures(directory: RunDirectory, facts: RunFacts) -> RunPictures:
    """Draw what the run's files allow; what the run has drawn of its samples is there or not."""
    folder = directory.report
    has_samples = (directory.plots / SHEET).is_file()
    if facts.rows:
        learning_curves(facts.rows, folder / _CURVES)
    if facts.reliability is not None:
        plot_reliability(facts.reliability, folder / PICTURE)
    return RunPictures(
        curves=_CURVES if facts.rows else None,
        samples=f"../{directory.plots.name}/{SHEET}" if has_samples else None,
        reliability=PICTURE if facts.reliability is not None else None,
    )
