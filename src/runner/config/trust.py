"""Whom a user trusts to have written the config of a run that was made elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runner.errors import ConfigError

_WORD = "trust="


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Packages of whose code a config from elsewhere may name anything; or `everything` it names.

    runner, torch and transformers need not be among them, as far as a config needs them.
    """

    packages: tuple[str, ...] = ()
    everything: bool = False

    @classmethod
    def of(cls, value: "bool | str | Iterable[str] | Trust") -> "Trust":
        """Return what a user gives: True, False, "my_package,other", names, or a Trust.

        Raises ConfigError for what is no name of a package.
        """
        if isinstance(value, Trust):
            return value
        if isinstance(value, bool):
            return cls(everything=value)
        names = value.split(",") if isinstance(value, str) else list(value)
        for name in names:
            if not isinstance(name, str) or not name.isidentifier():
                raise ConfigError(
                    f"trust must be true, or names of packages such as my_package,other; got "
                    f"{value!r}"
                )
        return cls(packages=tuple(names))


NOBODY_ELSE = Trust()


def taken_from(words: Sequence[str]) -> tuple[Trust, list[str]]:
    """Return what `trust=...` among the words of a command says, and the other words."""
    mine = [word for word in words if word.startswith(_WORD)]
    others = [word for word in words if not word.startswith(_WORD)]
    if not mine:
        return NOBODY_ELSE, others
    if len(mine) > 1:
        raise ConfigError(f"{' '.join(mine)}: give trust once, as in trust=my_package,other")
    value = mine[0].removeprefix(_WORD)
    return Trust.of({"true": True, "false": False}.get(value.lower(), value)), others
