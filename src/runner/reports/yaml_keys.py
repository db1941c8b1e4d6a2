"""Which key a line of a YAML file belongs to, as OmegaConf writes one."""

import re
from collections.abc import Sequence

_ITEM = re.compile(r"( *)- ")
_KEY = re.compile(r"( *(?:- )?)([^\s:#'\"-][^:]*|'[^']*'|\"[^\"]*\"):(?: |$)")


def keys_of_lines(lines: Sequence[str]) -> list[str]:
    """Return the dotted key of each line; one without a key belongs to that of the line before."""
    found: list[str] = []
    stack: list[tuple[int, str]] = []  # (indentation, key) of what the line stands in
    for line in lines:
        item, match = _ITEM.match(line), _KEY.match(line)
        if item is not None:  # of the list in the key at the same place, or further left
            _leave(stack, len(item[1]) + 1)
        if match is not None:
            indentation = len(match[1])
            _leave(stack, indentation)
            stack.append((indentation, match[2].strip("'\"")))
        found.append(".".join(key for _, key in stack))
    return found


def _leave(stack: list[tuple[int, str]], indentation: int) -> None:
    """Forget the keys at `indentation` and further right."""
    while stack and stack[-1][0] >= indentation:
        stack.pop()
