import pytest
import torch

from runner.data.draws import Draws
from runner.data.plate_augmentation import PlateAugmentation

PARTS = ("geometry", "light", "cutout", "blur", "noise")
NOTHING = dict.fromkeys(PARTS, 0.0)


def a_batch() -> dict:
    image = torch.randint(0, 256, (6, 1, 32, 128), generator=torch.Generator().manual_seed(0))
    return {"image": image.to(torch.uint8), "text": ["x"] * 6}


def draws(seed: int, part: slice = slice(0, 6)) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), 6, part)


def augmented(seed: int, **strengths: float) -> torch.Tensor:
    batch = PlateAugmentation(**strengths)(a_batch(), draws(seed))
    assert batch["text"] == ["x"] * 6
    return batch["image"]


def test_the_draws_alone_decide():
    torch.manual_seed(1)
    first = augmented(3)
    torch.manual_seed(2)
    assert torch.equal(first, augmented(3))
    assert not torch.equal(first, augmented(4))


def test_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    augmented(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_pictures_keep_shape_and_range():
    image = augmented(0)
    assert image.shape == (6, 1, 32, 128)
    assert image.dtype == torch.float32
    assert image.min() >= 0.0
    assert image.max() <= 255.0
    assert torch.isfinite(image).all()


def test_strength_zero_changes_nothing():
    assert torch.equal(augmented(0, **NOTHING), a_batch()["image"].float())


@pytest.mark.parametrize("part", PARTS)
def test_every_part_changes_pictures_differently_each(part: str):
    image = torch.full((6, 1, 32, 128), 100, dtype=torch.uint8)
    image[..., 40:80] = 200
    batch = {"image": image, "text": [""] * 6}
    changed = PlateAugmentation(**{**NOTHING, part: 2.0})(batch, draws(0))["image"]
    differences = (changed - image.float()).abs().mean(dim=(1, 2, 3))
    assert (differences > 0).sum() >= 2
    assert len(set(differences.tolist())) >= 3


def test_the_batch_given_is_not_changed():
    batch = a_batch()
    before = batch["image"].clone()
    PlateAugmentation()(batch, draws(0))
    assert torch.equal(batch["image"], before)


def test_the_parts_of_two_ranks_are_what_one_process_makes():
    whole = augmented(3)
    for part in (slice(0, 3), slice(3, 6)):
        batch = {"image": a_batch()["image"][part]}
        own = PlateAugmentation()(batch, draws(3, part))["image"]
        torch.testing.assert_close(own, whole[part])
