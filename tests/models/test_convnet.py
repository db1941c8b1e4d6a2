import pytest
import torch

from runner.models.convnet import ConvNet


@pytest.mark.parametrize("size", [(8, 8), (5, 9), (1, 1), (32, 64)])
def test_pictures_of_any_size_give_logits(size):
    model = ConvNet(10, width=4, num_blocks=3).eval()
    assert model(torch.zeros(2, 1, *size)).shape == (2, 10)


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    model = ConvNet(3, num_channels=2, width=4)
    model(torch.randn(4, 2, 8, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
