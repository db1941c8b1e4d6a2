"""What a report of a sweep says: runs by score, seeds, effects, curves, objectives."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from runner.reports.figures import BEST, text_of
from runner.reports.page import Block, Charts, Folded, Page, Paragraph, Picture, Section, Table
from runner.reports.sweep.chart import sweep_chart
from runner.reports.sweep.pareto import comparable, pareto_front
from runner.reports.sweep.statistics import (
    SEED,
    Effect,
    Estimate,
    effects,
    far_off,
    seed_deviation,
    seed_groups,
    without,
)
from runner.reports.sweep.table import RunResult, SweepResults, ranked, unranked

CURVES = "curves.png"
PARAMETERS = "score_by_parameter.png"
OBJECTIVES = "objectives.png"
_MOST_KEYS = 6  # more swept keys than this share one column
_MOST_ROWS = 25
_CHANCE = 1.96  # standard deviations that chance alone reaches one time in twenty

_REASONS = {  # of runs that say nothing themselves
    "lost": "its process is gone; it goes on when the sweep is started again",
    "preempted": "it was stopped and has saved; it goes on when the sweep is started again",
    "pruned": "the search gave it up early",
    "queued": "it has not begun",
}

_MARGINAL = (
    "Each mean is over all completed runs with that value, whatever the other keys were there: it "
    "shows what a key does on the whole. It does not show how keys work together; and where "
    "combinations are missing, failed or were chosen by a search, a difference may come from the "
    "company that a value kept. The intervals are Student's t, 95%, as if the runs differed by "
    "chance alone: they are wide where the other keys matter."
)


def sweep_page(
    results: SweepResults,
    *,
    pictures: Mapping[str, int],
) -> Page:
    """Return the report; `pictures` are the files that were drawn, and the figure each gave."""
    sections = [
        _warnings(results),
        _runs(results),
        _curves(results, pictures),
        _seeds(results),
        _effects(results, pictures),
        _objectives(results, pictures),
        _base(results),
    ]
    return Page(
        title=f"Sweep {results.name}",
        facts=_facts(results),
        commands=[("Command", results.command)],
        sections=[section for section in sections if section.blocks],
    )


def better(mode: str) -> str:
    """Return which way of a score is up."""
    return "lower is better" if mode == "min" else "higher is better"


def interval(estimate: Estimate) -> str:
    """Return the 95% interval of a mean as text."""
    if estimate.half_width is None:
        return "one run: no interval"
    low, high = estimate.mean - estimate.half_width, estimate.mean + estimate.half_width
    return f"{text_of(low)} to {text_of(high)}"


def _facts(results: SweepResults) -> list[tuple[str, str]]:
    counts = Counter(run.state for run in results.runs)
    total = max(len(results.runs), results.total or 0)
    states = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    if to_come := total - len(results.runs):
        states += f", {to_come} to come"
    facts = [
        ("Runs", f"{total}: {states}"),
        ("Score", f"the best {results.metric} of a run; {better(results.mode)}"),
        ("Varied", f"{', '.join(results.swept)} ({results.kind})"),
        ("Code", "; ".join(results.code) or "in no git repository"),
    ]
    if best := ranked(results.runs, mode=results.mode)[:1]:
        text = f"run {best[0].number}: {text_of(best[0].score)} ({best[0].label})"
        facts.insert(1, ("Best", text))
    return facts


def _warnings(results: SweepResults) -> Section:
    warnings = [Paragraph(text=text, is_warning=True) for text in results.warnings]
    return Section(title="Before comparing", blocks=warnings)


def _runs(results: SweepResults) -> Section:
    best = ranked(results.runs, mode=results.mode)
    rest = unranked(results.runs)
    keys = list(results.swept) if len(results.swept) <= _MOST_KEYS else []
    names = keys or ["overrides"]
    blocks: list[Block] = []
    if best:
        header = ["rank", "run", results.metric, "best at", "steps", "took", *names]
        rows = [
            [
                str(rank),
                str(run.number),
                text_of(run.score),
                "" if run.best_step is None else str(run.best_step),
                str(run.step),
                took(run.seconds),
                *_values(run, keys),
            ]
            for rank, run in enumerate(best, start=1)
        ]
        blocks.append(Table(header=header, rows=rows, left=names, most=_MOST_ROWS))
    else:
        blocks.append(Paragraph(text="No run is completed with a score yet."))
    if rest:
        blocks.append(Paragraph(text="Not in the ranking, nor in any mean:"))
        header = ["run", "state", "score so far", "steps", "overrides", "reason"]
        rows = [_unranked_row(run) for run in rest]
        left = ("state", "overrides", "reason")
        blocks.append(Table(header=header, rows=rows, left=left, most=_MOST_ROWS))
    return Section(title="Runs by score", blocks=blocks)


def took(seconds: float | None) -> str:
    """Return a time as people tell it: "40 s", "12 min", "3.1 h"."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _values(run: RunResult, keys: Sequence[str]) -> list[str]:
    return [run.overrides.get(key, "") for key in keys] if keys else [run.label]


def _unranked_row(run: RunResult) -> list[str]:
    reason = (run.error or _REASONS.get(run.state, "")).partition("\n")[0]
    if not reason and run.state == "completed":
        reason = "it has no score" if run.score is None else "its score is no number"
    return [str(run.number), run.state, text_of(run.score), str(run.step), run.label, reason]


def _curves(results: SweepResults, pictures: Mapping[str, int]) -> Section:
    blocks: list[Block] = []
    if CURVES in pictures:
        coloured = min(len(ranked(results.runs, mode=results.mode)), len(BEST))
        which = (
            f", the {coloured} best completed ones in colour" if pictures[CURVES] > coloured else ""
        )
        caption = (
            f"{results.metric} of {pictures[CURVES]} runs{which}; beside a name stands the score. "
            "Values far from all others may lie outside of the picture."
        )
        picture = Picture(file_name=CURVES, caption=caption)
        blocks.append(Charts(charts=[sweep_chart(results)], picture=picture))
    return Section(title="Learning curves", blocks=blocks)


def _seeds(results: SweepResults) -> Section:
    groups = seed_groups(results)
    if not groups:
        return Section(title="", blocks=[])
    if all(group.estimate.count == 1 for group in groups):
        text = "No two completed runs differ in their seed alone: what chance does is not known."
        return Section(title="Over seeds", blocks=[Paragraph(text=text)])
    header = ["settings", "mean", "deviation", "n", "95% interval of the mean", "runs"]
    rows = [
        [
            group.label or "(nothing but the seed varies)",
            text_of(group.estimate.mean),
            text_of(group.estimate.deviation),
            str(group.estimate.count),
            interval(group.estimate),
            ", ".join(str(run.number) for run in group.runs)
            + (f" (+{group.num_without} without a result)" if group.num_without else ""),
        ]
        for group in groups
    ]
    text = (
        f"Runs that differ in nothing but the seed, as one row; {better(results.mode)}. The "
        "deviation is that of the sample, the interval is Student's t. Settings whose intervals "
        "overlap much cannot be told apart by these runs."
    )
    left = ("settings", "runs")
    table = Table(header=header, rows=rows, left=left, most=_MOST_ROWS)
    return Section(title="Over seeds", blocks=[Paragraph(text=text), table])


def _effects(results: SweepResults, pictures: Mapping[str, int]) -> Section:
    far = far_off(results)
    bulk = without(results, far)
    found = effects(bulk)
    if not found:
        return Section(title="", blocks=[])
    blocks: list[Block] = [Paragraph(text=_MARGINAL)]
    if far:
        named = ", ".join(f"run {run.number} ({text_of(run.score)})" for run in far)
        text = f"Left out here, since their scores are far from all others: {named}."
        blocks.append(Paragraph(text=text, is_warning=True))
    if (noise := seed_deviation(seed_groups(bulk))) is not None:
        text = (
            f"The seed alone scatters scores by {text_of(noise)} (standard deviation within equal "
            "settings): smaller differences between single runs mean nothing."
        )
        blocks.append(Paragraph(text=text))
    if PARAMETERS in pictures:
        caption = "Score of each completed run; the star is the best, the line the mean."
        if pictures[PARAMETERS]:
            caption += f" {pictures[PARAMETERS]} far from all others lie outside of the picture."
        blocks.append(Picture(file_name=PARAMETERS, caption=caption))
    for effect in found:
        blocks += _effect(effect, results.mode)
    return Section(title="Effect of each key", blocks=blocks)


def _effect(effect: Effect, mode: str) -> list[Block]:
    text = f"{effect.key}: the means differ by up to {text_of(effect.size)}."
    if effect.key == SEED:
        text += " A seed is no setting to choose by: this is noise."
        return [Paragraph(text=text)]
    if effect.correlation is not None:
        text += f" {_correlation(effect, effect.correlation, mode)}"
    header = [effect.key, f"mean ({better(mode)})", "95% interval", "n"]
    rows = [
        [label, text_of(one.mean), interval(one), str(one.count)] for label, one in effect.by_value
    ]
    return [Paragraph(text=text), Table(header=header, rows=rows, left=[effect.key])]


def _correlation(effect: Effect, value: float, mode: str) -> str:
    count = sum(one.count for _, one in effect.by_value)
    is_told = abs(value) * math.sqrt(count - 1) > _CHANCE
    is_better_high = (value > 0) == (mode == "max")
    which = "higher" if is_better_high else "lower"
    says = f"{which} values go with better scores" if is_told else "chance may do as much"
    return (
        f"Rank correlation (Spearman) with the score {value:+.2f}: {says}. It sees only "
        "what goes one way all along: for a best value in between look at the picture."
    )


def _objectives(results: SweepResults, pictures: Mapping[str, int]) -> Section:
    names = list(results.objectives)
    if len(names) < 2:
        return Section(title="", blocks=[])
    front = pareto_front(results.runs, results.objectives)
    num_without = sum(run.state == "completed" for run in results.runs)
    num_without -= len(comparable(results.runs, results.objectives))
    text = (
        "No run is better than one of these in one objective without being worse in another. The "
        "values are those at the best step of each run."
    )
    if num_without:
        text += f" {num_without} completed runs lack a value and are left out."
    blocks: list[Block] = [Paragraph(text=text)]
    if OBJECTIVES in pictures:
        caption = f"{names[0]} against {names[1]}; numbers are those of the runs."
        blocks.append(Picture(file_name=OBJECTIVES, caption=caption))
    modes = [f"{name} ({better(mode)})" for name, mode in results.objectives.items()]
    rows = [
        [str(run.number), *(text_of(run.objectives[name]) for name in names), run.label]
        for run in front
    ]
    table = Table(header=["run", *modes, "overrides"], rows=rows, left=["overrides"])
    return Section(title="Several objectives", blocks=[*blocks, table])


def _base(results: SweepResults) -> Section:
    lines = [f"{key}: {_value(value)}" for key, value in results.base.items()]
    folded = [Folded(title="base config", lines=lines)] if lines else []
    return Section(title="What all runs share", blocks=folded)


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
