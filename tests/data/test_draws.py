import torch
from torch import Tensor

from runner.data.draws import Draws


def all_of(size: int, part: slice) -> list[Tensor]:
    draws = Draws(torch.Generator().manual_seed(1), size, part)
    return [draws.uniform(2, 3), draws.normal(), torch.tensor(draws.once()), draws.integers(9, 1)]


def test_the_ranks_draw_the_numbers_of_one_process_together() -> None:
    whole = all_of(7, slice(0, 7))
    parts = [all_of(7, part) for part in (slice(0, 2), slice(2, 4), slice(4, 7))]
    for number, drawn in enumerate(whole):
        pieces = [part[number] for part in parts]
        if drawn.ndim == 0:
            assert all(torch.equal(piece, drawn) for piece in pieces)
        else:
            assert torch.equal(torch.cat(pieces), drawn)


def test_one_process_draws_what_the_generator_gives() -> None:
    plain = torch.Generator().manual_seed(1)
    uniform, normal, once, integers = all_of(7, slice(0, 7))
    assert torch.equal(uniform, torch.rand(7, 2, 3, generator=plain))
    assert torch.equal(normal, torch.randn(7, generator=plain))
    assert once == torch.rand(1, generator=plain)
    assert torch.equal(integers, torch.randint(9, (7, 1), generator=plain))
