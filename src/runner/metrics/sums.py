"""`Sums`: named sums, from which a metric is computed that is exact over ranks."""

import torch
from torch import Tensor


class Sums:
    """Holds a float64 sum under each of the names it is made with; subclasses compute a figure."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._sums = torch.zeros(len(names), dtype=torch.float64)

    def add(self, **amounts: float) -> None:
        """Add to each sum; all names have to be given."""
        self._sums += torch.tensor([amounts[name] for name in self._names], dtype=torch.float64)

    def __getitem__(self, name: str) -> float:
        return float(self._sums[self._names.index(name)])

    def ratio(self, part: str, whole: str) -> float:
        """Return one sum over another, NaN if that is 0."""
        return self[part] / self[whole] if self[whole] else float("nan")

    def state(self) -> Tensor:
        return self._sums.clone()

    def load(self, state: Tensor) -> None:
        self._sums = state.clone()
