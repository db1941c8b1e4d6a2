"""Ask the user, where there is one, what to do with jobs that live on."""

import sys
from typing import TextIO


def asks_to_cancel(stream: TextIO) -> bool:
    """Return whether the user wants jobs cancelled; where nobody can answer, they are left."""
    if not (sys.stdin.isatty() and stream.isatty()):
        return False
    try:
        stream.write("leave what is on the cluster, or cancel it? [L/c] ")
        stream.flush()
        return sys.stdin.readline().strip().lower().startswith("c")
    except KeyboardInterrupt:  # a second Ctrl-C
        return False
