"""What somebody asks of a run that is trained: measure it on a split, or on other data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.config.layout import is_layout
from runner.config.trust import NOBODY_ELSE, Trust
from runner.inference.progress import Tell, tell_nobody
from runner.run.directory import RunDirectory

_LOADING = ("batch_size", "evaluation_batch_size", "num_workers", "pin_memory")
_COMPUTING = ("hardware.", "trainer.compile")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be evaluated; `split` None stands for test, or without one for evaluation."""

    path: Path
    split: str | None = None
    step: int | None = None
    name: str | None = None
    overrides: Sequence[str] = ()
    trust: Trust = NOBODY_ELSE
    to: Path | None = None  # where the folder of results is made; None: in the run's evaluations
    tell: Tell = tell_nobody  # how far it is

    def changes(self, node: str) -> bool:
        """Return whether an override is about `node`."""
        return any(key == node or key.startswith(f"{node}.") for key in self.keys)

    @property
    def keys(self) -> list[str]:
        """The keys that overrides change, without those that change no result."""
        return [key for key in map(key_of, self.overrides) if not _changes_nothing(key)]

    @property
    def special(self) -> list[str]:
        """The overrides that may change the result."""
        return [text for text in self.overrides if not _changes_nothing(key_of(text))]

    @property
    def how(self) -> list[str]:
        """The other overrides."""
        return [text for text in self.overrides if text not in self.special]

    @property
    def folder(self) -> Path:
        """Where a folder of results is made."""
        return self.to or RunDirectory(self.path).evaluations


def key_of(override: str) -> str:
    """Return the key that an override changes."""
    return override.lstrip("+~").partition("=")[0].strip()


def _changes_nothing(key: str) -> bool:
    is_loading = key.removeprefix("data.") in _LOADING and key.startswith("data.")
    return is_layout(key) or is_loading or key.startswith(_COMPUTING)
