"""What a report of one run says: its score, its curves, its samples, where it comes from."""

from collections.abc import Sequence

from runner.reports.charts import Chart, Mark, sharing_steps
from runner.reports.figures import text_of
from runner.reports.page import (
    Block,
    Charts,
    ConfigText,
    Figure,
    Folded,
    Page,
    Paragraph,
    Picture,
    Samples,
    Section,
    Table,
)
from runner.reports.reliability import reliability_section
from runner.reports.run.charts import metric_charts, system_charts
from runner.reports.run.commands import commands
from runner.reports.run.facts import RunFacts, RunPictures
from runner.reports.run.origin import checkpoints_section, evaluations_section, origin_sections
from runner.reports.sweep.page import better, took
from runner.reports.times import moment

_MOST_CHARTS = 12


def run_page(facts: RunFacts, pictures: RunPictures) -> Page:
    """Return the report of a run."""
    learned, machine = _charts(facts)
    sections = [
        _end(facts),
        _damage(facts),
        _figures(facts),
        _curves(learned, pictures),
        _samples(facts, pictures),
        evaluations_section(facts),
    ]
    if facts.reliability is not None:
        sections.append(reliability_section(facts.reliability, picture=pictures.reliability))
    sections += [
        Section(title="System use", blocks=[Charts(charts=machine)] if machine else []),
        checkpoints_section(facts),
        *origin_sections(facts),
        _config(facts),
    ]
    return Page(
        title=f"Run {facts.name}",
        state=facts.state,
        problem=(facts.error or "").strip().partition("\n")[0],
        figures=_highlights(facts),
        facts=_head(facts),
        commands=commands(facts),
        sections=[section for section in sections if section.blocks],
    )


def _highlights(facts: RunFacts) -> list[Figure]:
    figures: list[Figure] = []
    if facts.score is not None:
        where = "" if facts.best_step is None else f" at step {facts.best_step}"
        note = f"{facts.metric}{where}; {better(facts.mode)}"
        figures.append(Figure(name="Score", text=text_of(facts.score), note=note))
    planned = facts.planned_steps
    of = f"of {planned}" if planned is not None and planned > facts.step else ""
    figures.append(Figure(name="Step", text=str(facts.step), note=of))
    if facts.seconds is not None:
        jobs = f"in {len(facts.jobs)} jobs" if len(facts.jobs) > 1 else ""
        figures.append(Figure(name="Took", text=took(facts.seconds), note=jobs))
    return figures


def _head(facts: RunFacts) -> list[tuple[str, str]]:
    head: list[tuple[str, str]] = []
    if facts.started is not None:
        head.append(("Started", moment(facts.started)))
    if facts.last_row is not None:
        # A later job may have found nothing to do: then the run did not end with its last row.
        has_ended = facts.is_over and all(job.started <= facts.last_row for job in facts.jobs)
        head.append(("Ended" if has_ended else "Last value", moment(facts.last_row)))
    if hosts := list(dict.fromkeys(job.host for job in facts.jobs if job.host)):
        head.append(("On", ", ".join(hosts)))
    head.append(("Code", "; ".join(facts.code.states) or "in no git repository"))
    return head


def _end(facts: RunFacts) -> Section:
    blocks: list[Block] = []
    error = (facts.error or "").strip()
    if "\n" in error:  # its first line stands at the head
        blocks.append(Paragraph(text=error, is_warning=True))
    if facts.log:
        title = f"the last {len(facts.log)} lines of its log"
        blocks.append(Folded(title=title, lines=facts.log))
    return Section(title="Why it ended", blocks=blocks)


def _damage(facts: RunFacts) -> Section:
    blocks = [Paragraph(text=problem, is_warning=True) for problem in facts.problems]
    return Section(title="What cannot be read", blocks=blocks)


def _figures(facts: RunFacts) -> Section:
    columns = {
        "evaluation": _values(facts, "evaluation", step=facts.best_step),
        "test": _values(facts, "test"),
    }
    measured = {split: values for split, values in columns.items() if values}
    names = list(dict.fromkeys(name for values in measured.values() for name in values))
    if not names:
        return Section(title="Figures", blocks=[])
    rows = [[name, *(text_of(values.get(name)) for values in measured.values())] for name in names]
    blocks: list[Block] = [Table(header=["", *measured], rows=rows, left=[""])]
    if facts.best_step is not None:
        text = f"The evaluation is that of step {facts.best_step}"
        text += ", whose weights the test saw." if columns["test"] else ", the best so far."
        blocks.insert(0, Paragraph(text=text))
    return Section(title="Figures", blocks=blocks)


def _values(facts: RunFacts, split: str, *, step: int | None = None) -> dict[str, float]:
    """Return the last values of a split, or those at `step`."""
    found = [row for row in facts.rows if row.split == split and step in (None, row.step)]
    return dict(found[-1].values) if found else {}


def _charts(facts: RunFacts) -> tuple[list[Chart], list[Chart]]:
    """Return what the run learned and what it took of the machine, all over the same steps."""
    marks = _marks(facts)
    best = (
        [] if facts.best_step is None else [Mark(step=facts.best_step, label="best", kind="best")]
    )
    learned = metric_charts(facts.rows, metric=facts.metric, marks=[*marks, *best])
    charts = sharing_steps([*learned, *system_charts(facts.rows, marks=marks)])
    return charts[: len(learned)], charts[len(learned) :]


def _curves(charts: Sequence[Chart], pictures: RunPictures) -> Section:
    if not charts:
        return Section(title="Learning curves", blocks=[])
    picture = None
    if pictures.curves is not None:
        caption = (
            "What the run has logged, all over the same steps. A cross at the top is a value that "
            "is no number (nan, inf)."
        )
        picture = Picture(file_name=pictures.curves, caption=caption)
    block = Charts(charts=charts, picture=picture, most=_MOST_CHARTS)
    return Section(title="Learning curves", blocks=[block])


def _marks(facts: RunFacts) -> list[Mark]:
    return [
        Mark(step=job.from_step, label=f"job {job.number}", kind="job")
        for job in facts.jobs[1:]
        if job.from_step is not None
    ]


def _samples(facts: RunFacts, pictures: RunPictures) -> Section:
    blocks: list[Block] = []
    picture = None
    if pictures.samples is not None:
        caption = (
            "The first pictures of the last evaluation; wrong ones with a red frame and the truth. "
            "The percentages are the model's own confidence."
        )
        picture = Picture(file_name=pictures.samples, caption=caption)
    if facts.samples is not None:
        blocks.append(Paragraph(text=facts.samples.told))
        blocks += _sample_blocks(facts, picture)
    elif picture is not None:
        blocks.append(picture)
    return Section(title="Samples", blocks=blocks)


def _sample_blocks(facts: RunFacts, picture: Picture | None) -> Sequence[Block]:
    samples = [] if facts.samples is None else facts.samples.samples
    has_pictures = any(sample.picture for sample in samples)
    return [Samples(samples=samples, picture=picture if has_pictures else None)] if samples else []


def _key(word: str) -> str:
    """Return the dotted key of an override."""
    return word.lstrip("+~").partition("=")[0].partition("@")[0]


def _config(facts: RunFacts) -> Section:
    if not facts.config:
        return Section(title="Config", blocks=[])
    block = ConfigText(
        title=f"config.yaml, {len(facts.config)} lines",
        lines=facts.config,
        marked=[_key(word) for word in facts.given],
    )
    blocks: list[Block] = [block]
    if facts.given:
        text = f"Given on the command line: {' '.join(facts.given)}. These keys are marked below."
        blocks.insert(0, Paragraph(text=text))
    return Section(title="Config", blocks=blocks)
