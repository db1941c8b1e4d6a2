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


def test_a_file_named_twice_is_read_once(tmp_path):
    (tmp_path / "a.png").touch()
    assert find_pictures([tmp_path, tmp_path / "a.png"]) == [tmp_path / "a.png"]


def test_a_file_named_directly_needs_no_suffix(tmp_path):
    (tmp_path / "scan").touch()
    assert find_pictures([tmp_path / "scan"]) == [tmp_path / "scan"]


def test_missing_paths_and_empty_folders_are_errors(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        find_pictures([tmp_path / "nowhere"])
    with pytest.raises(DataError, match=r"no pictures found: .*\.jpg"):
        find_pictures([tmp_path])
