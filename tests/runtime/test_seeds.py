import random

import numpy as np
import torch

from runner.runtime.seeds import (
    mix,
    preserved_cpu_generators,
    random_state,
    restore_random_state,
    seed_everything,
    seed_sample,
)


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_a_restored_state_gives_the_same_numbers() -> None:
    seed_everything(3)
    np.random.randn()  # leaves a cached second normal number behind
    state = random_state()
    first = draw(), float(np.random.randn())
    restore_random_state(state)
    assert (draw(), float(np.random.randn())) == first


def test_a_sample_has_its_own_numbers_whatever_came_before() -> None:
    seed_sample(0, 1, 2)
    first = draw()
    draw()
    seed_sample(0, 1, 2)
    assert draw() == first
    seed_sample(0, 2, 1)
    assert draw() != first


def test_sample_seeding_leaves_the_other_numbers_alone() -> None:
    seed_everything(3)
    expected = draw()
    seed_everything(3)
    with preserved_cpu_generators():
        seed_sample(1, 2, 3)
        draw()
    assert draw() == expected


def test_mix_depends_on_every_part_and_its_place() -> None:
    values = {mix(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(values) == 1000
