"""What every layer may ask of an object from outside."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from runner.errors import CheckpointError


@runtime_checkable
class Stateful(Protocol):
    """Something that a restart needs: it gives its state as plain containers and takes it back.

    `load_state_dict` refuses unknown and missing keys, naming them.
    """

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


def check_state_keys(owner: str, state: Mapping[str, Any], expected: Iterable[str]) -> None:
    """Raise CheckpointError naming the keys that `state` lacks, and those it should not have."""
    missing, unknown = set(expected) - state.keys(), state.keys() - set(expected)
    if missing or unknown:
        raise CheckpointError(
            f"the saved state of {owner} lacks {sorted(missing)} "
            f"and holds unknown {sorted(unknown)}"
        )
