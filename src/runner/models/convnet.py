"""`ConvNet`: a small convolutional classifier for pictures of any size."""

from torch import Tensor, nn


class ConvNet(nn.Module):
    """`num_blocks` of (convolution, batch norm, ReLU, halving), then the mean over the picture.

    The first block has `width` channels and each next one twice as many.
    """

    def __init__(
        self,
        num_classes: int,
        num_channels: int = 1,
        width: int = 32,
        num_blocks: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size = num_channels
        for block in range(num_blocks):
            layers += _block(size, width * 2**block)
            size = width * 2**block
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(size, num_classes))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of float pictures (batch, channels, height, width)."""
        return self.head(self.features(pictures).mean(dim=(2, 3)))


def _block(num_inputs: int, num_outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(num_inputs, num_outputs, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(num_outputs),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
    ]
