"""The bar on a terminal, drawn with rich."""

from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from runner.training.callbacks.console_view import Standing, duration, percent, short

_WIDTH_OF_FACTS = 68  # columns that everything but the bar needs
_WIDTH_OF_AVERAGE, _WIDTH_OF_BEST = 17, 35  # and that these need ...
_FROM_WIDTH_ON_AVERAGE, _FROM_WIDTH_ON_BEST = 90, 125  # ... which are shown on wide terminals
_BAR_WIDTHS = (6, 30)


class RichView:
    """Training as one bar, a running evaluation as a second one under it; results stay above."""

    def __init__(self, stream: TextIO, *, planned_steps: int | None) -> None:
        self._console = Console(file=stream)
        low, high = _BAR_WIDTHS
        free = self._console.width - _width_of_facts(self._console.width)
        column = Column(no_wrap=True)
        self._progress = Progress(
            TextColumn("[bold]{task.description}", table_column=column),
            BarColumn(bar_width=max(low, min(high, free))),
            TextColumn("{task.fields[facts]}", table_column=column),
            console=self._console,
            auto_refresh=False,  # no thread: it would take turns with the training thread
        )
        self._training = self._progress.add_task("train", total=planned_steps, facts="")
        self._evaluation = self._progress.add_task("evaluation", visible=False, facts="")
        self._progress.start()

    def update(self, standing: Standing) -> None:
        self._progress.update(self._training, completed=standing.step, facts=self._facts(standing))
        self._progress.refresh()

    def log(self, standing: Standing) -> None: ...

    def evaluating(self, split: str, *, done: int, total: int) -> None:
        self._progress.update(
            self._evaluation,
            description=split,
            completed=done,
            total=total,
            facts=f"{done}/{total} batches",
            visible=True,
        )
        self._progress.refresh()

    def evaluated(self, split: str, standing: Standing, values: dict[str, float]) -> None:
        if self._progress.tasks[1].visible:
            self._progress.update(self._evaluation, visible=False)
            self.update(standing)
        shown = {name: short(value) for name, value in values.items()}
        shown |= {"best": standing.best} if standing.best else {}
        figures = "  ".join(f"[dim]{escape(name)}[/] {fact}" for name, fact in shown.items())
        where = f"step {standing.step:>6}  epoch {standing.epoch:>6.2f}"
        self._console.print(f"{where}  [bold]{escape(split)}[/]  {figures}", highlight=False)

    def close(self) -> None:
        self._progress.stop()

    def _facts(self, standing: Standing) -> str:
        of = "" if standing.planned_steps is None else f"/{standing.planned_steps}"
        width = self._console.width
        facts = {
            "epoch": f"{standing.epoch:.2f}",
            "loss": short(standing.loss),
            "average": short(standing.average) if width >= _FROM_WIDTH_ON_AVERAGE else "",
            "samples/s": short(standing.samples_per_second),
            "wait": percent(standing.wait_share),
            "left": duration(standing.seconds_left),
            "best": escape(standing.best) if width >= _FROM_WIDTH_ON_BEST else "",
        }
        shown = (f"[dim]{name}[/] {fact}" for name, fact in facts.items() if fact)
        return " ".join([f"{standing.step}{of}", *shown])


def _width_of_facts(width: int) -> int:
    needed = _WIDTH_OF_FACTS
    needed += _WIDTH_OF_AVERAGE if width >= _FROM_WIDTH_ON_AVERAGE else 0
    return needed + (_WIDTH_OF_BEST if width >= _FROM_WIDTH_ON_BEST else 0)
