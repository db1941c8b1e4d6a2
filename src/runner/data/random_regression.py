"""`random_regression`: random inputs, and numbers that follow from them but for some noise."""

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from runner.data.data import Data

HIDDEN = 8


def random_regression(
    *, num_samples: int = 2000, num_inputs: int = 10, noise: float = 0.05, data_seed: int = 0
) -> Data:
    """Return (inputs, target) pairs: float32 (num_inputs,) and (1,), by a random smooth function.

    A tenth of the samples each is for evaluation and the test. The targets have a deviation of
    about 1, and `noise` is that of what cannot be learned.
    """
    generator = torch.Generator().manual_seed(data_seed)
    inputs = torch.randn(num_samples, num_inputs, generator=generator)
    targets = _smooth(inputs, generator) + noise * torch.randn(num_samples, 1, generator=generator)
    rest = num_samples // 10
    cuts = {
        "evaluation": slice(rest),
        "test": slice(rest, 2 * rest),
        "train": slice(2 * rest, None),
    }
    parts = {name: TensorDataset(inputs[cut], targets[cut]) for name, cut in cuts.items()}
    return Data(train=parts["train"], evaluation=parts["evaluation"], test=parts["test"])


def _smooth(inputs: Tensor, generator: torch.Generator) -> Tensor:
    first = torch.randn(inputs.shape[1], HIDDEN, generator=generator) / inputs.shape[1] ** 0.5
    second = torch.randn(HIDDEN, 1, generator=generator) / HIDDEN**0.5
    return 1.5 * torch.tanh(inputs @ first) @ second
