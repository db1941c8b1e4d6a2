"""A report as Markdown, with its pictures as links to files beside it."""

import html
from collections.abc import Iterable

from runner.reports.charts import Chart
from runner.reports.figures import text_of
from runner.reports.page import (
    Block,
    Charts,
    ConfigText,
    Facts,
    Folded,
    Page,
    Paragraph,
    Picture,
    Samples,
    Table,
)


def to_markdown(page: Page) -> str:
    """Return the page as Markdown."""
    parts = [f"# {_plain(page.title)}"]
    if page.problem:
        parts.append(_block(Paragraph(text=page.problem, is_warning=True)))
    parts.append(_facts(_head(page)))
    for section in page.sections:
        parts.append(f"## {_plain(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _head(page: Page) -> list[tuple[str, str]]:
    head = [("State", page.state)] if page.state else []
    for figure in page.figures:
        note = f" ({figure.note})" if figure.note else ""
        head.append((figure.name, f"{figure.text}{note}"))
    return [*head, *page.facts, *page.commands]


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            text = _plain(block.text)
            return f"> **{text}**" if block.is_warning else text
        case Facts():
            return _facts(block.facts)
        case Picture():
            return f"![{_plain(block.caption)}]({block.file_name})\n\n*{_plain(block.caption)}*"
        case Charts():
            return _block(block.picture) if block.picture else _table(_ends(block.charts))
        case Samples():
            return _block(block.picture) if block.picture else _table(_read(block))
        case Folded() | ConfigText():
            return _folded(block.title, block.lines)
        case Table():
            return _table(block)


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- **{_plain(name)}**: {_plain(text)}" for name, text in facts)


def _folded(title: str, lines: Iterable[str]) -> str:
    fence = "```"
    safe = [line.replace(fence, "'''") for line in lines]
    body = "\n".join([fence, *safe, fence])
    return f"<details><summary>{_plain(title)}</summary>\n\n{body}\n\n</details>"


def _ends(charts: Iterable[Chart]) -> Table:
    """Return where the lines of charts end."""
    rows = [
        [chart.title, line.name, str(line.points[-1][0]), text_of(line.last)]
        for chart in charts
        for line in chart.lines
        if not line.is_faint
    ]
    return Table(header=["value", "of", "step", "last"], rows=rows, left=["value", "of"])


def _read(block: Samples) -> Table:
    rows = [
        [sample.name, sample.text, sample.target or "", _percent(sample.confidence)]
        for sample in block.samples
    ]
    header = ["sample", "read", "truth", "confidence"]
    return Table(header=header, rows=rows, left=header[:3])


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _table(table: Table) -> str:
    rule = [":---" if name in table.left else "---:" for name in table.header]
    rows = [[_plain(cell) for cell in row] for row in (table.header, *table.rows)]
    lines = [rows[0], rule, *rows[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(text: str) -> str:
    """Return `text` as Markdown shows it as it is, on one line."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    for mark in "\\`*[]|":
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped
