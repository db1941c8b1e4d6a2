"""Whom a user trusts to have written the config of a run that was made elsewhere."""

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runner.errors import ConfigError

VARIABLE = "RUNNER_TRUST"  # true, or packages: holds where neither command nor call say anything
_WORD = "trust="
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Packages of whose code a config from elsewhere may name anything; or `everything` it names.

    runner, torch and transformers need not be among them, as far as a config needs them.
    """

    packages: tuple[str, ...] = ()
    everything: bool = False
    is_typed: bool = field(default=False, compare=False)  # in a command, not in Python

    @classmethod
    def of(cls, value: "bool | str | Iterable[str] | Trust") -> "Trust":
        """Return what a user gives: True, False, "my_package,other", names, or a Trust.

        What is false or empty leaves it to the environment: RUNNER_TRUST. Raises ConfigError for
        what is no name of a package.
        """
        if isinstance(value, Trust):
            return value
        if not value:
            return _of_word(os.environ.get(VARIABLE, ""), said=VARIABLE)
        if isinstance(value, bool):
            return cls(everything=value)
        return _of_names(value.split(",") if isinstance(value, str) else list(value), value)

    def advice(self, packages: Iterable[str], *, command: str = "") -> str:
        """Return what to write if one trusts `packages`, or all: as a word of a command or Python.

        `command` is what to type, if the caller knows that.
        """
        names = ",".join(sorted(packages))
        if self.is_typed:
            words = [f"trust={shlex.quote(names)}"] if names else []
            added = " or ".join([*words, "trust=true"])
            said = f"{command} {words[0] if words else 'trust=true'}" if command else f"add {added}"
        else:
            words = [f'trust="{names}"'] if names else []
            said = f"give {' or '.join([*words, 'trust=True'])}"
        less = f" ({_WORD}{','.join(self.packages)} is not enough)" if self.packages else ""
        return f"{said}{less}, or set {VARIABLE}={names or 'true'} in the environment"


NOBODY_ELSE = Trust()


def taken_from(words: Sequence[str]) -> tuple[Trust, list[str]]:
    """Return what `trust=...` among the words of a command says, and the other words.

    Without one it is what RUNNER_TRUST says.
    """
    mine = [word for word in words if word.startswith(_WORD)]
    others = [word for word in words if not word.startswith(_WORD)]
    if len(mine) > 1:
        raise ConfigError(f"{' '.join(mine)}: give trust once, as in trust=my_package,other")
    said = _of_word(mine[0].removeprefix(_WORD), said="trust") if mine else Trust.of(False)
    return Trust(packages=said.packages, everything=said.everything, is_typed=True), others


def _of_word(word: str, *, said: str) -> Trust:
    if not word and said == VARIABLE:
        return NOBODY_ELSE
    if word.lower() in _WORDS:
        return Trust(everything=_WORDS[word.lower()])
    return _of_names(word.split(","), word, said=said)


def _of_names(names: Sequence[object], value: object, *, said: str = "trust") -> Trust:
    found = [name for name in names if isinstance(name, str) and name.isidentifier()]
    if len(found) < len(names):
        raise ConfigError(
            f"{said} must be true, or names of packages such as my_package,other; got {value!r}"
        )
    return Trust(packages=tuple(found))
