import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.metrics.classification import F1, Accuracy, MacroF1, Precision, Recall, TopKAccuracy

steady = settings(deadline=None, derandomize=True)  # the same examples, however slow
classes = st.integers(0, 3)


def f1_by_definition(pairs: list[tuple[int, int]]) -> float:
    scores = []
    for name in {number for pair in pairs for number in pair}:
        hits = sum(predicted == target == name for predicted, target in pairs)
        precision_of = sum(predicted == name for predicted, _ in pairs)
        recall_of = sum(target == name for _, target in pairs)
        precision = hits / precision_of if precision_of else 0.0
        recall = hits / recall_of if recall_of else 0.0
        scores.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    return sum(scores) / len(scores)


def filled(metric, pairs):
    if pairs:
        metric.update(*torch.tensor(pairs).T)
    return metric


def test_accuracy_is_the_share_of_right_samples():
    assert filled(Accuracy(), [(0, 0), (1, 1), (2, 1), (0, 2)]).compute() == 0.5


@steady
@given(st.lists(st.tuples(classes, classes), min_size=1, max_size=30))
def test_macro_f1_follows_its_definition(pairs):
    assert filled(MacroF1(4), pairs).compute() == pytest.approx(f1_by_definition(pairs))


def test_classes_never_seen_do_not_lower_macro_f1():
    assert filled(MacroF1(100), [(7, 7), (8, 8)]).compute() == 1.0


@steady
@given(st.lists(st.tuples(classes, classes), max_size=30), st.integers(0, 30))
def test_sum_of_states_equals_one_process(pairs, cut):
    for new in (Accuracy, lambda: MacroF1(4), lambda: F1(4, "weighted"), lambda: Recall(4)):
        together = new()
        together.load(filled(new(), pairs[:cut]).state() + filled(new(), pairs[cut:]).state())
        whole = filled(new(), pairs).compute()
        assert together.compute() == pytest.approx(whole, nan_ok=True, abs=0)


def test_state_is_double_precision_and_a_copy():
    metric = filled(Precision(2), [(0, 0)])
    state = metric.state()
    filled(metric, [(1, 1)])
    assert state.dtype == torch.float64
    assert state.sum() == 1


def test_nothing_seen_is_not_a_number():
    assert math.isnan(Accuracy().compute())
    assert math.isnan(MacroF1(2).compute())


PAIRS = [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (2, 2)]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (Precision(3), (1 + 1 / 2 + 2 / 3) / 3),
        (Recall(3), (1 / 2 + 1 / 2 + 1) / 3),
        (Recall(3, "weighted"), 4 / 6),
        (Precision(3, "micro"), 4 / 6),
        (F1(3, "weighted"), (2 * 2 / 3 + 2 * 2 / 4 + 2 * 4 / 5) / 6),
    ],
)
def test_averages_over_classes(metric, expected):
    assert filled(metric, PAIRS).compute() == pytest.approx(expected)


def test_logits_count_by_their_largest_and_their_k_largest():
    logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 1.0, 3.0]])
    targets = torch.tensor([1, 0, 2])
    shares = []
    for metric in (Accuracy(), TopKAccuracy(2), TopKAccuracy(9)):
        metric.update(logits, targets)
        shares.append(metric.compute())
    assert shares == [1 / 3, 2 / 3, 1.0]
