"""A report as one HTML file that needs no other: style and pictures are inside."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from runner.reports.page import Block, Folded, Page, Paragraph, Picture, Section, Table

_STYLE = """
:root { color-scheme: light; --ink: #1d2330; --faint: #667085; --line: #e4e7ec; --paper: #fff; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f6f8; color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 18px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 12px; }
section, header { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 22px 26px; margin-bottom: 18px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 22px; margin: 0; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
p { margin: 0 0 12px; max-width: 80ch; } p:last-child { margin-bottom: 0; }
.warning { background: #fff6e5; border-left: 4px solid #e8a317; padding: 9px 14px;
  border-radius: 4px; max-width: none; }
.scroll { overflow-x: auto; margin: 0 0 14px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px;
  font-variant-numeric: tabular-nums; }
th { text-align: right; color: var(--faint); font-weight: 600; white-space: nowrap; }
th, td { padding: 6px 12px; border-bottom: 1px solid var(--line); }
td { text-align: right; white-space: nowrap; }
th.left, td.left { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 90px; }
tbody tr:hover { background: #f7f9fc; }
.state { border-radius: 20px; padding: 1px 10px; background: #eef0f3; color: #475467;
  white-space: nowrap; }
.state.completed { background: #e3f5ea; color: #17663a; }
.state.failed, .state.lost { background: #fde8e6; color: #a3261a; }
.state.running { background: #e2f0fb; color: #14568c; }
figure { margin: 0 0 18px; } figure:last-child { margin-bottom: 0; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { color: var(--faint); font-size: 13.5px; margin-top: 8px; max-width: 90ch; }
details { margin: 0 0 12px; } summary { cursor: pointer; color: #14568c; }
pre { background: #f7f8fa; border: 1px solid var(--line); border-radius: 6px; padding: 12px;
  overflow-x: auto; font-size: 12.5px; line-height: 1.5; }
@media print { body { background: #fff; } section, header { break-inside: avoid; border: 0; } }
"""


def to_html(page: Page, folder: Path) -> str:
    """Return the page as HTML, with its pictures, which lie in `folder`, inside."""
    title = html.escape(page.title)
    facts = "".join(f"<dt>{_text(name)}</dt><dd>{_text(text)}</dd>" for name, text in page.facts)
    sections = "\n".join(_section(section, folder) for section in page.sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header><h1>{title}</h1><dl>{facts}</dl></header>\n{sections}\n</main>\n</body>\n</html>\n"
    )


def _section(section: Section, folder: Path) -> str:
    blocks = "\n".join(_block(block, folder) for block in section.blocks)
    return f"<section>\n<h2>{_text(section.title)}</h2>\n{blocks}\n</section>"


def _block(block: Block, folder: Path) -> str:
    match block:
        case Paragraph():
            kind = ' class="warning"' if block.is_warning else ""
            return f"<p{kind}>{_text(block.text)}</p>"
        case Picture():
            content = base64.b64encode((folder / block.file_name).read_bytes()).decode()
            caption = _text(block.caption)
            return (
                f'<figure><img src="data:image/png;base64,{content}" alt="{caption}">'
                f"<figcaption>{caption}</figcaption></figure>"
            )
        case Folded():
            lines = html.escape("\n".join(block.lines))
            return f"<details><summary>{_text(block.title)}</summary><pre>{lines}</pre></details>"
        case Table():
            return _tables(block)


def _tables(table: Table) -> str:
    """Return the first rows, and the rest folded away."""
    if table.most is None or len(table.rows) <= table.most:
        return _table(table, table.rows)
    rest = table.rows[table.most :]
    return (
        f"{_table(table, table.rows[: table.most])}\n<details><summary>{len(rest)} more</summary>"
        f"{_table(table, rest)}</details>"
    )


def _table(table: Table, rows: Sequence[Sequence[str]]) -> str:
    kinds = [' class="left"' if name in table.left else "" for name in table.header]
    head = "".join(
        f"<th{kind}>{_text(name)}</th>" for kind, name in zip(kinds, table.header, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{_cell(name, cell)}</td>"
            for kind, name, cell in zip(kinds, table.header, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(name: str, cell: str) -> str:
    if name == "state" and cell:
        return f'<span class="state {_text(cell)}">{_text(cell)}</span>'
    return _text(cell)


def _text(text: str) -> str:
    return html.escape(text)
