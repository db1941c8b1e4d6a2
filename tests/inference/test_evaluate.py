import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from runner.config.options import LoaderOptions, PrecisionOptions
from runner.data.loader import evaluation_loader
from runner.inference.evaluate import Judged, Mistakes, evaluate_split
from runner.runtime.precision import Precision
from runner.tasks.classification import Classification

CPU = torch.device("cpu")
LOGITS = torch.tensor([[2.0, 0.0], [0.0, 2.0], [5.0, 0.0], [3.0, 0.0]])
TARGETS = torch.tensor([0, 1, 1, 1])


def evaluate(on_sample, names=()):
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
        on_sample=on_sample,
        names=names,
    )


def test_values_and_samples_cover_the_split_in_order():
    samples = []
    assert evaluate(samples.append)["accuracy"] == 0.5
    assert [sample.sample for sample in samples] == ["0", "1", "2", "3"]
    assert [sample.target for sample in samples] == ["cat", "dog", "dog", "dog"]


def test_mistakes_come_with_the_most_confident_first():
    mistakes = Mistakes()
    evaluate(mistakes, names=["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    assert (mistakes.num_samples, mistakes.num_wrong) == (4, 2)
    assert [mistake.sample for mistake in mistakes.worst] == ["c.jpg", "d.jpg"]
    assert mistakes.worst[0].text == "cat"
    assert mistakes.worst[0].confidence == pytest.approx(0.993, abs=1e-3)


def test_of_many_mistakes_the_most_confident_are_kept():
    mistakes = Mistakes(keep=3)
    for number, confidence in enumerate([0.1, 0.9, 0.5, 0.9, 0.7, 0.2]):
        mistakes(Judged(str(number), "a", "b", confidence))
    assert [mistake.sample for mistake in mistakes.worst] == ["1", "3", "4"]
    assert mistakes.num_wrong == 6


def test_numbers_without_confidence_are_not_called_wrong():
    mistakes = Mistakes()
    mistakes(Judged("0", "1.25", "1.2", 1.0))
    assert (mistakes.num_samples, mistakes.num_wrong, mistakes.worst) == (1, None, [])
