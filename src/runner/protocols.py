"""What every layer may ask of an object from outside."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Stateful(Protocol):
    """Something that a restart needs: it gives its state as plain containers and takes it back.

    `load_state_dict` refuses unknown and missing keys, naming them.
    """

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> None: ...
