"""What is written down or printed of a job has no secrets: logs, tracebacks, errors."""

import logging
import sys
import traceback

from runner.config.secrets import redacted, redacted_in

__all__ = ["RedactingFormatter", "print_traceback", "redacted", "redacted_in"]


class RedactingFormatter(logging.Formatter):
    """Formats as its class does, tracebacks too, with stars for secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def print_traceback(error: BaseException) -> None:
    """Print `error` with its traceback to stderr, which a log may be."""
    sys.stderr.write(redacted("".join(traceback.format_exception(error))))
    sys.stderr.flush()
