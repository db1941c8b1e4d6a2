import pytest
import torch
from torch import nn
from torch.nn import functional

from runner.errors import ConfigError
from runner.tasks.classification import Classification

INPUTS = torch.tensor([[4.0, 0.0], [0.0, 4.0], [4.0, 0.0]])
TARGETS = torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    "batch",
    [
        (INPUTS, TARGETS),
        [INPUTS, TARGETS],
        {"input": INPUTS, "target": TARGETS},
        {"image": INPUTS, "target": TARGETS, "file": ["a", "b", "c"]},
    ],
)
def test_prepare_accepts_pairs_and_mappings(batch):
    prepared = Classification(2).prepare(batch)
    assert prepared.keys() == {"input", "target"}
    assert prepared["input"] is INPUTS
    assert prepared["target"] is TARGETS


def test_prepare_accepts_pictures_alone():
    assert Classification(2).prepare({"image": INPUTS}).keys() == {"input"}


def test_training_step_is_cross_entropy_over_the_samples():
    task = Classification(2, label_smoothing=0.1)
    output = task.training_step(nn.Identity(), task.prepare((INPUTS, TARGETS)))
    expected = functional.cross_entropy(INPUTS, TARGETS, label_smoothing=0.1)
    assert output.loss.item() == expected.item()
    assert output.num_targets == 3


def test_evaluation_predicts_names_and_updates_metrics():
    task = Classification(class_names=["cat", "dog"])
    metrics = task.metrics()
    predictions = task.evaluation_step(nn.Identity(), task.prepare((INPUTS, TARGETS)), metrics)
    assert predictions.texts == ["cat", "dog", "cat"]
    assert predictions.targets == ["cat", "dog", "dog"]
    assert predictions.confidences == pytest.approx([0.982, 0.982, 0.982], abs=1e-3)
    assert metrics["accuracy"].compute() == 2 / 3
    assert metrics["macro_f1"].compute() == pytest.approx(2 / 3)
    assert metrics["loss"].compute() == pytest.approx(functional.cross_entropy(INPUTS, TARGETS))


def test_predict_needs_no_targets():
    task = Classification(2)
    predictions = task.predict(nn.Identity(), task.prepare({"image": INPUTS}))
    assert predictions.texts == ["0", "1", "0"]
    assert predictions.targets is None


def test_number_and_names_of_classes_must_agree():
    with pytest.raises(ConfigError, match=r"num_classes is 3.*has 2 names"):
        Classification(3, class_names=["cat", "dog"])


def test_classes_must_be_given():
    with pytest.raises(ConfigError, match="give num_classes, or class_names"):
        Classification()


def test_training_never_waits_for_the_device():
    task = Classification(2)
    batch = {"input": INPUTS.to("meta"), "target": TARGETS.to("meta")}  # has no values to read
    output = task.training_step(nn.Identity(), batch)
    task.metrics()["loss"].update(output.loss, output.num_targets)
    assert output.loss.device.type == "meta"
