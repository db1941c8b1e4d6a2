"""What a report of one run says: its score, its curves, its samples, its reliability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runner.reports.figures import text_of
from runner.reports.page import Block, Folded, Page, Paragraph, Picture, Section, Table
from runner.reports.reliability import ReliabilityReport, reliability_section
from runner.reports.sweep_page import better, took


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """A run as a page shows it, whoever has read it; None is not known."""

    name: str
    state: str
    step: int
    command: str
    metric: str
    mode: str  # min | max
    score: float | None = None
    best_step: int | None = None
    seconds: float | None = None
    jobs: int = 0
    error: str | None = None
    code: Sequence[str] = ()
    evaluation: Mapping[str, float] = field(default_factory=dict)  # at the best step
    test: Mapping[str, float] = field(default_factory=dict)
    reliability: ReliabilityReport | None = None
    config: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class RunPictures:
    """Files of pictures, as seen from the page; None is not there."""

    curves: str | None = None
    samples: str | None = None
    reliability: str | None = None


def run_page(facts: RunFacts, pictures: RunPictures) -> Page:
    """Return the report of a run."""
    sections = [
        _problem(facts),
        _figures(facts),
        _picture(
            "Learning curves", pictures.curves, "What the run has logged; each panel is one value."
        ),
        _picture(
            "Samples",
            pictures.samples,
            "The first pictures of the last evaluation; wrong ones with a red frame and the truth. "
            "The percentages are the model's own confidence.",
        ),
    ]
    if facts.reliability is not None:
        sections.append(reliability_section(facts.reliability, picture=pictures.reliability))
    if facts.config:
        sections.append(
            Section(title="Config", blocks=[Folded(title="config.yaml", lines=facts.config)])
        )
    return Page(
        title=f"Run {facts.name}",
        facts=_head(facts),
        sections=[section for section in sections if section.blocks],
    )


def _head(facts: RunFacts) -> list[tuple[str, str]]:
    jobs = f" in {facts.jobs} jobs" if facts.jobs > 1 else ""
    head = [("State", f"{facts.state} at step {facts.step}{jobs}")]
    if facts.score is not None:
        where = "" if facts.best_step is None else f" at step {facts.best_step}"
        text = f"{facts.metric} {text_of(facts.score)}{where}; {better(facts.mode)}"
        head.append(("Score", text))
    if facts.seconds is not None:
        head.append(("Took", took(facts.seconds)))
    head.append(("Command", facts.command))
    head.append(("Code", "; ".join(facts.code) or "in no git repository"))
    return head


def _problem(facts: RunFacts) -> Section:
    blocks = [Paragraph(text=facts.error, is_warning=True)] if facts.error else []
    return Section(title="Why it ended", blocks=blocks)


def _figures(facts: RunFacts) -> Section:
    names = list(dict.fromkeys([*facts.evaluation, *facts.test]))
    if not names:
        return Section(title="Figures", blocks=[])
    columns = {"evaluation": facts.evaluation, "test": facts.test}
    measured = {split: values for split, values in columns.items() if values}
    rows = [[name, *(text_of(values.get(name)) for values in measured.values())] for name in names]
    blocks: list[Block] = [Table(header=["", *measured], rows=rows, left=[""])]
    if facts.best_step is not None:
        text = f"The evaluation is that of step {facts.best_step}, whose weights the test saw."
        blocks.insert(0, Paragraph(text=text))
    return Section(title="Figures", blocks=blocks)


def _picture(title: str, file_name: str | None, caption: str) -> Section:
    blocks = [] if file_name is None else [Picture(file_name=file_name, caption=caption)]
    return Section(title=title, blocks=blocks)
