import numpy as np
import pytest

from runner.data.plates.pen import Pen, draw_skeleton
from runner.data.plates.strokes import SKELETONS


def ink_of(pen: Pen, *, seed: int = 0, height: int = 40) -> np.ndarray:
    mask = draw_skeleton(SKELETONS["۵"], pen=pen, height=height, rng=np.random.default_rng(seed))
    return np.asarray(mask)


def test_a_heavier_pen_leaves_more_ink():
    assert ink_of(Pen(weight=0.2)).sum() > 1.5 * ink_of(Pen(weight=0.1)).sum()


def test_contrast_thins_some_strokes():
    assert ink_of(Pen(contrast=0.3)).sum() < ink_of(Pen()).sum()


def test_a_wobbling_pen_never_draws_twice_the_same():
    pen = Pen(wobble=0.02)
    assert not np.array_equal(ink_of(pen, seed=1), ink_of(pen, seed=2))
    assert np.array_equal(ink_of(pen, seed=1), ink_of(pen, seed=1))


@pytest.mark.parametrize("symbol", SKELETONS)
def test_ink_stays_inside_the_mask(symbol: str):
    mask = draw_skeleton(
        SKELETONS[symbol], pen=Pen(weight=0.2), height=40, rng=np.random.default_rng(0)
    )
    box = mask.getbbox()
    assert box is not None
    assert box[0] > 0
    assert box[1] > 0
    assert box[2] < mask.width
    assert box[3] < mask.height


def test_random_pens_differ_within_bounds():
    rng = np.random.default_rng(0)
    weights = [Pen.draw_from(rng).weight for _ in range(200)]
    assert 0.08 < min(weights) < 0.12
    assert 0.19 < max(weights) < 0.24
