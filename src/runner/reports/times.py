"""Times and sizes as a page tells them."""

from datetime import datetime


def moment(seconds: float) -> str:
    """Return a time (seconds since 1970) where the page is made: "2026-11-21 16:05:09 +0000"."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def size(num_bytes: int) -> str:
    """Return a number of bytes in the unit that suits it: "2.4 MB"."""
    amount, unit = float(num_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"
