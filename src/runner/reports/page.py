"""A report as data; markdown.py and web_page.py beside this write it down.

Texts are plain: whatever a run has written is escaped where it is rendered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.reports.charts import Chart


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Text; a warning stands out."""

    text: str
    is_warning: bool = False


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Short facts, each under its name."""

    facts: Sequence[tuple[str, str]]


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
class Charts:
    """Charts that can be asked for their values; where that cannot be, their picture stands."""

    charts: Sequence[Chart]
    picture: Picture | None = None
    most: int | None = None  # charts that are shown at once; the rest is folded away


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was read in one sample; `picture` is a PNG."""

    text: str
    confidence: float | None = None
    target: str | None = None
    picture: bytes | None = None
    name: str = ""

    @property
    def is_wrong(self) -> bool:
        return self.target is not None and self.text != self.target


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Samples in the order in which they are worth looking at."""

    samples: Sequence[Sample]
    picture: Picture | None = None  # of the same, where single ones cannot be shown


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Lines that are there for those who look for them."""

    title: str
    lines: Sequence[str]
    kind: str = "text"  # text | diff


@dataclass(frozen=True, kw_only=True)
class ConfigText:
    """The lines of a YAML file, to search in; those of the keys in `marked` stand out."""

    title: str
    lines: Sequence[str]
    marked: Sequence[str] = ()  # dotted keys


Block = Paragraph | Facts | Table | Picture | Charts | Samples | Folded | ConfigText


@dataclass(frozen=True, kw_only=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure that is read first, and what it is."""

    name: str
    text: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole report; at its head state, problem, figures, facts and commands to copy."""

    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    state: str = ""
    problem: str = ""
    figures: Sequence[Figure] = ()
    commands: Sequence[tuple[str, str]] = ()  # what it does, the command
