"""`compare`: what differs between runs, where they part, and whether it is real."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from runner.cli.columns import shortened, table, width_of
from runner.cli.comparing.reading import read_runs
from runner.errors import RunError, did_you_mean
from runner.files import write_text_atomically
from runner.reports.comparison.page import Comparison, comparison_page
from runner.reports.comparison.runs import (
    Side,
    differing,
    measured_alike,
    metrics_of,
    mode_of,
    sides_of,
    surroundings,
)
from runner.reports.comparison.significance import Difference, adjusted, difference
from runner.reports.page import Block, Folded, Page, Paragraph, Table
from runner.run.parting import RowComparison, compare_rows
from runner.run.source.difference import describe_code

_LONGEST_CELL = 44


def compare(
    paths: Sequence[Path],
    *,
    metrics: Sequence[str],
    rtol: float,
    shows_code: bool,
    page: Path | None,
    as_json: bool,
) -> None:
    """Print the comparison of all runs in `paths`, and write it to `page`; RunError for one run."""
    runs, notes = read_runs(paths)
    sides = sides_of(runs)
    found = Comparison(
        sides=sides,
        partings=_partings(sides, rtol),
        differences=_differences(sides, metrics),
        rtol=rtol,
        notes=notes,
    )
    if page is not None:
        _write(page, found)
    if as_json:
        print(json.dumps(_plain(found), ensure_ascii=False, allow_nan=False))
        return
    _print_page(comparison_page(found, shows_code=shows_code))
    if page is not None:
        print(page)


def _partings(sides: Sequence[Side], rtol: float) -> list[tuple[str, str, RowComparison]]:
    """Compare the first run with each other, where each side is one run."""
    if any(len(side.runs) > 1 for side in sides):
        return []
    first, *others = sides
    return [
        (first.label, side.label, compare_rows(first.first.rows, side.first.rows, rtol=rtol))
        for side in others
    ]


def _differences(sides: Sequence[Side], metrics: Sequence[str]) -> list[Difference]:
    """Compare all pairs of groups by `metrics`, or by the score."""
    if all(len(side.runs) == 1 for side in sides) or not measured_alike(sides):
        return []
    known = metrics_of(sides)
    unknown = next((name for name in metrics if name not in known), None)
    if unknown is not None:
        hint = did_you_mean(unknown, known) or f"; there are {', '.join(known) or 'none'}"
        raise RunError(f"--metric: no run has logged '{unknown}'{hint}")
    found = [
        difference(values, others, names=(a.label, b.label), metric=metric)
        for metric in metrics or [sides[0].first.metric]
        for a, b in combinations(sides, 2)
        if (values := a.values(metric)) and (others := b.values(metric))
    ]
    return adjusted(found)


def _print_page(page: Page) -> None:
    for section in page.sections:
        print(section.title)
        for block in section.blocks:
            _print_block(block)
        print()


def _print_block(block: Block) -> None:
    match block:
        case Paragraph():
            print(f"  {block.text}")
        case Folded():
            print(f"  --- {block.title}")
            for line in block.lines:
                print(f"  {line}")
        case Table():
            width = width_of()
            rows = [[shortened(cell, _LONGEST_CELL) for cell in row[:-1]] for row in block.rows]
            rows = [[*row, whole[-1]] for row, whole in zip(rows, block.rows, strict=True)]
            left = None if width is None else width - 2
            for line in table(block.header, rows, left=block.left, width=left):
                print(f"  {line}")
        case _:
            pass  # a picture


def _write(page: Path, found: Comparison) -> None:
    from runner.reports.comparison.charts import curves
    from runner.reports.web_page import to_html

    whole = comparison_page(found, shows_code=True, curves=curves(found.sides))
    html = to_html(whole, page.parent)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(page, html)
    except OSError as error:
        raise RunError(f"the page cannot be written to {page}: {error}") from error


def _plain(found: Comparison) -> dict[str, Any]:
    sides = found.sides
    labels = [side.label for side in sides]

    def by_side(rows: dict[str, list[str]]) -> dict[str, dict[str, str]]:
        return {key: dict(zip(labels, texts, strict=True)) for key, texts in rows.items()}

    return {
        "sides": [_plain_side(side) for side in sides],
        "config": by_side(differing(sides, layout=False)),
        "layout": by_side(differing(sides, layout=True)),
        "surroundings": by_side(surroundings(sides)),
        "metrics": {name: _plain_metric(name, sides) for name in metrics_of(sides)},
        "partings": [_plain_parting(a, b, each) for a, b, each in found.partings],
        "differences": [
            {**_finite_values(asdict(each)), "is_real": each.is_real} for each in found.differences
        ],
        "notes": list(found.notes),
    }


def _plain_side(side: Side) -> dict[str, Any]:
    return {
        "label": side.label,
        "runs": [{"path": run.path, "state": run.state, "seed": run.seed} for run in side.runs],
        "code": describe_code(side.first.code),
        "commit": side.first.code["commit"],
    }


def _plain_metric(metric: str, sides: Sequence[Side]) -> dict[str, Any]:
    figures = {}
    for side in sides:
        found = side.estimate(metric)
        own = {} if len(side.runs) == 1 or found is None else asdict(found)
        kept = side.first.kept_value(metric) if side.first.has_kept(metric) else None
        values = {"kept": kept, "last": side.first.last_value(metric)}
        figures[side.label] = _finite_values(own or values)
    return {"mode": mode_of(metric, sides), **figures}


def _plain_parting(a: str, b: str, each: RowComparison) -> dict[str, Any]:
    values = None
    if each.parting is not None and each.parting.difference is not None:
        values = _finite_values({**asdict(each.parting), "metric": each.parting.metric})
    counts = {key: value for key, value in asdict(each).items() if key != "parting"}
    return {"first": a, "second": b, **counts, "parting": values}


def _finite_values(plain: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in plain.items()
    }
