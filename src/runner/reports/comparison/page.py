"""A comparison of runs as a page; a terminal shows the same sections."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.reports.comparison.figures import figures, partings, side_table
from runner.reports.comparison.runs import Side, differing, surroundings
from runner.reports.comparison.significance import Difference
from runner.reports.comparison.verdicts import significance
from runner.reports.page import Block, Folded, Page, Paragraph, Section, Table
from runner.run.parting import RowComparison
from runner.run.source.difference import describe_code, difference_in, differing_files, files_of

_MOST_FILES = 12


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that was found, by the functions beside this."""

    sides: Sequence[Side]
    partings: Sequence[tuple[str, str, RowComparison]]  # of pairs of runs
    differences: Sequence[Difference]  # of groups
    rtol: float = 0.0
    notes: Sequence[str] = ()


def comparison_page(found: Comparison, *, shows_code: bool, curves: Sequence[Block] = ()) -> Page:
    """Return the page; `curves` are blocks that show them."""
    sides = found.sides
    sections = [
        Section(title="Runs", blocks=[_runs(sides), *(Paragraph(text=n) for n in found.notes)]),
        Section(title="Config", blocks=_config(sides)),
        Section(title="Code", blocks=_code(sides, shows_code=shows_code)),
        Section(title="Versions and machine", blocks=_surroundings(sides)),
        Section(title="Figures", blocks=figures(sides)),
        Section(title="Is the difference real?", blocks=significance(found.differences)),
        Section(title="Where they part", blocks=partings(found.partings, rtol=found.rtol)),
        Section(title="Curves", blocks=list(curves)),
    ]
    return Page(
        title=f"Comparison of {', '.join(dict.fromkeys(s.first.name for s in sides))}",
        facts=[("Runs", str(sum(len(side.runs) for side in sides)))],
        sections=[section for section in sections if section.blocks],
    )


def _runs(sides: Sequence[Side]) -> Table:
    header = ["", "name", "runs", "state", "step", "what", "path"]
    rows = [
        [
            side.label,
            side.first.name,
            str(len(side.runs)),
            ", ".join(dict.fromkeys(run.state for run in side.runs)),
            _steps(side),
            _what(side, sides),
            _paths(side),
        ]
        for side in sides
    ]
    if all(len(side.runs) == 1 for side in sides):
        header, rows = _without(header, rows, "runs")
    if not any(row[-2] for row in rows):
        header, rows = _without(header, rows, "what")
    return Table(header=header, rows=rows, left=["", "name", "state", "what", "path"])


def _without(
    header: list[str], rows: list[list[str]], name: str
) -> tuple[list[str], list[list[str]]]:
    at = header.index(name)
    return header[:at] + header[at + 1 :], [row[:at] + row[at + 1 :] for row in rows]


def _what(side: Side, sides: Sequence[Side]) -> str:
    """Return the overrides that tell a side from the others."""
    shared = set.intersection(*({*run.overrides} for s in sides for run in s.runs))
    own = [word for word in side.first.overrides if word not in shared]
    is_group = len(side.runs) > 1
    return " ".join(word for word in own if not (is_group and word.startswith("seed=")))


def _steps(side: Side) -> str:
    steps = sorted({run.step for run in side.runs})
    return str(steps[0]) if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"


def _paths(side: Side) -> str:
    more = len(side.runs) - 1
    return f"{side.first.path}{f' and {more} more' if more else ''}"


def _config(sides: Sequence[Side]) -> list[Block]:
    result, layout = (differing(sides, layout=layout) for layout in (False, True))
    blocks: list[Block] = []
    if result:
        blocks.append(side_table("key", sides, result))
    else:
        seeds = {str(run.seed) for side in sides for run in side.runs}
        but = " but for the seed" if len(seeds) > 1 else ""
        blocks.append(Paragraph(text=f"The same in all that makes the result{but}."))
    if layout:
        text = "Keys that say where, how long and what is kept; they do not change the result:"
        blocks += [Paragraph(text=text), side_table("key", sides, layout)]
    return blocks


def _code(sides: Sequence[Side], *, shows_code: bool) -> list[Block]:
    states = {side.label: describe_code(side.first.code) for side in sides}
    blocks: list[Block] = [
        Paragraph(text=f"The runs of {side.label} come from {count} states of the code.")
        for side in sides
        if (count := len({describe_code(run.code) for run in side.runs})) > 1
    ]
    if all(run.code["commit"] is None for side in sides for run in side.runs):
        text = "No run was started in a git repository: whether the code is the same is not known."
        return [Paragraph(text=text)]
    if len(set(states.values())) == 1:
        return [Paragraph(text=f"The same: {next(iter(states.values()))}."), *blocks]
    rows = [[label, text] for label, text in states.items()]
    blocks.append(Table(header=["", "code"], rows=rows, left=["", "code"]))
    for side in sides[1:]:
        blocks += _code_between(sides[0], side, shows_code=shows_code)
    return blocks


def _code_between(a: Side, b: Side, *, shows_code: bool) -> list[Block]:
    one, other = a.first.code, b.first.code
    pair = f"{a.label} and {b.label}"
    blocks: list[Block] = []
    if one["commit"] != other["commit"] and one["commit"] and other["commit"]:
        shown = f"git diff {one['commit'][:12]} {other['commit'][:12]}"
        blocks.append(Paragraph(text=f"The commits of {pair} differ; to see how: {shown}"))
    names = differing_files(one, other)
    if not names:
        return blocks
    more = f" and {len(names) - _MOST_FILES} more" if len(names) > _MOST_FILES else ""
    told = f"{', '.join(names[:_MOST_FILES])}{more}"
    how = "" if shows_code else " (--code shows how)"
    blocks.append(Paragraph(text=f"Uncommitted changes of {pair} differ in {told}{how}"))
    if shows_code:
        blocks += [
            Folded(title=_title(name, a, b), lines=difference_in(name, one, other))
            for name in names
        ]
    return blocks


def _title(name: str, a: Side, b: Side) -> str:
    changed_in = [side.label for side in (a, b) if name in files_of(side.first.code["diff"])]
    if len(changed_in) == 1:
        return f"{name}, changed in {changed_in[0]} alone"
    return f"{name}, from the changes of {a.label} to those of {b.label}"


def _surroundings(sides: Sequence[Side]) -> list[Block]:
    found = surroundings(sides)
    return [side_table("", sides, found)] if found else []
