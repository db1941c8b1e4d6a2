import pytest

from runner.trackers.mlflow.limits import (
    MAX_KEY_LENGTH,
    MAX_PARAMETER_LENGTH,
    clean_key,
    clean_parameters,
)


@pytest.mark.parametrize(
    ("key", "clean"),
    [
        ("optimizer.lr", "optimizer.lr"),
        ("evaluation/cer", "evaluation/cer"),
        ("acc@5[top=1]", "acc_5_top_1_"),
        ("../../secret", "_/_/secret"),
        ("/a/./b", "a/_/b"),
        ("", "_"),
    ],
)
def test_keys_are_names_that_mlflow_takes(key, clean):
    assert clean_key(key) == clean


def test_long_keys_and_values_are_cut_to_the_limit():
    parameters = clean_parameters({"k" * 300: "v" * 7000, "short": "v"})
    assert parameters["k" * MAX_KEY_LENGTH].endswith("v...")
    assert len(parameters["k" * MAX_KEY_LENGTH]) == MAX_PARAMETER_LENGTH
    assert parameters["short"] == "v"
