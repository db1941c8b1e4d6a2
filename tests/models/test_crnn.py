import pytest
import torch

from runner.models.crnn import CRNN


def a_model(**options) -> CRNN:
    torch.manual_seed(0)
    return CRNN(**{"num_classes": 5, "height": 32, "width": 4, "hidden_size": 8, **options})


@pytest.mark.parametrize("frame_width", [2, 4, 8])
@pytest.mark.parametrize(("height", "width"), [(16, 60), (32, 128), (64, 256), (50, 201)])
def test_logits_have_as_many_frames_as_told(height: int, width: int, frame_width: int):
    model = a_model(height=height, frame_width=frame_width)
    logits = model(torch.zeros(2, 1, height, width, dtype=torch.uint8))
    assert logits.shape == (model.num_frames(width), 2, 5)
    assert model.num_frames(width) == -(-width // frame_width)


def test_small_and_large_plates_have_enough_frames():
    assert a_model(height=32).num_frames(128) == 32
    assert a_model(height=64).num_frames(256) == 64


def test_brightness_and_contrast_do_not_matter():
    model = a_model().eval()
    image = torch.randint(50, 100, (2, 1, 32, 128), generator=torch.Generator().manual_seed(0))
    logits = model(image.to(torch.uint8))
    torch.testing.assert_close(model(2.0 * image + 30.0), logits, rtol=1e-3, atol=1e-3)


def test_an_empty_picture_gives_finite_logits():
    assert torch.isfinite(a_model()(torch.zeros(2, 1, 32, 128, dtype=torch.uint8))).all()


def test_a_picture_is_read_alike_alone_and_in_a_batch():
    model = a_model().eval()
    image = torch.rand(3, 1, 32, 128, generator=torch.Generator().manual_seed(0)) * 255
    torch.testing.assert_close(model(image[1:2])[:, 0], model(image)[:, 1], rtol=1e-4, atol=1e-5)


def test_every_parameter_gets_a_gradient_in_bfloat16():
    model = a_model(num_layers=2)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(torch.rand(2, 1, 32, 128) * 255)
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 8}, "height must be >= 16"),
        ({"frame_width": 3}, "frame_width must be 2, 4, 8 or 16"),
        ({"frame_width": 16}, "needs a height >= 48"),
    ],
)
def test_impossible_sizes_are_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        a_model(**options)
