import pytest
import torch

from runner.models.encoder_decoder import EncoderDecoder


def model() -> EncoderDecoder:
    torch.manual_seed(0)
    return EncoderDecoder(9, hidden_size=16, num_layers=2, num_heads=2, max_length=6).eval()


SOURCE = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]])


def test_a_token_depends_on_what_comes_before_it_alone() -> None:
    written = torch.tensor([[1, 3, 4], [1, 5, 6]])
    logits = model()(SOURCE, written)
    assert logits.shape == (2, 3, 9)
    changed = written.clone()
    changed[:, 2] = 8
    torch.testing.assert_close(model()(SOURCE, changed)[:, :2], logits[:, :2])
    assert not torch.allclose(model()(SOURCE, changed)[:, 2], logits[:, 2])


def test_padding_of_the_source_changes_nothing() -> None:
    written = torch.tensor([[1, 3]])
    alone = model()(SOURCE[1:, :2], written)
    torch.testing.assert_close(model()(SOURCE[1:], written), alone)


def test_it_writes_the_most_probable_token_again_and_again() -> None:
    net = model()
    written = torch.ones(2, 1, dtype=torch.int64)
    for _ in range(4):
        best = net(SOURCE, written)[:, -1].argmax(-1, keepdim=True)
        written = torch.cat([written, best], dim=1)
    assert not (written == 2).any(), "this seed writes no end: choose another one"
    assert net.generate(SOURCE, max_length=4).tolist() == written[:, 1:].tolist()


def test_after_the_end_comes_padding_and_all_at_the_end_stop() -> None:
    net = model()
    first = net.generate(SOURCE, max_length=6)
    with torch.no_grad():
        net.head.bias[2] = 100.0
    assert net.generate(SOURCE, max_length=6).tolist() == [[2], [2]]
    assert first.shape == (2, 6)


def test_a_sequence_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="8 tokens is longer than model.max_length=6"):
        model()(torch.full((1, 8), 3), torch.ones(1, 1, dtype=torch.int64))
