"""What prepares the input is saved with the run, and comes back without code of the folder's."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.data.pictures import Preprocessor
from runner.data.preprocessor import check_preprocessor, load_preprocessor, save_preprocessor
from runner.errors import DataError, RunError
from runner.facade.run import Run
from runner.files import write_json_atomically
from runner.run.directory import RunDirectory
from tests.training.harness import tiny_data, tiny_options, train


@dataclass
class Scale:
    """A dataclass of somebody else."""

    factor: float
    name: str = "x"
    means: tuple[float, ...] = ()


class Configured:
    def __init__(self, *, size: int) -> None:
        self.config = {"size": size}


class Learned:
    """Its state is learned from data."""

    def __init__(self) -> None:
        self.mean = torch.zeros(2)

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean = state["mean"]


class Own:
    """Saves itself, as those of transformers do."""

    def __init__(self, word: str) -> None:
        self.word = word

    def save_pretrained(self, folder: str) -> None:
        (Path(folder) / "nested").mkdir()
        (Path(folder) / "nested" / "word.txt").write_text(self.word)

    @classmethod
    def from_pretrained(cls, folder: str) -> "Own":
        return cls((Path(folder) / "nested" / "word.txt").read_text())


def test_one_of_ours_comes_back_from_its_folder_alone(tmp_path: Path) -> None:
    save_preprocessor(Preprocessor(32, 128), tmp_path / "kept")
    assert load_preprocessor(tmp_path / "kept") == Preprocessor(32, 128)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_class_of_somebody_else_is_given_by_who_loads(tmp_path: Path) -> None:
    save_preprocessor(Scale(2.0, means=(0.5, 0.25)), tmp_path / "scale")
    with pytest.raises(RunError, match=r"test_preprocessor.Scale, which is no class of runner"):
        load_preprocessor(tmp_path / "scale")
    with pytest.raises(RunError, match="Scale, not a .*Own"):
        load_preprocessor(tmp_path / "scale", Own)
    assert load_preprocessor(tmp_path / "scale", Scale).means == [0.5, 0.25]
    save_preprocessor(Configured(size=3), tmp_path / "configured")
    assert load_preprocessor(tmp_path / "configured", Configured).config == {"size": 3}


def test_one_that_saves_itself_is_asked_to(tmp_path: Path) -> None:
    save_preprocessor(Own("hello"), tmp_path / "own")
    assert load_preprocessor(tmp_path / "own", Own).word == "hello"


def test_a_state_goes_into_an_object_or_a_new_one(tmp_path: Path) -> None:
    learned = Learned()
    learned.mean = torch.tensor([1.0, 2.0])
    save_preprocessor(learned, tmp_path / "learned")
    assert torch.equal(load_preprocessor(tmp_path / "learned", Learned).mean, learned.mean)
    into = Learned()
    assert load_preprocessor(tmp_path / "learned", into) is into
    assert torch.equal(into.mean, learned.mean)


def test_a_tokenizer_of_transformers_comes_back_from_its_folder_alone(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(words))
    save_preprocessor(tokenizer, tmp_path / "tokenizer")
    assert load_preprocessor(tmp_path / "tokenizer").encode("a") == [1]


@dataclass
class NotPlain:
    function: Any


UNSAVABLE = [NotPlain(print), NotPlain(Scale(1.0)), NotPlain({1: 2}), object(), print]


@pytest.mark.parametrize("preprocessor", UNSAVABLE)
def test_what_cannot_be_saved_is_refused(preprocessor: Any) -> None:
    check_preprocessor(None)
    with pytest.raises(DataError, match=r"data.preprocessor: .* cannot be saved with the run"):
        check_preprocessor(preprocessor)


def test_a_torn_folder_is_none(tmp_path: Path) -> None:
    class Failing(Own):
        def save_pretrained(self, folder: str) -> None:
            super().save_pretrained(folder)
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_preprocessor(Failing("x"), tmp_path / "kept")
    assert not list(tmp_path.iterdir())
    (tmp_path / ".kept.1.tmp").mkdir()
    save_preprocessor(Own("x"), tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_run_keeps_it_and_gives_it_back(tmp_path: Path) -> None:
    options = tiny_options(max_epochs=1)
    train(tmp_path, options, data=tiny_data(preprocessor=Scale(2.0)))
    kept = RunDirectory(tmp_path).preprocessor / "preprocessor.json"
    assert json.loads(kept.read_text())["fields"]["factor"] == 2.0
    assert Run(tmp_path).load_preprocessor(Scale).factor == 2.0
    train(tmp_path, options, data=tiny_data(preprocessor=Scale(3.0)))
    assert Run(tmp_path).load_preprocessor(Scale).factor == 2.0, "written once"


def test_a_run_of_a_config_knows_the_class(tmp_path: Path) -> None:
    train(tmp_path, tiny_options(max_epochs=1), data=tiny_data(preprocessor=Scale(2.0)))
    config = tmp_path / "config.yaml"
    node = {"_target_": f"{Scale.__module__}.Scale", "factor": 2.0}
    write_json_atomically(config, {"data": {"preprocessor": node}})
    with pytest.raises(RunError, match=r"made elsewhere.*test_preprocessor\.Scale"):
        Run(tmp_path).load_preprocessor()
    assert Run(tmp_path).load_preprocessor(trust="tests") == Scale(2.0)


def test_a_run_without_one_says_so(tmp_path: Path) -> None:
    train(tmp_path, tiny_options(max_epochs=1))
    with pytest.raises(RunError, match="has no preprocessor"):
        Run(tmp_path).load_preprocessor()
