import errno

import numpy as np
import pytest
import torch
from PIL import Image

from runner.data.pictures import Preprocessor, check_picture, find_pictures, load_picture
from runner.errors import DataError


def write_jpeg(path, size=(40, 20), colour=(200, 100, 50)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 50).convert("RGB").save(path, quality=90)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK"])
def test_pictures_of_any_mode_become_grey_tensors(mode):
    tensor = Preprocessor(8, 16)(Image.new(mode, (33, 21)))
    assert tensor.shape == (1, 8, 16)
    assert tensor.dtype == torch.uint8


def test_a_picture_of_the_right_size_is_not_resampled():
    picture = Image.effect_noise((16, 8), 60)
    assert bytes(Preprocessor(8, 16)(picture).flatten().tolist()) == picture.tobytes()


def test_tensors_own_their_memory():
    tensor = Preprocessor(2, 2)(Image.new("L", (2, 2)))
    tensor.fill_(7)
    assert tensor.sum() == 28


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match="must be >= 1, got 0x16"):
        Preprocessor(0, 16)


@pytest.mark.parametrize("read", [load_picture, check_picture])
def test_a_truncated_jpeg_is_named(read, tmp_path):
    path = write_jpeg(tmp_path / "plate.jpg")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"plate\.jpg cannot be read: .*truncated"):
        read(path)


@pytest.mark.parametrize("read", [load_picture, check_picture])
def test_a_file_that_is_no_picture_is_named(read, tmp_path):
    path = tmp_path / "plate.jpg"
    path.write_text("hello", encoding="utf-8")
    with pytest.raises(DataError, match=r"plate\.jpg cannot be read: it is no picture"):
        read(path)


@pytest.mark.parametrize("read", [load_picture, check_picture])
def test_a_missing_picture_is_named(read, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jpg does not exist"):
        read(tmp_path / "nowhere.jpg")


@pytest.mark.parametrize("read", [load_picture, check_picture])
def test_a_folder_is_no_picture(read, tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)


def test_pictures_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert load_picture(tmp_path / "turned.jpg").size == (20, 40)


def test_folders_are_searched_deeply_and_sorted(tmp_path):
    names = ["b/2.JPG", "a.png", "b/c/1.jpeg", "notes.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures([tmp_path])]
    assert found == ["a.png", "b/2.JPG", "b/c/1.jpeg"]


def test_what_is_hidden_in_a_folder_is_left_alone(tmp_path):
    for name in ("._a.jpg", ".trash/b.jpg", "c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(find_pictures([tmp_path])) == [tmp_path / "c.jpg"]


def test_files_come_in_the_order_and_as_often_as_they_are_named(tmp_path):
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    a.touch()
    b.touch()
    assert list(find_pictures([b, tmp_path, a])) == [b, a, b, a]


def test_a_file_named_directly_needs_no_suffix(tmp_path):
    (tmp_path / "scan").touch()
    assert list(find_pictures([tmp_path / "scan"])) == [tmp_path / "scan"]


def test_missing_paths_and_empty_folders_are_errors(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        list(find_pictures([tmp_path / "nowhere"]))
    with pytest.raises(DataError, match=r"no pictures in .*\.jpg"):
        list(find_pictures([tmp_path]))


def test_what_is_missing_can_be_told_and_the_rest_found(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.png").touch()
    told = []
    paths = [tmp_path / "nowhere", tmp_path / "empty", tmp_path]
    found = find_pictures(paths, lambda path, error: told.append((path, str(error))))
    assert list(found) == [tmp_path / "a.png"]
    assert [path for path, _ in told] == paths[:2]


def test_files_are_found_before_the_last_path_is_known(tmp_path):
    (tmp_path / "a.png").touch()

    def paths():
        yield tmp_path / "a.png"
        raise AssertionError("asked too early")

    assert next(find_pictures(paths())) == tmp_path / "a.png"


GREYS = np.arange(0, 256, 4, dtype=np.uint8).reshape(1, -1).repeat(4, axis=0)


def test_sixteen_bits_of_grey_keep_their_shades(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(GREYS.astype(np.uint16) << 8).save(path)
    picture = load_picture(path)
    assert picture.mode == "L"
    assert np.array_equal(np.asarray(picture), GREYS)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white_paper(tmp_path, mode):
    path = tmp_path / "cut_out.png"
    picture = Image.new("RGBA", (8, 4), (0, 0, 0, 0))  # black, and not to be seen
    picture.paste((0, 0, 0, 255), (0, 0, 4, 4))
    picture.convert(mode).save(path)
    shades = Preprocessor(4, 8)(load_picture(path))[0, 0].tolist()
    assert shades == [0, 0, 0, 0, 255, 255, 255, 255]


def test_of_an_animation_the_first_picture_is_read(tmp_path):
    path = tmp_path / "moving.gif"
    frames = [Image.new("L", (8, 4), grey) for grey in (255, 0, 0)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert Preprocessor(4, 8)(load_picture(path)).min() == 255


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    Image.new("L", (100, 100)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"bomb\.png cannot be read: .*10000 pixels"):
        load_picture(path)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "secret.png"

    def refuse(*_arguments):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(DataError, match=r"secret\.png cannot be read: permission denied$"):
        load_picture(path)
