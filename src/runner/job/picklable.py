"""Whether data can be handed to worker processes, found out without handing them over."""

import pickle
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from runner.data.loader import Loader
from runner.errors import DataError


def check_picklable(loader: Loader) -> None:
    """Raise DataError if workers could not be given the dataset and the collate of `loader`."""
    try:
        _Trial(_Nowhere(), protocol=pickle.HIGHEST_PROTOCOL).dump(loader)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise DataError(
            f"data.num_workers: the data cannot be handed to worker processes ({error}): make "
            "what is named there importable, such as a function of a module, or set "
            "data.num_workers=0"
        ) from error


class _Trial(pickle.Pickler):
    """Pickles all but what can be large and always travels, and what is not sent."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor | np.ndarray | DataLoader | torch.Generator):
            return int, ()
        return NotImplemented


class _Nowhere:
    def write(self, content: bytes) -> int:
        return len(content)
