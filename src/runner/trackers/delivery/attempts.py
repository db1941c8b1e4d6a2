"""`Attempts`: what fails for a server's sake is told in the log, once, and tried again later."""

import logging
import re
from collections.abc import Callable

_ADDRESS = re.compile(r"0x[0-9a-f]+")  # of an object, another one each time

logger = logging.getLogger(__name__)


class Attempts:
    """Does what may fail; a problem that stays the same fills no log."""

    def __init__(self) -> None:
        self._last_problem = ""

    def attempt(self, action: Callable[[], object]) -> bool:
        """Return whether `action` succeeded."""
        try:
            action()
        except Exception as error:  # whatever a server, a driver or a disk does
            problem = _ADDRESS.sub("", repr(error))
            if problem != self._last_problem:
                logger.warning("not delivered: %r", error, exc_info=True)
            self._last_problem = problem
            return False
        return True
