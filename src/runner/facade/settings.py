"""`Settings`: the options of a `Trainer`, read from whatever holds them.

    {"trainer": {"max_epochs": 5}, "data": {"batch_size": 32}}     a mapping, nested ...
    {"trainer.max_epochs": 5, "data.batch_size": 32}               ... or with the names as typed
    "settings.yaml"                                                the same in a file
    argparse.Namespace, a dataclass, any object                    its attributes are the keys

All are checked as the command line checks its config, with the same sentences.
"""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from runner.config.annotations import fits, name_of
from runner.config.combinations import check_combinations
from runner.config.options import Options
from runner.config.secrets import secrets_in
from runner.config.threads import available_threads, threads_of_run
from runner.config.validate import read_options
from runner.config.written import read_mapping
from runner.errors import ConfigError, did_you_mean
from runner.facade.optimizers import NAME
from runner.job.place import wants_ranks
from runner.run.directory import RunDirectory

BESIDE_OPTIONS = ("optimizer", "scheduler")  # what a file of settings may say, too
_USER_NAMES = {"loader": "data"}  # the node of the config that holds these options


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All options, and the optimizer and scheduler if they were given along with them.

    `written` are the keys that stand in a mapping or a file, whatever they say. Of an object, such
    as `Options`, only values that differ from the defaults count as given, since the others cannot
    be told from what nobody wrote.
    """

    options: Options
    written: frozenset[str] = frozenset()
    optimizer: Any = None
    scheduler: Any = None


def read_settings(given: object) -> Settings:
    """Return the settings in `given`; ConfigError with a sentence for each mistake in them."""
    if given is None:
        return Settings(options=Options())
    if isinstance(given, Options):
        return Settings(options=given)
    plain = _plain(given)
    nodes = _nested(plain)
    beside = {name: nodes.pop(name, None) for name in BESIDE_OPTIONS}
    written = frozenset(_written(plain)) if isinstance(given, str | Path | Mapping) else frozenset()
    return Settings(options=_options(nodes), written=written, **beside)


def check_options(options: Options) -> None:
    """Raise ConfigError for options that do not go together, a secret, or ranks nobody started."""
    problems = check_combinations(options, scheduler=None)
    if problems := [*problems, *secrets_in(as_config("", options))]:
        raise ConfigError(*problems)
    if wants_ranks(options):
        count = options.hardware.num_processes
        raise ConfigError(  # a script can only be started again
            f"hardware.num_processes={count}: start this script as so many ranks, with "
            f"torchrun --nproc-per-node {count} SCRIPT"
        )


def with_threads(options: Options, directory: RunDirectory) -> Options:
    """Fix the number of threads, which changes the bits, as the command line does.

    Ranks of a script have a launcher, which has divided the machine among them already.
    """
    threads = options.hardware.threads or threads_of_run(directory.config) or available_threads()
    return replace(options, hardware=replace(options.hardware, threads=threads))


def as_config(name: str, options: Options) -> dict[str, Any]:
    """Return what config.yaml says: the knobs under the names that a user types."""
    nodes = asdict(options)
    return {"name": name, "data": nodes.pop("loader"), **nodes}


def given_once(key: str, argument: Any, setting: Any) -> Any:
    """Return `argument` of a trainer or its `setting` in options, whichever was given, or None."""
    if argument is not None and setting is not None:
        raise ConfigError(f"{key} is given twice, as an argument and in options: leave one out")
    return setting if argument is None else argument


def _plain(given: object) -> dict[str, Any]:
    """Return the keys and values of a file, a mapping or an object."""
    if isinstance(given, str | Path):
        return read_mapping(Path(given))
    if isinstance(given, Mapping):
        return dict(given)
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        return {field.name: getattr(given, field.name) for field in fields(given)}
    try:
        return {name: value for name, value in vars(given).items() if not name.startswith("_")}
    except TypeError:
        raise ConfigError(
            f"options must be Options, a mapping, a YAML file or an object with attributes, "
            f"got {given!r}"
        ) from None


def _nested(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return `plain` with "trainer.max_epochs" as a key of the node "trainer"."""
    nodes: dict[str, Any] = {}
    for key, value in plain.items():
        if "." not in str(key):
            is_one = isinstance(value, str | int | float | bool | None) or key in BESIDE_OPTIONS
            nodes[str(key)] = value if is_one else _plain(value)
    for key, value in plain.items():
        node, _, rest = str(key).partition(".")
        if rest:
            nodes[node] = {**_arguments(node, nodes.get(node)), rest: value}
    return nodes


def _arguments(key: str, node: Any) -> Mapping[str, Any]:
    """Return what a key below `node` joins."""
    if isinstance(node, Mapping) or node is None:
        return node or {}
    if key in BESIDE_OPTIONS and isinstance(node, str):
        return {NAME: node}
    raise ConfigError(f"{key} must be a group of keys, since one is given beside it, got {node!r}")


def _written(plain: Mapping[str, Any]) -> Iterator[str]:
    """Return the keys of a mapping as they are typed."""
    for key, value in plain.items():
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in value)
        else:
            yield str(key)


def _options(nodes: Mapping[str, Any]) -> Options:
    annotations = typing.get_type_hints(Options)
    homes = {_USER_NAMES.get(name, name): name for name in annotations}
    problems: list[str] = []
    values: dict[str, Any] = {}
    for key, node in nodes.items():
        if key not in homes:
            known = [*homes, *BESIDE_OPTIONS]
            problems.append(f"options: {key} is no known key{did_you_mean(key, known)}")
            continue
        try:
            values[homes[key]] = _value(key, node, annotations[homes[key]])
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return Options(**values)


def _value(key: str, node: Any, annotation: Any) -> Any:
    if not dataclasses.is_dataclass(annotation):
        if not fits(node, annotation):
            raise ConfigError(f"{key} must be {name_of(annotation)}, got {node!r}")
        return node
    if not isinstance(node, Mapping):
        raise ConfigError(f"{key} must be a group of keys, got {node!r}")
    return read_options(typing.cast(type, annotation), node, key)
