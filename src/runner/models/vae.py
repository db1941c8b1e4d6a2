"""`VAE`: a variational autoencoder of fully connected layers."""

import torch
from torch import Tensor, nn


class VAE(nn.Module):
    """Codes inputs of `num_inputs` numbers between 0 and 1 by `code_size` numbers, and back.

    Kingma and Welling 2014. In training the code is drawn from the Gaussian that the encoder gives;
    in evaluation it is its mean.
    """

    def __init__(self, num_inputs: int, code_size: int = 8, hidden_size: int = 128) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(num_inputs, hidden_size), nn.ReLU(inplace=True)
        )
        self.mean = nn.Linear(hidden_size, code_size)
        self.log_variance = nn.Linear(hidden_size, code_size)
        self.decoder = nn.Sequential(
            nn.Linear(code_size, hidden_size),
            nn.ReLU(inplace=True),
            nn.Linear(hidden_size, num_inputs),
            nn.Sigmoid(),
        )
        self.code_size = code_size

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction (shaped as `inputs`), mean and log-variance (batch, code)."""
        hidden = self.encoder(inputs)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        code = mean
        if self.training:
            code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decoder(code).view_as(inputs), mean, log_variance

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return `count` new inputs (count, num_inputs), decoded from codes drawn at random."""
        device = self.mean.weight.device
        code = torch.randn(count, self.code_size, generator=generator).to(device)
        return self.decoder(code)
