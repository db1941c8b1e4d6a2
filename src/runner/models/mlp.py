"""`MLP`: a multi-layer perceptron on flattened inputs."""

from torch import Tensor, nn


class MLP(nn.Module):
    """`num_layers` hidden layers of `hidden_size` with ReLU, then `num_classes` outputs."""

    def __init__(
        self,
        num_inputs: int,
        num_classes: int,
        hidden_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        size = num_inputs
        for _ in range(num_layers):
            layers += [nn.Linear(size, hidden_size), nn.ReLU()]
            if dropout > 0.0:
                layers.append(nn.Dropout(dropout))
            size = hidden_size
        layers.append(nn.Linear(size, num_classes))
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of inputs with `num_inputs` values a sample."""
        return self.layers(inputs)
