import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from runner.config.options import LoaderOptions, PrecisionOptions
from runner.data.loader import evaluation_loader
from runner.inference.evaluate import evaluate_split
from runner.runtime.precision import Precision
from runner.tasks.classification import Classification

CPU = torch.device("cpu")
LOGITS = torch.tensor([[2.0, 0.0], [0.0, 2.0], [5.0, 0.0], [3.0, 0.0]])
TARGETS = torch.tensor([0, 1, 1, 1])


def evaluate(names=()):
    loader = evaluation_loader(
        TensorDataset(LOGITS, TARGETS),
        LoaderOptions(batch_size=3),
        seed=0,
        collate=None,
        pin_memory=False,
    )
    return evaluate_split(
        nn.Identity(),
        Classification(class_names=["cat", "dog"]),
        loader,
        device=CPU,
        precision=Precision(PrecisionOptions(), CPU),
        names=names,
    )


def test_values_and_samples_cover_the_split_in_order():
    evaluation = evaluate()
    assert evaluation.values["accuracy"] == 0.5
    assert [sample.sample for sample in evaluation.samples] == ["0", "1", "2", "3"]
    assert [sample.target for sample in evaluation.samples] == ["cat", "dog", "dog", "dog"]


def test_mistakes_come_with_the_most_confident_first():
    mistakes = evaluate(names=["a.jpg", "b.jpg", "c.jpg", "d.jpg"]).mistakes()
    assert [mistake.sample for mistake in mistakes] == ["c.jpg", "d.jpg"]
    assert mistakes[0].text == "cat"
    assert mistakes[0].confidence == pytest.approx(0.993, abs=1e-3)
