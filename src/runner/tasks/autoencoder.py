"""`Autoencoder`: a model that gives its input back, plain or variational."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from runner.data.data import Batch
from runner.errors import ConfigError
from runner.metrics.by_name import Wanted
from runner.metrics.mean import Mean
from runner.metrics.metric import Metric
from runner.tasks.losses import LossFunction
from runner.tasks.supervised import Supervised, as_mapping, mean_over


class Coded(NamedTuple):
    """What a variational autoencoder returns: mean and log-variance are (batch, code)."""

    reconstruction: Tensor
    mean: Tensor
    log_variance: Tensor


class Autoencoder(Supervised):
    """Trains a model to give its inputs back, by a loss between the two.

    The model returns the reconstruction, or (reconstruction, mean, log-variance) of a Gaussian code
    (Kingma and Welling 2014, "Auto-Encoding Variational Bayes"). Then the loss is that of the
    reconstruction + `beta` x the divergence of the code from a standard one, both a mean over the
    numbers of the input; both are logged. What a batch holds besides inputs is passed over.
    """

    def __init__(
        self,
        loss: str | dict[str, Any] | LossFunction = "mse",
        beta: float = 1.0,
        metrics: Wanted = (),
    ) -> None:
        super().__init__(loss, metrics)
        if beta < 0:
            raise ConfigError(f"task.beta must be >= 0, got {beta}")
        self._beta = beta

    def prepare(self, batch: Any) -> Batch:
        """Return {"input", "target"}, which are the same."""
        named = as_mapping(batch)
        return super().prepare({**named, "target": named["input"]})

    def forward(self, model: nn.Module, batch: Batch) -> Coded | Tensor:
        output = model(batch["input"])
        return output if isinstance(output, Tensor) else Coded(*output)

    def loss_of(self, output: Coded | Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        given = output if isinstance(output, Tensor) else output.reconstruction
        reconstruction = self.mean_loss(given, batch)
        values = {"reconstruction": reconstruction}
        if isinstance(output, Tensor):
            return reconstruction, values
        values["divergence"] = _divergence(output, batch)
        return reconstruction + self._beta * values["divergence"], values

    def metrics(self) -> dict[str, Metric]:
        return {**super().metrics(), "reconstruction": Mean()}

    def predictions_of(self, output: Coded | Tensor) -> tuple[list[str], list[float]]:
        reconstruction = output if isinstance(output, Tensor) else output.reconstruction
        return super().predictions_of(reconstruction)


def _divergence(output: Coded, batch: Batch) -> Tensor:
    """Return KL(N(mean, variance) || N(0, 1)), summed over the code, a number of the input."""
    mean, log_variance = output.mean.float(), output.log_variance.float()
    each = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(dim=1)
    return mean_over(each, batch) / output.reconstruction[0].numel()
