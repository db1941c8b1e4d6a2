"""The model: any torch module with plain arguments."""

from torch import Tensor, nn


class Net(nn.Module):
    """A small network from points to one number for each class."""

    def __init__(self, hidden_size: int = 64, num_classes: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, num_classes),
        )

    def forward(self, points: Tensor) -> Tensor:  # (batch, 2) -> (batch, classes)
        return self.layers(points)
