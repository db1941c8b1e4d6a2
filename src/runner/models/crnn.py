"""`CRNN`: a picture of a line of text to symbol scores per column, for CTC.

After Shi, Bai and Yao, "An End-to-End Trainable Neural Network for Image-based Sequence
Recognition" (2015), with a strided stem, batch normalisation and a GRU.
"""

import torch
from torch import Tensor, nn

_FILTERS = (1, 2, 3, 4, 5, 6)  # of each convolution, in units of `width`
_ROW_STRIDES = (1, 2, 1, 2, 1, 2)
_TALL = 48  # rows from which on the first convolution halves the picture too
_EPSILON = 1e-3


class CRNN(nn.Module):
    """Convolutions, then a bidirectional GRU over the columns.

    Takes pictures (batch, channels, height, any width), uint8 or float from 0 to 255, and
    normalises each by its own mean and deviation. Returns logits (time, batch, num_classes), class
    0 being CTC's blank. A time step stands for `frame_width` columns of the picture (2, 4, 8 or
    16): 4 gives 32 steps for a picture of 32x128 and 64 for one of 64x256. `width` is the number of
    filters of the first convolution, `hidden_size` that of the GRU's units in each direction.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        height: int,
        frame_width: int = 4,
        channels: int = 1,
        width: int = 16,
        hidden_size: int = 96,
        num_layers: int = 1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self._strides = _strides(height, frame_width)
        rows = height
        blocks: list[nn.Module] = []
        for filters, (row_stride, column_stride) in zip(_FILTERS, self._strides, strict=True):
            stride = (row_stride, column_stride)
            convolution = nn.Conv2d(
                channels, filters * width, 3, stride=stride, padding=1, bias=False
            )
            blocks.append(_block(convolution))
            channels, rows = filters * width, _strided(rows, row_stride)
        # One value for each column and filter: the GRU's cost grows with the size of its input.
        blocks.append(_block(nn.Conv2d(channels, hidden_size, (rows, 1), bias=False)))
        convolutions = nn.Sequential(*blocks)
        self.convolutions = convolutions.to(memory_format=torch.channels_last)  # type: ignore
        self.dropout = nn.Dropout(dropout)
        self.rnn = nn.GRU(
            hidden_size,
            hidden_size,
            num_layers,
            bidirectional=True,
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.head = nn.Linear(2 * hidden_size, num_classes)

    def num_frames(self, width: int) -> int:
        """Return the number of time steps for pictures of `width` columns."""
        for _, stride in self._strides:
            width = _strided(width, stride)
        return width

    def forward(self, image: Tensor) -> Tensor:
        features = self.convolutions(_normalized(image))  # (batch, filters, 1, time)
        sequence = features.squeeze(2).permute(2, 0, 1)  # (time, batch, filters)
        # In full precision: CPUs have no GRU in bfloat16 under autocast, and it is a small part.
        with torch.autocast(sequence.device.type, enabled=False):
            hidden, _ = self.rnn(self.dropout(sequence.float()))
            return self.head(self.dropout(hidden))


def _strides(height: int, frame_width: int) -> tuple[tuple[int, int], ...]:
    """Return the strides (over rows, over columns) of each convolution."""
    if height < 16:
        raise ValueError(f"height must be >= 16, got {height}")
    if frame_width not in (2, 4, 8, 16):
        raise ValueError(f"frame_width must be 2, 4, 8 or 16, got {frame_width}")
    rows = (2 if height >= _TALL else 1, *_ROW_STRIDES[1:])
    strides, reached = [], 1
    for stride in rows:
        column_stride = stride if reached < frame_width else 1
        reached *= column_stride
        strides.append((stride, column_stride))
    if reached != frame_width:
        raise ValueError(f"frame_width {frame_width} needs a height >= {_TALL}, got {height}")
    return tuple(strides)


def _block(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(
        convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)
    )


def _strided(size: int, stride: int) -> int:
    return (size - 1) // stride + 1


def _normalized(image: Tensor) -> Tensor:
    pixels = image.float()
    deviation, mean = torch.std_mean(pixels, dim=(1, 2, 3), keepdim=True)
    pixels = (pixels - mean) / (deviation + _EPSILON)
    return pixels.contiguous(memory_format=torch.channels_last)
