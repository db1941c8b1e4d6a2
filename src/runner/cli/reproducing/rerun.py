"""What `reproduce` trains: the code of then, the config of then."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.config.written import read_config
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.source.checkout import copy_code, has_commit, look_at_root
from runner.run.source.state import runner_of_process


@dataclass(frozen=True, kw_only=True)
class CodeOfThen:
    """Where the code of a run can be started from."""

    description: str
    working_directory: Path
    path: Sequence[Path] = ()  # where modules are looked for first
    copy: Path | None = None  # the root of the copy ...
    origin: Path | None = None  # ... and of the repository it was made of
    notes: list[str] = field(default_factory=list)


def code_of_then(
    provenance: Mapping[str, Any], folder: Path, *, repository: Path | None = None
) -> CodeOfThen:
    """Bring the code of the run's first job back under `folder`.

    Raises RunError when no repository is found that has the commit.
    """
    code, source = provenance["code"], provenance.get("source", {})
    if code["commit"] is None:
        here = Path(source.get("working_directory", os.curdir))
        here = here if here.is_dir() else Path.cwd()
        return CodeOfThen(
            description=f"in no git repository then, so that of now is used, in {here}",
            working_directory=here,
            notes=["whether the code is what it was, nobody can tell: it was in no repository"],
        )
    origin = _repository_with(code["commit"], source, repository)
    copy = folder / "code"
    notes = copy_code(
        origin,
        copy,
        code=code,
        edited=source.get("edited_submodules", ()),
        redacted=source.get("redacted", ()),
    )
    notes += _note_of_missing(source)
    notes += _note_of_runner(source)
    here = copy / source.get("folder", "")
    here.mkdir(parents=True, exist_ok=True)
    places = [*source.get("path", ()), source.get("folder", ""), "src"]
    lines = len((code["diff"] or "").splitlines())
    return CodeOfThen(
        description=f"commit {code['commit'][:12]} and {lines} lines of changes",
        working_directory=here,
        path=[place for name in dict.fromkeys(places) if (place := copy / name).is_dir()],
        copy=copy,
        origin=origin,
        notes=notes,
    )


def config_of_then(original: RunDirectory, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the frozen config with which the run began, without trackers and a checkpoint.dir."""
    config = read_config(original.config)
    if "model" not in config:
        raise RunError(
            f"{original.path} was started from Python, and its config builds nothing: run its "
            "script again, with the code of the commit in run.json"
        )
    for job in reversed(provenance["jobs"]):
        for key, value in job.get("config_before", {}).items():
            _set(config, key, value)
    config["trackers"] = {}
    if isinstance(config.get("checkpoint"), dict) and config["checkpoint"].get("dir"):
        config["checkpoint"]["dir"] = None
    ranks = provenance.get("machine", {}).get("ranks", 1)
    if ranks > 1:  # its launcher may have decided how many
        config["hardware"]["num_processes"] = ranks
    return config


def link_data(config: Mapping[str, Any], code: CodeOfThen) -> None:
    """Let relative paths of the config lead to the data, which is in no commit."""
    if code.copy is None or code.origin is None:
        return
    original = code.origin / code.working_directory.relative_to(code.copy)
    for text in _texts({**config, "output_dir": None}):
        path = Path(os.path.normpath(code.working_directory / text))
        if Path(text).is_absolute() or os.path.lexists(path) or not (original / text).exists():
            continue
        if not path.is_relative_to(code.copy.parent):
            print(f"note: {text} leads out of {code.copy.parent}, and will not be found from there")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to((original / text).resolve())
        print(f"data: {text} is that of {original}")


def _repository_with(commit: str, source: Mapping[str, Any], given: Path | None) -> Path:
    """Return the root of the repository that has the commit."""
    recorded = Path(source["repository"]) if "repository" in source else None
    places = [given] if given is not None else [recorded, Path.cwd()]
    for place in places:
        if place is not None and place.is_dir() and has_commit(place, commit):
            return look_at_root(place)
    told = " and ".join(str(place) for place in places if place is not None)
    remote = f"; it was cloned from {source['remote']}" if source.get("remote") else ""
    raise RunError(
        f"commit {commit[:12]} is not in a repository at {told}: name one that has it with "
        f"--repository PATH{remote}"
    )


def _note_of_missing(source: Mapping[str, Any]) -> list[str]:
    """Return what to say of code that git did not know, and that was not kept either."""
    left_out = source.get("left_out", {})
    missing = [name for name, facts in left_out.items() if _is_code(facts)]
    if not missing:
        return []
    told = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else "")
    return [f"code that was in no commit is not in run.json (large, many, or a secret): {told}"]


def _is_code(facts: object) -> bool:
    return isinstance(facts, Mapping) and "code" in facts


def _note_of_runner(source: Mapping[str, Any]) -> list[str]:
    """Return what to say of a runner that was a checkout of its own, if it is another one now."""
    then = source.get("runner", {})
    if "commit" not in then:
        return []
    notes = []
    if then["commit"] != runner_of_process().get("commit"):
        notes.append(f"runner itself was a checkout at commit {then['commit'][:12]}, and is not")
    if then["is_edited"]:
        notes.append("runner itself had uncommitted changes, which are not known")
    return notes


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for name in above:
        node = config.setdefault(name, {})
        if not isinstance(node, dict):
            node = config[name] = {}
        config = node
    config[last] = value


def _texts(node: Any) -> Iterator[str]:
    """Yield the texts in a config that may be paths."""
    if isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str) and node and "${" not in node and "\n" not in node:
        yield node
