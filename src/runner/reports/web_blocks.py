"""The blocks of a page as HTML; every text of a run is escaped here."""

import base64
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from runner.reports.charts import FAINT, Chart, to_json
from runner.reports.figures import text_of
from runner.reports.page import (
    Block,
    Charts,
    ConfigText,
    Facts,
    Folded,
    Paragraph,
    Picture,
    Sample,
    Samples,
    Table,
)
from runner.reports.svg import draw
from runner.reports.yaml_keys import keys_of_lines

_RIGHT_TO_LEFT = "\u0590-\u05ff\u0620-\u064a\u066e-\u06d3\ufb1d-\ufdff\ufe70-\ufefc"
_LONG_WORD = re.compile(r"\S{21,}")
_WORD = re.compile(f"[{_RIGHT_TO_LEFT}]{{2}}")


def block_html(block: Block, folder: Path) -> str:
    """Return a block as HTML; its pictures lie in `folder`."""
    match block:
        case Paragraph():
            kind = ' class="warning"' if block.is_warning else ""
            return f"<p{kind}>{html.escape(block.text)}</p>"
        case Facts():
            return facts_html(block.facts)
        case Picture():
            return _picture(block, folder)
        case Charts():
            return _charts(block)
        case Samples():
            return _samples(block)
        case Folded():
            return _folded(block)
        case ConfigText():
            return _config(block)
        case Table():
            return _tables(block)


def facts_html(facts: Iterable[tuple[str, str]]) -> str:
    """Return facts as a list."""
    items = "".join(
        f"<dt>{html.escape(name)}</dt><dd><bdi>{html.escape(text)}</bdi></dd>"
        for name, text in facts
    )
    return f"<dl>{items}</dl>" if items else ""


def state_html(state: str) -> str:
    """Return a state in its colour."""
    kind = html.escape(state)
    return f'<span class="state {kind}">{kind}</span>' if state else ""


def _picture(picture: Picture, folder: Path) -> str:
    caption = html.escape(picture.caption)
    source = _source((folder / picture.file_name).read_bytes())
    return (
        f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )


def _source(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _charts(block: Charts) -> str:
    drawn = [_chart(chart) for chart in block.charts]
    shown, rest = drawn[: block.most], drawn[block.most :] if block.most else []
    folded = (
        f'<details><summary>{len(rest)} more</summary><div class="charts">{"".join(rest)}</div>'
        "</details>"
        if rest
        else ""
    )
    note = f'<p class="note">{html.escape(block.picture.caption)}</p>' if block.picture else ""
    return f'<div class="charts">{"".join(shown)}</div>{folded}{note}'


def _chart(chart: Chart) -> str:
    checked = " checked" if chart.is_log else ""
    switch = f'<label class="switch"><input type="checkbox"{checked}>log</label>'
    legend = f'<span class="legend">{_legend(chart)}</span>'
    return (
        f'<figure class="chart"><figcaption><b>{html.escape(chart.title)}</b>'
        f"{switch if chart.has_log else ''}{legend}</figcaption>"
        f'<div class="plot">{draw(chart)}<div class="tip" hidden></div></div>'
        f'<script type="application/json">{to_json(chart)}</script></figure>'
    )


def _legend(chart: Chart) -> str:
    told = [
        f'<span class="{line.tone}"><i>{html.escape(line.name)}</i> '
        f"{text_of(line.last if line.figure is None else line.figure)}</span>"
        for line in chart.lines
        if not line.is_faint
    ]
    if others := len(chart.lines) - len(told):
        told.append(f'<span class="{FAINT}"><i>{others} others</i></span>')
    return "".join(told)


def _samples(block: Samples) -> str:
    return f'<div class="samples">{"".join(_sample(sample) for sample in block.samples)}</div>'


def _sample(sample: Sample) -> str:
    kind = "wrong" if sample.is_wrong else "right" if sample.target is not None else ""
    picture = f'<img src="{_source(sample.picture)}" alt="">' if sample.picture else ""
    confidence = "" if sample.confidence is None else f"<small>{sample.confidence:.1%}</small>"
    truth = f'<div class="truth">{_read(sample.target or "")}</div>' if sample.is_wrong else ""
    name = html.escape(sample.name)
    return (
        f'<figure class="sample {kind}" title="{name}">{picture}<figcaption>'
        f"<div>{_read(sample.text)}{confidence}</div>{truth}</figcaption></figure>"
    )


def _read(text: str) -> str:
    """Return a text that was read: words in their own direction, signs one by one as on a plate.

    Single letters between digits are no words: turned round as one, they would stand in another
    order than in the picture.
    """
    if not text:
        return '<bdi class="text nothing">nothing</bdi>'
    if _WORD.search(text):
        return f'<bdi class="text" dir="auto">{html.escape(text)}</bdi>'
    return f'<bdo class="text" dir="ltr">{html.escape(text)}</bdo>'


def _folded(block: Folded) -> str:
    lines = block.lines if block.kind == "text" else None
    body = (
        html.escape("\n".join(lines))
        if lines is not None
        else "\n".join(_diff_line(line) for line in block.lines)
    )
    return f"<details><summary>{html.escape(block.title)}</summary><pre>{body}</pre></details>"


def _diff_line(line: str) -> str:
    kinds = {"diff": "file", "+++": "file", "---": "file", "@@": "place", "+": "new", "-": "old"}
    kind = next((kind for start, kind in kinds.items() if line.startswith(start)), "")
    return f'<span class="{kind}">{html.escape(line)}</span>' if kind else html.escape(line)


def _config(block: ConfigText) -> str:
    keys = keys_of_lines(block.lines)
    lines = "".join(
        f'<span data-key="{html.escape(key)}"{_marked(key, block.marked)}>'
        f"{html.escape(line)}\n</span>"
        for key, line in zip(keys, block.lines, strict=True)
    )
    return (
        f"<details><summary>{html.escape(block.title)}</summary>"
        '<input class="search" type="search" placeholder="search a key or a value" '
        f'aria-label="search the config" hidden><pre class="config">{lines}</pre></details>'
    )


def _marked(key: str, marked: Sequence[str]) -> str:
    is_marked = any(key == one or key.startswith(f"{one}.") for one in marked)
    return ' class="marked"' if is_marked else ""


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
        f"<th{kind}>{html.escape(name)}</th>"
        for kind, name in zip(kinds, table.header, strict=True)
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
    return state_html(cell) if name == "state" else f"<bdi>{_breakable(cell)}</bdi>"


def _breakable(text: str) -> str:
    """Return the text with places at which a long word may go on in the next line."""
    return _LONG_WORD.sub(
        lambda word: re.sub(r"[/_.=,](?=\w)", r"\g<0><wbr>", word[0]), html.escape(text)
    )
