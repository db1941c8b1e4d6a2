"""Which key a line of a YAML file belongs to, as OmegaConf writes one."""

import re
from collections.abc import Sequence

_KEY = re.compile(r"( *)(- )?([^\s:#'\"-][^:]*|'[^']*'|\"[^\"]*\"):(?: |$)")


def keys_of_lines(lines: Sequence[str]) -> list[str]:
    """Return the dotted key of each line; one without a key belongs to that of the line before."""
    found: list[str] = []
    stack: list[tuple[int, str]] = []  # (indentation, key) of what the line stands in
    for line in lines:
        match = _KEY.match(line)
        if match is not None and match[2] is None:
            indentation = len(match[1])
            while stack and stack[-1][0] >= indentation:
                stack.pop()
            stack.append((indentation, match[3].strip("'\"")))
        found.append(".".join(key for _, key in stack))
    return found
