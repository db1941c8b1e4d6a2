import torch

from runner.models.mlp import MLP


def test_pictures_are_flattened():
    assert MLP(64, 10, hidden_size=8)(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_size_and_number_of_layers_are_as_asked():
    model = MLP(64, 10, hidden_size=256, num_layers=2)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == 64 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10


def test_no_hidden_layer_is_a_linear_model():
    model = MLP(4, 2, num_layers=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 4 * 2 + 2


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model = MLP(16, 4, dropout=0.5)
    inputs = torch.ones(2, 16)
    assert not torch.equal(model(inputs), model(inputs))
    model.eval()
    assert torch.equal(model(inputs), model(inputs))
