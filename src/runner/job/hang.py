"""The end of a job that hangs: its stacks in the log, the reason in the status, and out."""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from runner.config.duration import Duration
from runner.errors import RunError
from runner.run.session import Session
from runner.runtime.ranks import Ranks

_END_SECONDS = 10.0  # what hangs may be the disk that the last words are for


def end_of_hang(
    session: Session, ranks: Ranks, hang_timeout: Duration | None
) -> Callable[[str], NoReturn]:
    """Return what ends this process when it hangs; it is given where the process stands."""

    def end(standing: str) -> NoReturn:
        error = RunError(_sentence(ranks, hang_timeout, standing))
        # The first that hung is the one that is told: this one may only wait for it.
        ranks.report_failure(error)
        if (first := ranks.failure()) is not None:
            error = RunError(first.sentence)
        last_words = threading.Thread(target=_say, args=(error, session, ranks), daemon=True)
        last_words.start()
        last_words.join(_END_SECONDS)
        os._exit(1)

    return end


def _say(error: RunError, session: Session, ranks: Ranks) -> None:
    if not ranks.are_several:  # else told by whoever started the ranks
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201
    try:
        with session.directory.log_of_rank(ranks.rank).open("a", encoding="utf-8") as log:
            log.write(f"{error}\n")
            log.flush()
            faulthandler.dump_traceback(log, all_threads=True)
    finally:
        session.give_up(error)


def _sentence(ranks: Ranks, hang_timeout: Duration | None, standing: str) -> str:
    who = f"rank {ranks.rank}" if ranks.are_several else "training"
    return (
        f"{who} gave no sign of life for trainer.hang_timeout ({hang_timeout}) and stands at "
        f"{standing}; the stacks of all its threads are in logs/rank_{ranks.rank}.log"
    )
