"""A comparison of runs as a page; a terminal shows the same sections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.reports.comparison import (
    ComparedRun,
    Side,
    best_index,
    differing,
    group_of,
    metrics_of,
    mode_of,
    surroundings,
)
from runner.reports.page import Block, Folded, Page, Paragraph, Section, Table
from runner.reports.significance import FEW, PAIRED, Difference
from runner.run.code_difference import describe_code, difference_in, differing_files, files_of
from runner.run.parting import RowComparison

MOST_COLUMNS = 5  # more sides than this are rows
_MOST_FILES = 12
_MOST_DIFFERENCES = 40


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
        Section(title="Figures", blocks=_figures(sides)),
        Section(title="Is the difference real?", blocks=_significance(found.differences)),
        Section(title="Where they part", blocks=_partings(found)),
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
            str(max(run.step for run in side.runs)),
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


def _paths(side: Side) -> str:
    more = len(side.runs) - 1
    return f"{side.first.path}{f' and {more} more' if more else ''}"


def _config(sides: Sequence[Side]) -> list[Block]:
    result, layout = (differing(sides, layout=layout) for layout in (False, True))
    blocks: list[Block] = []
    if result:
        blocks.append(_table("key", sides, result))
    else:
        seeds = {str(run.seed) for side in sides for run in side.runs}
        but = " but for the seed" if len(seeds) > 1 else ""
        blocks.append(Paragraph(text=f"The same in all that makes the result{but}."))
    if layout:
        text = "Keys that say where, how long and what is kept; they do not change the result:"
        blocks += [Paragraph(text=text), _table("key", sides, layout)]
    return blocks


def _table(corner: str, sides: Sequence[Side], cells: Mapping[str, Sequence[str]]) -> Table:
    """Return a table with a column for each side; of many sides with a row for each."""
    labels = [side.label for side in sides]
    if len(sides) <= MOST_COLUMNS:
        rows = [[name, *texts] for name, texts in cells.items()]
        return Table(header=[corner, *labels], rows=rows, left=[corner])
    columns = zip(*cells.values(), strict=True)
    rows = [[label, *texts] for label, texts in zip(labels, columns, strict=True)]
    return Table(header=["side", *cells], rows=rows, left=["side"])


def _code(sides: Sequence[Side], *, shows_code: bool) -> list[Block]:
    states = {side.label: describe_code(side.first.code) for side in sides}
    blocks: list[Block] = [
        Paragraph(text=f"The runs of {side.label} come from {count} states of the code.")
        for side in sides
        if (count := len({describe_code(run.code) for run in side.runs})) > 1
    ]
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
    return [_table("", sides, found)] if found else []


def _figures(sides: Sequence[Side]) -> list[Block]:
    cells: dict[str, list[str]] = {}
    for metric in metrics_of(sides):
        mode = mode_of(metric, sides)
        name = metric if mode is None else f"{metric} ({'lower' if mode == 'min' else 'higher'})"
        kept = [_kept(side, metric) for side in sides]
        cells[name] = _marked([mean for mean, _ in kept], [text for _, text in kept], mode)
        last = [_last(side.first, metric) for side in sides]
        is_other = any(a != b for a, (b, _) in zip(last, kept, strict=True))
        if is_other and all(len(side.runs) == 1 for side in sides):
            cells[f"{metric}, last"] = _marked(last, [_figure(value) for value in last], mode)
    if not cells:
        return [Paragraph(text="Nothing was evaluated yet.")]
    text = (
        "Values of the weights that are kept, those of the best step; the better is marked *. "
        "(lower), (higher): which is better."
    )
    if any(len(side.runs) > 1 for side in sides):
        text += " Over seeds: mean and 95% interval (Student's t) of the completed runs."
    return [Paragraph(text=text), _table("metric", sides, cells), *_over_seeds(sides)]


def _over_seeds(sides: Sequence[Side]) -> list[Block]:
    """Tell the mean of runs that differ in nothing but their seed, each a side of its own."""
    group = group_of(sides)
    metric = sides[0].first.metric
    found = None if group is None else group.estimate(metric)
    if found is None or found.half_width is None:
        return []
    text = (
        f"Over their {found.count} seeds {metric} is {_figure(found.mean)} ± "
        f"{_figure(found.half_width)}, the mean and its 95% interval (Student's t)."
    )
    return [Paragraph(text=text)]


def _kept(side: Side, metric: str) -> tuple[float | None, str]:
    if len(side.runs) == 1:
        value = side.first.kept_value(metric)
        return value, _figure(value)
    found = side.estimate(metric)
    if found is None:
        return None, ""
    spread = "" if found.half_width is None else f" ± {_figure(found.half_width)}"
    return found.mean, f"{_figure(found.mean)}{spread} (n={found.count})"


def _last(run: ComparedRun, metric: str) -> float | None:
    return run.last_value(metric)


def _marked(values: Sequence[float | None], texts: Sequence[str], mode: str | None) -> list[str]:
    best = best_index(values, mode)
    return [f"{text} *" if at == best else text for at, text in enumerate(texts)]


def _significance(differences: Sequence[Difference]) -> list[Block]:
    if not differences:
        return []
    shown = sorted(differences, key=lambda d: (d.adjusted is None, d.adjusted or 0.0))
    rows = [_row(each) for each in shown[:_MOST_DIFFERENCES]]
    header = ["difference", "metric", "mean", "95% interval", "p", "n", "verdict"]
    blocks: list[Block] = [
        Table(header=header, rows=rows, left=["difference", "metric", "verdict"])
    ]
    return [*blocks, *(Paragraph(text=text) for text in _methods(differences, len(rows)))]


def _row(each: Difference) -> list[str]:
    low_high = ""
    if each.half_width is not None:
        low, high = each.mean - each.half_width, each.mean + each.half_width
        low_high = f"{_figure(low)} to {_figure(high)}"
    return [
        f"{each.second} - {each.first}",
        each.metric,
        _figure(each.mean),
        low_high,
        "" if each.adjusted is None else f"{each.adjusted:.2g}",
        f"{each.counts[0]}, {each.counts[1]}",
        _verdict(each),
    ]


def _verdict(each: Difference) -> str:
    if each.adjusted is not None:
        return "real" if each.is_real else "may be chance"
    if min(each.counts) < 2:
        return "one run is not enough"
    return "equal" if each.mean == 0.0 else "the same in every run"


def _methods(differences: Sequence[Difference], num_shown: int) -> list[str]:
    methods = dict.fromkeys(each.method for each in differences if each.p is not None)
    texts = []
    if methods:
        how = "; ".join(
            f"{name}{', over equal seeds' if name == PAIRED else ''}" for name in methods
        )
        texts.append(f"p is that of {how}. Real is what chance makes one time in twenty, or less.")
    if (count := sum(each.p is not None for each in differences)) > 1:
        texts.append(
            f"p is adjusted for {count} differences looked at together (Holm 1979); each interval "
            "stands for its difference alone."
        )
    if len(differences) > num_shown:
        texts.append(f"{num_shown} of {len(differences)} differences are shown, the surest first.")
    fewest = min((min(each.counts) for each in differences if each.p is not None), default=FEW)
    if fewest < FEW:
        texts.append(
            f"Groups of {fewest} are small: the test then rests on values that scatter normally, "
            "and only large differences can be told from chance. More seeds make it surer."
        )
    return texts


def _partings(found: Comparison) -> list[Block]:
    how = f"within a tolerance of {found.rtol:g}" if found.rtol else "bit for bit"
    return [Paragraph(text=_sentence(a, b, each, how)) for a, b, each in found.partings]


def _sentence(a: str, b: str, each: RowComparison, how: str) -> str:
    if not each.compared:
        return f"{a} and {b} have logged nothing for the same step."
    parting = each.parting
    if parting is None or parting.difference is None:
        lacking = f"; {each.lacking} values one of them has alone" if each.lacking else ""
        return (
            f"{a} and {b} are equal {how} up to the end: {each.compared} values, up to step "
            f"{each.last_step}, which both have reached{lacking}."
        )
    return (
        f"{a} and {b} part at step {parting.step}: {parting.metric} is {parting.first!r} and "
        f"{parting.second!r}; of {each.compared} values {each.differing} differ, compared {how}."
    )


def _figure(value: float | None) -> str:
    """Return a figure with four digits that matter, "" for none."""
    if value is None:
        return ""
    return f"{value:.0f}" if 10_000 <= abs(value) < 1e15 else f"{value:.4g}"
