"""A report as one HTML file that needs no other: style, script and pictures are inside.

The page may neither load nor send anything, and runs no script but its own (its
Content-Security-Policy names that by its hash), whatever a run has written into it.
"""

import base64
import hashlib
import html
from functools import cache
from importlib.resources import files
from pathlib import Path

from runner.reports.page import Figure, Page, Section
from runner.reports.web_blocks import block_html, facts_html, state_html


def to_html(page: Page, folder: Path) -> str:
    """Return the page as HTML, with its pictures, which lie in `folder`, inside."""
    title = html.escape(page.title)
    style, script = _asset("page.css"), _asset("page.js")
    sections = "\n".join(_section(section, folder) for section in page.sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f"{_head(page)}\n{_contents(page)}\n{sections}\n</main>\n<script>{script}</script>\n"
        "</body>\n</html>\n"
    )


def _head(page: Page) -> str:
    problem = f'<p class="problem">{html.escape(page.problem)}</p>' if page.problem else ""
    figures = "".join(_figure(figure) for figure in page.figures)
    commands = "".join(_command(name, text) for name, text in page.commands)
    return (
        f"<header><h1><bdi>{html.escape(page.title)}</bdi> {state_html(page.state)}</h1>{problem}"
        + (f'<div class="figures">{figures}</div>' if figures else "")
        + facts_html(page.facts)
        + (f'<div class="commands">{commands}</div>' if commands else "")
        + "</header>"
    )


def _figure(figure: Figure) -> str:
    note = f"<small>{html.escape(figure.note)}</small>" if figure.note else ""
    return (
        f"<div><span>{html.escape(figure.name)}</span><b>{html.escape(figure.text)}</b>{note}</div>"
    )


def _command(name: str, text: str) -> str:
    said, typed = html.escape(name), html.escape(text)
    return f'<div class="command"><span>{said}</span><code>{typed}</code></div>'


def _contents(page: Page) -> str:
    links = "".join(
        f'<a href="#{_anchor(section)}">{html.escape(section.title)}</a>'
        for section in page.sections
    )
    return f"<nav>{links}</nav>"


def _section(section: Section, folder: Path) -> str:
    blocks = "\n".join(block_html(block, folder) for block in section.blocks)
    heading = html.escape(section.title)
    return f'<section id="{_anchor(section)}">\n<h2>{heading}</h2>\n{blocks}\n</section>'


def _anchor(section: Section) -> str:
    letters = (letter if letter.isascii() and letter.isalnum() else "-" for letter in section.title)
    return "".join(letters).lower()


def _policy(style: str, script: str) -> str:
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _asset(name: str) -> str:
    return files("runner.reports").joinpath("assets", name).read_text(encoding="utf-8")
