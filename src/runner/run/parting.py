"""Where two journals part: the first value that two runs of the same thing do not share.

Only values that the config and the code decide are compared: what a machine does to a run (speed,
system, seconds) is another one each time.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from runner.run.journal import Row

OF_THE_MACHINE = ("speed", "system")  # splits that tell of the machine, not of the training
_SECONDS = "seconds"  # ends the names of values that are times


@dataclass(frozen=True, kw_only=True)
class Parting:
    """A value that is another one in the second run; None in the run that lacks it."""

    step: int
    split: str
    name: str
    first: float | None
    second: float | None

    @property
    def metric(self) -> str:
        """The name by which a config calls the value: "evaluation.loss"."""
        return f"{self.split}.{self.name}"

    @property
    def difference(self) -> float | None:
        """How much larger the second is; None where one of them lacks the value."""
        if self.first is None or self.second is None:
            return None
        return self.second - self.first


@dataclass(frozen=True, kw_only=True)
class RowComparison:
    """How far two journals agree, up to `last_step`, which both of them have reached."""

    last_step: int
    compared: int  # values of both
    differing: int
    lacking: int  # values that one of them has alone
    parting: Parting | None  # the first difference, or else the first value that one lacks

    @property
    def is_exact(self) -> bool:
        """Return whether something was compared, and all of it is the same."""
        return self.compared > 0 and self.parting is None


def compare_rows(
    first: Iterable[Row], second: Iterable[Row], *, rtol: float = 0.0, until: int | None = None
) -> RowComparison:
    """Compare what two runs have logged, up to where the shorter one came, or the step `until`.

    Values differ if they are further apart than `rtol` times the larger; with 0, by a single bit.
    """
    ours, theirs = _values(first), _values(second)
    last = min(
        max((step for step, _, _ in ours), default=0), max((key[0] for key in theirs), default=0)
    )
    last = last if until is None else min(last, until)
    keys = [key for key in dict.fromkeys([*ours, *theirs]) if key[0] <= last]
    keys.sort(key=lambda key: key[0])  # stable: within a step in the order in which it was logged
    apart = [
        Parting(step=key[0], split=key[1], name=key[2], first=ours.get(key), second=theirs.get(key))
        for key in keys
        if key not in ours or key not in theirs or not _is_same(ours[key], theirs[key], rtol)
    ]
    differing = [one for one in apart if one.first is not None and one.second is not None]
    return RowComparison(
        last_step=last,
        compared=sum(key in ours and key in theirs for key in keys),
        differing=len(differing),
        lacking=len(apart) - len(differing),
        parting=next(iter(differing or apart), None),
    )


def first_parting(
    first: Iterable[Row], second: Iterable[Row], *, rtol: float = 0.0
) -> Parting | None:
    """Return the first value of which two runs have another one; None where they agree.

    Values that one of them has alone, since it logs or evaluates more often, are left out.
    """
    parting = compare_rows(first, second, rtol=rtol).parting
    return parting if parting is not None and parting.difference is not None else None


def _values(rows: Iterable[Row]) -> dict[tuple[int, str, str], float]:
    return {
        (row.step, row.split, name): value
        for row in rows
        if row.split not in OF_THE_MACHINE
        for name, value in row.values.items()
        if not name.endswith(_SECONDS)
    }


def _is_same(one: float, other: float, rtol: float) -> bool:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return True
    return rtol > 0 and math.isclose(one, other, rel_tol=rtol)
