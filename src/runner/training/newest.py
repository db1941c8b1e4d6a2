"""`NewestValues`: the newest of each logged value, for callbacks told of an epoch's end."""

from pathlib import Path

from runner.run.journal import Row, read_journal


class NewestValues:
    """Holds "split.name": value; nothing if nobody wants to hear of it."""

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._values: dict[str, float] = {}

    @property
    def values(self) -> dict[str, float]:
        """Return a copy."""
        return dict(self._values)

    def take(self, row: Row) -> None:
        """Take the values of a new row."""
        if self._is_wanted:
            self._values |= {f"{row.split}.{name}": value for name, value in row.values.items()}

    def read(self, journal: Path, *, until_step: int) -> None:
        """Take those of earlier jobs."""
        for row in read_journal(journal) if self._is_wanted else ():
            if row.step <= until_step:
                self.take(row)
