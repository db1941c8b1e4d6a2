"""`LearningCurves`: the curves of the whole run as a picture, when training ends."""

from runner.run.journal import read_journal
from runner.training.callback import Callback, Fit

FILE_NAME = "learning_curves.png"


class LearningCurves(Callback):
    """Writes plots/learning_curves.png from the journal: a resumed run shows all its jobs."""

    def on_fit_end(self, fit: Fit, outcome: str) -> None:
        if not fit.is_main or outcome == "preempted":  # then there is no time for pictures
            return
        from runner.reports.curves import learning_curves  # matplotlib, only now

        rows = read_journal(fit.directory.journal)
        learning_curves(rows, fit.directory.plots / FILE_NAME, title=fit.directory.path.name)
