"""Texts that others have written, shown in a terminal whatever they hold."""

import unicodedata

_LONGEST = 300  # characters of a name
_UNSEEN = ("Cc", "Cs", "Cn", "Co")  # they move the cursor, or have no form


def printable(text: str) -> str:
    """Return `text` with what is not seen escaped, and without its middle if it is very long."""
    shown = escaped(text)
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST // 2]} ... {shown[-_LONGEST // 2 :]}"
    return shown


def escaped(text: str) -> str:
    """Return `text` with what is not seen escaped: what others wrote may steer a terminal."""
    return text if text.isprintable() else "".join(_seen(character) for character in text)


def _seen(character: str) -> str:
    if unicodedata.category(character) in _UNSEEN:
        return character.encode("unicode_escape", "backslashreplace").decode("ascii")
    return character
