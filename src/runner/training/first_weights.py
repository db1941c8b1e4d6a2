"""`FirstWeights`: what a run begins with, where there is no checkpoint to go on from."""

from dataclasses import dataclass, field
from typing import Protocol

from torch import nn


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What was taken from `source`, by the names of weights; `mismatched` have other shapes."""

    source: str
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)


class FirstWeights(Protocol):
    """Where the first weights come from; asked once in the life of a run, on every rank."""

    def load(self, model: nn.Module, average: nn.Module | None, /) -> Taken | None:
        """Load them into `model` and the averaged copy, if any; return what was taken."""
        ...


class OwnWeights:
    """The model begins with the weights it was built with."""

    def load(self, _model: nn.Module, _average: nn.Module | None) -> Taken | None:
        return None
