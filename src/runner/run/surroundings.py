"""What is another one now than when a run was made: software, machine, environment, data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.files import sha256_of
from runner.run.machine import is_told

_PLACES = ("host", "executable", "system")  # of a machine: told by themselves they change nothing
# These say where things are, or how ranks talk, and belong to the machine of now.
_ENDS_OF_PLACES = ("_DIR", "_PATH", "_HOME", "_CACHE", "_FILE")
_OF_PLACES = (
    *("RUNNER_", "HF_", "TRANSFORMERS_", "CUDA_VISIBLE", "CUDA_HOME", "NCCL_", "GLOO_"),
    *("TORCHELASTIC_", "TORCH_CPP_LOG"),
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that is not what it was; None where it was, or is, not there."""

    kind: str  # version, package, machine, environment, data
    name: str
    then: str | None
    now: str | None


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Compare what run.json says of a run to `now`, the facts of this process.

    What an early version did not write down is not compared.
    """
    versions = then.get("versions", {}), now["versions"]
    found = [*_of("version", _only(versions[0], "python"), _only(versions[1], "python"))]
    packages = then.get("packages") or {k: v for k, v in versions[0].items() if k != "python"}
    named = packages if "packages" not in then else {**packages, **now["packages"]}
    found += _of("package", packages, {k: now["packages"].get(k) for k in named})
    machine = then.get("machine", {})
    told = [key for key in machine if key not in (*_PLACES, "ranks")]
    flat = {key: _text(machine[key]) for key in told}
    found += _of("machine", flat, {key: _text(now["machine"].get(key)) for key in told})
    if "environment" in then:
        found += _of("environment", _lasting(then["environment"]), _lasting(now["environment"]))
    return found


def environment_of_then(then: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment`, with the variables that change results as they were for the run."""
    if "environment" not in then:
        return dict(environment)
    others = {k: v for k, v in environment.items() if not _is_lasting(k)}
    return {**others, **_lasting(then["environment"])}


def changed_data(root: Path, left_out: Mapping[str, Any]) -> list[Change]:
    """Return which untracked files in `root` are not what they were, by size and hash."""
    return list(_changed_data(root, left_out))


def pip_command(found: list[Change]) -> str | None:
    """Return the command that would install the packages of then; None if they are the same."""
    wanted = [f"{change.name}=={change.then}" for change in found if _is_installable(change)]
    return f"pip install {' '.join(wanted)}" if wanted else None


def _is_installable(change: Change) -> bool:
    return change.kind == "package" and change.then is not None and change.name != "runner"


def _changed_data(root: Path, left_out: Mapping[str, Any]) -> Iterator[Change]:
    for name, facts in left_out.items():
        if not isinstance(facts, Mapping):
            continue
        path = root / name
        then = f"{facts['bytes']} bytes"
        if not path.is_file():
            yield Change(kind="data", name=name, then=then, now=None)
        elif path.stat().st_size != facts["bytes"]:
            yield Change(kind="data", name=name, then=then, now=f"{path.stat().st_size} bytes")
        elif "sha256" in facts and sha256_of(path) != facts["sha256"]:
            yield Change(kind="data", name=name, then=then, now="other content")


def _of(kind: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*then, *now]):
        if then.get(name) != now.get(name):
            yield Change(kind=kind, name=name, then=then.get(name), now=now.get(name))


def _only(node: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: node[name]} if name in node else {}


def _lasting(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if _is_lasting(name)}


def _is_lasting(name: str) -> bool:
    return is_told(name) and not _is_place(name)


def _is_place(name: str) -> bool:
    return name.startswith(_OF_PLACES) or name.endswith(_ENDS_OF_PLACES)


def _text(value: Any) -> str | None:
    """Return a value of the machine as one readable text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(part)}" for key, part in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return None if value is None else str(value)
