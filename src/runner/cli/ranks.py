"""What the command line does otherwise when a launcher has started it as one rank of several."""

import sys

from runner.config.secrets import redacted
from runner.config.stamp import new_stamp
from runner.runtime.launch import launch_of


def agreed_stamp() -> str:
    """Return a new stamp, the same on all ranks: they train one run, in one directory."""
    launch = launch_of()
    if launch is None:
        return new_stamp()
    from runner.runtime.rendezvous import agreed  # not before: it imports torch

    return agreed(launch, new_stamp)


def is_terminal_mine() -> bool:
    """Return whether this process speaks to the user: alone, or as rank 0."""
    launch = launch_of()
    return launch is None or launch.rank == 0


def print_error(message: str) -> None:
    """Print `message` to stderr, once for all ranks.

    The launcher ends the others when one has left, so those that fail with rank 0 let it speak.
    """
    message, launch = redacted(message), launch_of()
    if launch is None:
        print(message, file=sys.stderr)
        return
    from runner.runtime.rendezvous import has_rank_0_spoken, rank_0_has_spoken

    if launch.rank == 0:
        print(message, file=sys.stderr, flush=True)
        rank_0_has_spoken(launch)
    elif not has_rank_0_spoken(launch):
        print(f"rank {launch.rank}: {message}", file=sys.stderr)
