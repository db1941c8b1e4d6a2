"""`digits`: 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from runner.data.data import Data
from runner.errors import DataError

MEAN, DEVIATION = 0.3053, 0.3761  # of all pixels, scaled to 0-1
NUM_EVALUATION, NUM_TEST = 180, 180


def digits(*, split_seed: int = 0, normalize: bool = True) -> Data:
    """Return the digits as (picture, class) pairs: float32 (1, 8, 8) and 0-9.

    Pixels have mean 0 and deviation 1, or without `normalize` lie between 0 and 1. 1,437 are for
    training, 180 for evaluation, 180 for the test; `split_seed` chooses which.
    """
    pictures, classes = _load()
    if normalize:
        pictures = (pictures - MEAN) / DEVIATION
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(split_seed))
    evaluation, test, train = order.split(
        [NUM_EVALUATION, NUM_TEST, len(order) - NUM_EVALUATION - NUM_TEST]
    )
    return Data(
        train=TensorDataset(pictures[train], classes[train]),
        evaluation=TensorDataset(pictures[evaluation], classes[evaluation]),
        test=TensorDataset(pictures[test], classes[test]),
    )


def _load() -> tuple[Tensor, Tensor]:
    # The file itself is read: importing scikit-learn takes 0.9 s, this takes 5 ms.
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("data=digits needs scikit-learn: pip install scikit-learn")
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(file, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
    pictures = torch.from_numpy(table[:, :-1]) / 16.0
    return pictures.reshape(-1, 1, 8, 8), torch.from_numpy(table[:, -1]).long()
