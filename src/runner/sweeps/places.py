"""Find runs and sweeps below folders, without reading them."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.sweeps.directory import is_sweep

_SKIPPED = frozenset({"__pycache__", "node_modules", "mlruns", "mlartifacts"})


@dataclass(frozen=True, kw_only=True)
class Place:
    """A directory that is a sweep, a run, or a broken one."""

    path: Path
    kind: str  # sweep | run | broken
    is_in_sweep: bool = False  # a run that was named itself, without its sweep
    problem: str = ""  # why it is broken


def places_in(paths: Iterable[Path]) -> Iterator[Place]:
    """Give what lies in `paths`, each place once, whatever links lead to it.

    Links are followed after everything else, so that a place is told under its own name. The runs
    of a sweep are with their sweep, unless one is among `paths` itself.
    """
    seen: set[str] = set()
    links: list[Path] = []
    for path in paths:
        real = os.path.realpath(path)
        is_in_sweep = is_sweep(Path(real).parent)
        for place in _places(path, real, seen, links):
            yield replace(place, is_in_sweep=is_in_sweep) if place.path == path else place
    while links:
        link = links.pop(0)
        yield from _places(link, os.path.realpath(link), seen, links)


def _places(path: Path, real: str, seen: set[str], links: list[Path]) -> Iterator[Place]:
    if real in seen:
        return
    seen.add(real)
    place = _place_at(path)
    if place is not None:
        yield place
        return
    try:
        folders = sorted(
            ((entry.name, entry.is_symlink()) for entry in os.scandir(path) if _is_folder(entry)),
        )
    except OSError as error:
        yield Place(path=path, kind="broken", problem=f"cannot be looked into: {error.strerror}")
        return
    for name, is_link in folders:
        if is_link:
            links.append(path / name)
        else:
            yield from _places(path / name, f"{real}{os.sep}{name}", seen, links)


def _place_at(path: Path) -> Place | None:
    """Return what `path` is; None for a folder that may hold runs."""
    directory = RunDirectory(path)
    if is_sweep(path):
        return Place(path=path, kind="sweep")
    if _is_there(directory.provenance) or _is_there(directory.slurm):
        return Place(path=path, kind="run")
    if _is_there(directory.status) or _is_there(directory.journal):
        problem = f"has no {directory.provenance.name}: a run that lost it, or a copy not whole"
        return Place(path=path, kind="broken", problem=problem)
    return None


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - there are thousands to ask for


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name in _SKIPPED:
        return False
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
