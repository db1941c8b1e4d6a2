"""A config from elsewhere runs nothing that its user has not trusted."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.build.trained.inference import load_reader
from runner.build.trained.model import trained_model
from runner.build.trained.trusted import is_trusted, untrusted
from runner.config.locate import shipped_conf
from runner.config.own_targets import OWN_TARGETS
from runner.config.targets import locate
from runner.config.trust import NOBODY_ELSE, Trust, taken_from
from runner.errors import ConfigError, RunError
from runner.facade.run import Run
from tests.commands.command import call
from tests.security.strangers import from_elsewhere, own_run

LINEAR = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_run(tmp_path_factory.mktemp("own"))


def system(canary: Path, target: str = "os.system") -> dict[str, Any]:
    return {"_target_": target, "_args_": [f"touch {canary}"]}


def attacks(canary: Path) -> dict[str, dict[str, Any]]:
    """Return nodes that would touch `canary` if they were built, under what they try."""
    code = f"open({str(canary)!r}, 'w')"
    nested = {**LINEAR, "bias": system(canary)}
    return {
        "os.system": system(canary),
        "through a module": system(canary, "torch.os.system"),
        "through a class": system(canary, "torch.nn.modules.module.torch.os.system"),
        "through ours": system(canary, "runner.run.source.state.os.system"),
        "subprocess": {"_target_": "subprocess.call", "_args_": [["touch", str(canary)]]},
        "eval": {"_target_": "builtins.eval", "_args_": [code]},
        "exec": {"_target_": "builtins.exec", "_args_": [code]},
        "instantiate": {"_target_": "hydra.utils.instantiate", "config": system(canary)},
        "get_method": {"_target_": "hydra.utils.get_method", "path": "os.system"},
        "partial": {**system(canary), "_partial_": True},
        "nested": nested,
        "in a list": {"_target_": "torch.nn.Sequential", "_args_": [LINEAR, system(canary)]},
        "deep": {**LINEAR, "bias": {"a": [{"b": system(canary)}]}},
        "not recursive": {**nested, "_recursive_": False},
        "from the environment": system(canary, "${oc.env:EVIL}"),
        "put together": system(canary, "o${oc.env:HALF}"),
        "made by a resolver": {
            **LINEAR,
            "bias": "${oc.create:{_target_: os.system, _args_: ['touch " + str(canary) + "']}}",
        },
        "made later": {
            **LINEAR,
            "bias": r"\${oc.create:{_target_: os.system, _args_: ['touch " + str(canary) + "']}}",
        },
        "no text": {"_target_": ["os.system"], "_args_": [f"touch {canary}"]},
        "hub": {"_target_": "torch.hub.load", "repo_or_dir": str(canary.parent), "model": "m"},
        "jit": {"_target_": "torch.jit.load", "f": str(canary.parent / "model.pt")},
        "load": {
            "_target_": "torch.load",
            "f": str(canary.parent / "evil.pt"),
            "weights_only": False,
        },
        "compile": {
            "_target_": "torch.utils.cpp_extension.load_inline",
            "name": "m",
            "cpp_sources": "",
        },
        "our processes": {
            "_target_": "runner.trackers.delivery.process.start_process",
            "_args_": ["os", {}, str(canary), {}],
        },
        "our files": {
            "_target_": "runner.files.write_text_atomically",
            "_args_": [str(canary), ""],
        },
        "our class": {
            "_target_": "runner.trackers.appending.AppendedFile",
            "path": str(canary),
            "size": 0,
        },
        "remote code": {
            "_target_": "transformers.AutoModel.from_pretrained",
            "pretrained_model_name_or_path": str(canary.parent),
            "trust_remote_code": True,
        },
        "remote code in a config": {
            "_target_": "transformers.AutoModel.from_config",
            "trust_remote_code": True,
            "config": {"_target_": "transformers.BertConfig", "auto_map": {"AutoModel": "m.M"}},
        },
        "a kernel": {
            "_target_": "transformers.GPT2LMHeadModel",
            "config": {"_target_": "transformers.GPT2Config", "attn_implementation": "evil/kernel"},
        },
        "trust in the config": {
            "_target_": "runner.build.trained.model.trained_model",
            "run": str(canary.parent / "another"),
            "trust": True,
        },
        "through a graph": {"_target_": "torch.nn.modules.module.torch.fx.GraphModule"},
        "through a script": {"_target_": "torch.nn.modules.module.torch.jit.ScriptModule"},
        "a secret in a name": {**LINEAR, "device": "x/${oc.env:MY_API_TOKEN}"},
        "a module beside": {"_target_": "guard_canary.Model"},
    }


NAMES = sorted(attacks(Path("x")))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_runs(
    name: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    monkeypatch.setenv("EVIL", "os.system")
    monkeypatch.setenv("HALF", "s.system")
    monkeypatch.setenv("MY_API_TOKEN", "sekret-value-12345")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "guard_canary.py").write_text(f"open({str(canary)!r}, 'w')\n")
    node = attacks(canary)[name]
    path = from_elsewhere(run, tmp_path, model=node)
    for use in (
        lambda: load_reader(path, device="cpu"),
        lambda: trained_model(path),
        lambda: Run(path).load_model(),
    ):
        with pytest.raises(RunError, match=r"was made elsewhere.*trust=True") as refused:
            use()
        assert "sekret" not in str(refused.value)
    assert not canary.exists()
    assert "guard_canary" not in sys.modules


@pytest.mark.parametrize("part", ["task", "data"])
def test_every_part_that_is_used_is_looked_at(part: str, run: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = from_elsewhere(run, tmp_path)
    node = {**Run(path).config[part], "more": system(canary)}
    shutil.rmtree(path)
    path = from_elsewhere(run, tmp_path, **{part: node})
    with pytest.raises(RunError, match=rf"os\.system \({part}\.more\._target_\)"):
        trained_model(path)
    assert not canary.exists()


def test_the_hub_is_not_asked_in_a_strangers_name(run: Path, tmp_path: Path) -> None:
    data = {"_target_": "runner.data.ocr_hub.ocr_hub", "path": "somebody/plates"}
    path = from_elsewhere(run, tmp_path, data=data)
    with pytest.raises(RunError, match=r"a name on the Hub \(data\.path\)"):
        trained_model(path)
    assert untrusted({"data": {**data, "path": str(tmp_path)}}, NOBODY_ELSE) == []


def test_secrets_that_a_tracker_needs_are_not_asked_about_where_it_is_left_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_PASSWORD", "sekret-value-12345")
    tracker = {"_target_": "x.Y", "uri": "http://me:${oc.env:MY_PASSWORD}@host"}
    assert trained_model(from_elsewhere(run, tmp_path, trackers={"x": tracker})) is not None


def test_what_is_only_for_training_is_left_out(run: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    evil = {"evil": {"_target_": "guard_canary.Model"}}
    path = from_elsewhere(run, tmp_path, callbacks=evil, trackers=evil, optimizer=system(canary))
    assert trained_model(path).training is False
    assert not canary.exists()


def test_a_run_from_elsewhere_that_names_nothing_strange_is_used(run: Path, tmp_path: Path) -> None:
    path = from_elsewhere(run, tmp_path, seed=5)
    assert trained_model(path).state_dict().keys() == trained_model(run).state_dict().keys()


def test_the_user_trusts_a_package_or_everything(run: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = from_elsewhere(run, tmp_path, model={"_target_": "tests.security.test_configs.Mine"})
    with pytest.raises(RunError, match=r"Mine \(model\._target_\).*trust=\"tests\""):
        trained_model(path)
    with pytest.raises(RunError, match="made elsewhere"):
        trained_model(path, trust="other")
    for trust in (True, "tests", ["other", "tests"]):
        with pytest.raises(ArithmeticError, match="built"):
            trained_model(path, trust=trust)


def test_trust_in_a_package_is_none_in_what_it_imports() -> None:
    tests = Trust.of("tests")
    assert is_trusted("tests.security.test_configs.Mine", tests)
    assert not is_trusted("tests.security.test_configs.shutil.rmtree", tests)
    assert not is_trusted("tests.security.test_configs.Mine.__init__", tests)


def test_own_runs_are_not_asked(run: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(run, tmp_path / "moved")
    assert Run(moved).load_model() is not None
    (moved / "config.yaml").write_text((moved / "config.yaml").read_text() + "\n# changed\n")
    changed = (moved / "config.yaml").read_text().replace("runner.models.mlp.MLP", "os.system")
    (moved / "config.yaml").write_text(changed)
    with pytest.raises(RunError, match="made elsewhere"):
        trained_model(moved)


def test_the_words_of_a_command() -> None:
    assert taken_from(["predict", "RUN"]) == (NOBODY_ELSE, ["predict", "RUN"])
    assert taken_from(["a", "trust=true", "b"]) == (Trust(everything=True), ["a", "b"])
    assert taken_from(["trust=a,b"]) == (Trust(packages=("a", "b")), [])
    with pytest.raises(ConfigError, match="names of packages"):
        taken_from(["trust=../x"])
    with pytest.raises(ConfigError, match="once"):
        taken_from(["trust=a", "trust=b"])


def test_the_commands_refuse(run: Path, tmp_path: Path) -> None:
    canary, picture = tmp_path / "canary", tmp_path / "picture.png"
    picture.touch()
    path = from_elsewhere(run, tmp_path, model=system(canary), trackers={"evil": system(canary)})
    for words in (
        ["predict", str(path), str(picture)],
        ["predict", str(path), str(picture), "trust=other"],
        ["evaluate", str(path)],
        ["evaluate", str(path), "data.batch_size=8", "trust=other"],
        ["reproduce", str(path), "--check-only"],
        ["resume", str(path)],
        ["resume", str(path), "trust=os"],
        ["resume", str(path), "--step", "2"],
        ["sync", str(path)],
        ["sync", str(tmp_path)],
    ):
        done = call(*words, cwd=tmp_path)
        assert done.returncode == 1, words
        said = done.stdout + done.stderr
        assert "was made elsewhere" in said and "trust=true" in said, words
        assert not canary.exists(), words
    done = call("export", str(path), "--torch-export", f"--to={tmp_path / 'model'}", cwd=tmp_path)
    assert done.returncode == 1 and "was made elsewhere" in done.stdout
    with pytest.raises(RunError, match="made elsewhere"):
        trained_model(tmp_path / "model")
    assert not canary.exists()
    assert call("status", str(path), cwd=tmp_path).returncode == 0
    assert call("report", str(path), cwd=tmp_path).returncode == 0
    assert not canary.exists()


def test_with_trust_a_run_is_resumed_and_is_ours_from_then_on(run: Path, tmp_path: Path) -> None:
    hardware = {**Run(run).config["hardware"], "slurm": {"setup": ["touch canary"]}}
    path = from_elsewhere(run, tmp_path, hardware=hardware)
    words = ("resume", str(path), "trainer.max_steps=3")
    assert call(*words, cwd=tmp_path).returncode == 1
    done = call(*words, "trust=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert call("resume", str(path), "trainer.max_steps=4", cwd=tmp_path).returncode == 0


def test_all_that_our_configs_name_is_trusted_but_what_acts() -> None:
    named = {
        word.strip()
        for file in shipped_conf().rglob("*.yaml")
        for line in file.read_text().splitlines()
        if "_target_:" in line
        for word in line.split("_target_:")[1].split("#")[0].split(",")
        if word.strip().startswith(("runner.", "torch.", "transformers."))
    }
    acts = {name for name in named if ".trackers." in name or ".callbacks." in name}
    assert {name for name in named - acts if not is_trusted(name, NOBODY_ELSE)} == set()
    assert {name for name in OWN_TARGETS if not name.startswith("runner.")} == set()
    assert [name for name in OWN_TARGETS if not callable(locate(name))] == []


class Mine:
    def __init__(self) -> None:
        raise ArithmeticError("built")
