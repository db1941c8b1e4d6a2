"""A report as data, and as Markdown; `html.py` beside this makes a page of the same.

Texts are plain: whatever a run has written is escaped where it is rendered.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Text; a warning stands out."""

    text: str
    is_warning: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under a header; columns in `left` begin left, the others end right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[str] = ()
    most: int | None = None  # rows that are shown at once; the rest is folded away


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture beside the page, and what is to be seen in it."""

    file_name: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Lines that are there for those who look for them."""

    title: str
    lines: Sequence[str]


Block = Paragraph | Table | Picture | Folded


@dataclass(frozen=True, kw_only=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole report; `facts` stand at its head."""

    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]


def to_markdown(page: Page) -> str:
    """Return the page as Markdown, with its pictures as links to files beside it."""
    parts = [f"# {_plain(page.title)}"]
    parts.append("\n".join(f"- **{_plain(name)}**: {_plain(text)}" for name, text in page.facts))
    for section in page.sections:
        parts.append(f"## {_plain(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            text = _plain(block.text)
            return f"> **{text}**" if block.is_warning else text
        case Picture():
            return f"![{_plain(block.caption)}]({block.file_name})\n\n*{_plain(block.caption)}*"
        case Folded():
            fence = "```"
            lines = [line.replace(fence, "'''") for line in block.lines]
            body = "\n".join([fence, *lines, fence])
            return f"<details><summary>{_plain(block.title)}</summary>\n\n{body}\n\n</details>"
        case Table():
            return _table(block)


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
