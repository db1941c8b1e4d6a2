"""Patterns of texts: one character a place says which symbols may stand there.

    D a digit    N a digit but zero    L a letter (whatever is no digit)    A any symbol

What is a digit is what Unicode calls a decimal digit, in any script.
"""

from collections.abc import Callable

PLACES = "D a digit, N a digit but zero, L a letter, A any"

_MAY_STAND: dict[str, Callable[[str], bool]] = {
    "D": str.isdecimal,
    "N": lambda symbol: symbol.isdecimal() and int(symbol) > 0,
    "L": lambda symbol: not symbol.isdecimal(),
    "A": lambda _symbol: True,
}


def choices(place: str, alphabet: str) -> str:
    """Return the symbols of `alphabet` that may stand at a place; "" if there is no such place."""
    may_stand = _MAY_STAND.get(place, lambda _symbol: False)
    return "".join(symbol for symbol in alphabet if may_stand(symbol))


def impossible_place(pattern: str, alphabet: str) -> str | None:
    """Return the first place of `pattern` at which no symbol of `alphabet` can stand, if any."""
    return next((place for place in pattern if not choices(place, alphabet)), None)
