"""Begin with the weights of a run, a checkpoint, a file, a folder or the Hub."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from runner.build.weights_from import WeightsFrom, read_weights
from runner.config.options import CheckpointOptions, Options
from runner.errors import ConfigError, Interrupted
from tests.training.harness import StopAt, final_state, journal_of, same, tiny_options, train


class Net(nn.Module):
    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6))
        self.head = nn.Linear(6, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs))


def other_net(num_classes: int = 3) -> Net:
    torch.manual_seed(77)
    return Net(num_classes)


def options_from(source: Path | str, *, strict: bool = True, **trainer: Any) -> Options:
    options = tiny_options(**{"max_epochs": None, "max_steps": 2, **trainer})
    return replace(options, init_weights_from=str(source), init_weights_strict=strict)


def loaded(source: Path | str, model: nn.Module | None = None, *, strict: bool = True) -> nn.Module:
    model = model or other_net()
    WeightsFrom(str(source), strict=strict).load(model, None)
    return model


def as_safetensors(net: Net, folder: Path) -> Path:
    save_file(net.state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors"


def as_state_dict(net: Net, folder: Path) -> Path:
    torch.save(net.state_dict(), folder / "weights.pt")
    return folder / "weights.pt"


def as_wrapped_state_dict(net: Net, folder: Path) -> Path:
    weights = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": weights}, folder / "weights.ckpt")
    return folder / "weights.ckpt"


def as_folder(net: Net, folder: Path) -> Path:
    save_file(net.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    return folder


def as_folder_of_several(net: Net, folder: Path) -> Path:
    weights = net.state_dict()
    files = {name: f"model-0000{1 + ('head' in name)}-of-00002.safetensors" for name in weights}
    for file in set(files.values()):
        save_file({n: v for n, v in weights.items() if files[n] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    return folder


def as_old_folder(net: Net, folder: Path) -> Path:
    torch.save(net.state_dict(), folder / "pytorch_model.bin")
    return folder


@pytest.mark.parametrize(
    "write",
    [
        as_safetensors,
        as_state_dict,
        as_wrapped_state_dict,
        as_folder,
        as_folder_of_several,
        as_old_folder,
    ],
)
def test_weights_come_from(write: Callable[[Net, Path], Path], tmp_path: Path) -> None:
    net = Net()
    assert same(loaded(write(net, tmp_path)).state_dict(), net.state_dict())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "run"
    options = replace(
        tiny_options(ema_decay=0.5), checkpoint=CheckpointOptions(every="6 steps", keep_last=9)
    )
    train(path, options, model=Net())
    return path


def test_a_run_gives_its_best_averaged_weights_and_a_checkpoint_its_own(trained: Path) -> None:
    best = json.loads((trained / "status.json").read_text())["best_step"]
    for source in (trained, trained / "checkpoints" / f"step_{best:08d}"):
        average = load_file(trained / f"checkpoints/step_{best:08d}/average.safetensors")
        assert same(dict(loaded(source).state_dict()), average)


def test_training_begins_with_them_and_so_does_the_average(trained: Path, tmp_path: Path) -> None:
    options = options_from(trained, ema_decay=0.999999, evaluate_at_start=True)
    still = {"optimizer": lambda p: torch.optim.SGD(p, lr=0.0), "scheduler": None}
    train(tmp_path / "run", options, model=other_net(), **still)
    weights, _, rest = final_state(tmp_path / "run")
    first = read_weights(str(trained))
    assert torch.equal(weights["head.weight"], first["head.weight"])
    assert torch.allclose(rest["average.safetensors"]["head.weight"], first["head.weight"])
    report = json.loads((tmp_path / "run/init_weights.json").read_text())
    assert sorted(report["loaded"]) == sorted(first)
    assert report["missing"] == report["unexpected"] == report["mismatched"] == []


def test_a_run_that_goes_on_needs_them_no_more(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, source := tmp_path / "source")
    options = options_from(source, max_steps=9)
    train(tmp_path / "straight", options, model=other_net())
    with pytest.raises(Interrupted):
        train(tmp_path / "run", options, model=other_net(), callbacks={"stop": StopAt(4)})
    shutil.rmtree(source)
    train(tmp_path / "run", options, model=other_net())
    assert same(final_state(tmp_path / "run"), final_state(tmp_path / "straight"))
    assert journal_of(tmp_path / "run") == journal_of(tmp_path / "straight")


def test_what_does_not_fit_is_told_by_name(tmp_path: Path) -> None:
    weights = Net(num_classes=5).state_dict()
    weights["bdy.0.weight"] = weights.pop("body.0.weight")
    save_file(weights, tmp_path / "weights.safetensors")
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path / "weights.safetensors")
    assert "head.weight has shape (5, 6), the model has (3, 6)" in str(error.value)
    assert "body.0.weight is missing there" in str(error.value)
    assert "did you mean 'body.0.weight'" in str(error.value)
    assert "init_weights_strict=false" in str(error.value)


def test_what_fits_is_taken_if_that_is_enough(tmp_path: Path) -> None:
    trained_net, net = Net(num_classes=5), other_net()
    head = net.head.weight.detach().clone()
    save_file(trained_net.state_dict(), tmp_path / "weights.safetensors")
    taken = WeightsFrom(str(tmp_path / "weights.safetensors"), strict=False).load(net, None)
    assert torch.equal(net.body[0].weight, trained_net.body[0].weight)
    assert torch.equal(net.head.weight, head)
    assert len(taken.mismatched) == 2 and "head.weight" not in taken.loaded


def test_weights_of_which_nothing_fits_are_refused(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(ConfigError, match="nothing of it fits"):
        loaded(tmp_path / "weights.safetensors", strict=False)


def test_a_tied_weight_is_not_missing_under_its_second_name(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(4, 3)
            self.out = nn.Linear(3, 4, bias=False)
            self.out.weight = self.embed.weight

    save_file({"embed.weight": torch.ones(4, 3)}, tmp_path / "weights.safetensors")
    model = loaded(tmp_path / "weights.safetensors", Tied())
    assert torch.equal(model.state_dict()["out.weight"], torch.ones(4, 3))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("evil"),))


def test_loading_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.zeros(1), "evil": Evil()}, "weights.pt")
    with pytest.raises(ConfigError, match="cannot be read as weights"):
        loaded("weights.pt")
    assert not Path("evil").exists()


def test_a_source_that_is_not_there_is_told_and_leaves_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        train(tmp_path / "run", options_from(tmp_path / "absent.safetensors"), model=Net())
    assert not (tmp_path / "run").exists()


def test_a_name_on_the_hub_is_taken_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    revision = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--me--net"
    snapshot = repo / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(revision)
    as_folder(net := Net(), snapshot)
    assert same(loaded("me/net").state_dict(), net.state_dict())
    assert same(loaded(f"me/net@{revision}").state_dict(), net.state_dict())
    with pytest.raises(ConfigError, match="the Hub gives no model of that name"):
        loaded("me/another")
