from pathlib import Path

import pytest

from runner.config.targets import EXTRAS, check_targets, locate, needs_argument

ADAMW = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.1}


def test_a_right_node_has_no_problem() -> None:
    assert check_targets(ADAMW, "optimizer") == []


def test_an_unknown_argument_is_named_with_a_suggestion() -> None:
    problems = check_targets({**ADAMW, "weigth_decay": 0}, "optimizer")
    assert problems == [
        "optimizer.weigth_decay: torch.optim.AdamW has no parameter 'weigth_decay' "
        "- did you mean 'weight_decay'?"
    ]


def test_a_missing_argument_is_named_unless_the_node_is_partial() -> None:
    node = {"_target_": "torch.nn.Linear", "in_features": 3}
    assert check_targets(node, "model") == [
        "model.out_features is missing: torch.nn.Linear needs it"
    ]
    assert check_targets({**node, "_partial_": True}, "model") == []


def test_positional_arguments_count() -> None:
    assert check_targets({"_target_": "torch.nn.Linear", "_args_": [3, 4]}, "model") == []


def test_an_argument_of_the_wrong_type_is_named() -> None:
    problems = check_targets({**ADAMW, "lr": "high"}, "optimizer")
    assert problems == ["optimizer.lr must be float or Tensor, got 'high'"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("torch.optim.AdamWW", "torch.optim has no 'AdamWW' - did you mean 'AdamW'?"),
        ("torch.optimm.AdamW", "torch has no 'optimm' - did you mean 'optim'?"),
        ("torchh.optim.AdamW", "there is no module 'torchh' - did you mean 'torch'?"),
        ("torch optim", "is no dotted name"),
        ("json.__doc__", "cannot be called (it is a str)"),
        (3, "must be a dotted name"),
    ],
)
def test_a_target_that_is_not_there_is_told(target: object, message: str) -> None:
    (problem,) = check_targets({"_target_": target}, "optimizer")
    assert problem.startswith("optimizer._target_")
    assert message in problem


def test_a_module_that_fails_to_import_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("import absent_dependency\n")
    (tmp_path / "raising_package.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    (problem,) = check_targets({"_target_": "broken_package.Net"}, "model")
    assert "importing broken_package failed: No module named 'absent_dependency'" in problem
    (problem,) = check_targets({"_target_": "raising_package.Net"}, "model")
    assert "ZeroDivisionError" in problem


def test_nested_nodes_and_lists_are_checked() -> None:
    node = {
        "_target_": "torch.nn.Sequential",
        "_args_": [{"_target_": "torch.nn.Linear", "in_features": 1, "out_feature": 2}],
    }
    problems = check_targets(node, "model")
    assert problems[0].startswith("model._args_[0].out_feature: torch.nn.Linear has no parameter")
    assert "model._args_[0].out_features is missing" in problems[1]


def test_what_takes_any_keyword_is_not_judged() -> None:
    assert check_targets({"_target_": "builtins.dict", "anything": 1}, "model") == []


def test_needs_argument() -> None:
    node = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 1}
    assert needs_argument(node, "total_steps")
    assert not needs_argument({**node, "total_steps": 5}, "total_steps")
    assert not needs_argument(ADAMW, "total_steps")


def test_locate_finds_methods_of_classes() -> None:
    assert locate("pathlib.Path.cwd")() == Path.cwd()


def test_a_property_of_a_config_of_transformers_is_an_argument_and_a_typo_is_none() -> None:
    pytest.importorskip("transformers")
    node = {"_target_": "transformers.BertConfig", "num_labels": 3}
    assert check_targets(node, "model.config") == []
    assert check_targets({**node, "num_label": 3}, "model.config") == [
        "model.config.num_label: transformers.BertConfig has no parameter 'num_label' "
        "- did you mean 'num_labels'?"
    ]


def test_a_package_of_an_extra_that_is_not_there_is_told_by_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(EXTRAS, "not_there", "huggingface")
    assert check_targets({"_target_": "not_there.Model"}, "model") == [
        "model._target_: there is no module 'not_there': pip install 'runner[huggingface]'"
    ]
