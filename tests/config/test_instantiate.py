from functools import partial
from typing import Any

import pytest
from torch import nn

from runner.config.instantiate import instantiate
from runner.errors import ConfigError, DataError


def raising(kind: str) -> None:
    raise {"data": DataError, "value": ValueError, "key": KeyError, "os": OSError}[kind]("why")


def take(**arguments: Any) -> dict[str, Any]:
    return arguments


def target(function: str) -> str:
    return f"{__name__}.{function}"


def test_what_a_node_names_is_built_with_plain_containers() -> None:
    built = instantiate({"_target_": target("take"), "sizes": [1, {"a": 2}]})
    assert built == {"sizes": [1, {"a": 2}]}
    assert type(built["sizes"]) is list


def test_arguments_are_handed_over_as_they_are() -> None:
    model = nn.Linear(1, 1)
    assert instantiate({"_target_": target("take")}, "model", inner=model)["inner"] is model


def test_a_partial_shows_what_it_was_given() -> None:
    factory = instantiate({"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.5})
    assert isinstance(factory, partial)
    assert factory.keywords == {"lr": 0.5}
    assert factory(nn.Linear(1, 1).parameters()).param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("kind", ["value", "os"])
def test_refused_arguments_are_a_config_error_with_the_path(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"^model: .*raising cannot be built: why"):
        instantiate({"_target_": target("raising"), "kind": kind}, "model")


def test_a_partial_refused_later_names_the_path_as_well() -> None:
    node = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": -1.0}
    factory = instantiate(node, "optimizer")
    with pytest.raises(ConfigError, match="^optimizer: torch.optim.AdamW cannot be built"):
        factory(nn.Linear(1, 1).parameters())


def test_errors_of_runner_stay_as_they_are() -> None:
    with pytest.raises(DataError, match="^why$"):
        instantiate({"_target_": target("raising"), "kind": "data"}, "data")


def test_a_bug_of_the_target_keeps_its_type() -> None:
    with pytest.raises(KeyError) as error:
        instantiate({"_target_": target("raising"), "kind": "key"}, "data")
    assert "while building data" in error.value.__notes__[0]
