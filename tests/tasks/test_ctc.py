import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from runner.errors import DataError
from runner.metrics.text import edit_distance
from runner.tasks.ctc import CTC, check_alignable, frames_needed
from runner.tasks.decoding.greedy import decode_greedily

steady = settings(deadline=None, derandomize=True)  # the same examples, however slow
ALPHABET = "abc"
texts = st.text(alphabet=ALPHABET, min_size=1, max_size=6)


class Says(nn.Module):
    """Returns the same logits whatever the pictures."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.logits


def log_probabilities_of(*frames: tuple[int, float]) -> torch.Tensor:
    """Return one sample whose best class and its probability are given frame by frame."""
    table = torch.empty(len(frames), 1, len(ALPHABET) + 1)
    for row, (best, probability) in zip(table, frames, strict=True):
        row[0] = (1 - probability) / len(ALPHABET)
        row[0, best] = probability
    return table.log()


def batch_of(*targets: str) -> dict:
    return {"image": torch.zeros(len(targets), 1, 4, 8), "text": list(targets)}


def test_prepare_encodes_texts_and_pads_with_blanks():
    batch = CTC(ALPHABET).prepare(batch_of("ab", "cac"))
    assert batch["targets"].tolist() == [[1, 2, 0], [3, 1, 3]]
    assert batch["target_lengths"] == [2, 3]
    assert batch["text"] == ["ab", "cac"]


def test_prepare_leaves_pictures_without_texts_alone():
    batch = {"image": torch.zeros(1, 1, 4, 8)}
    assert CTC(ALPHABET).prepare(batch) == batch


def test_prepare_names_an_unknown_symbol():
    with pytest.raises(DataError, match=r"text 'abx' holds 'x'.*task.alphabet 'abc'"):
        CTC(ALPHABET).prepare(batch_of("abx"))


def test_decoding_joins_runs_and_drops_blanks():
    frames = [(1, 0.9), (1, 0.9), (0, 0.9), (1, 0.9), (2, 0.9), (0, 0.9)]
    assert decode_greedily(log_probabilities_of(*frames), ALPHABET)[0] == ["aab"]


def test_confidence_is_the_product_of_the_best_of_each_run():
    frames = [(1, 0.5), (1, 0.8), (0, 0.4), (2, 0.6)]
    _, (confidence,) = decode_greedily(log_probabilities_of(*frames), ALPHABET)
    assert confidence == pytest.approx(0.8 * 0.6, rel=1e-5)


def test_confidence_in_an_empty_text_is_that_of_the_least_sure_blank():
    texts, (confidence,) = decode_greedily(log_probabilities_of((0, 0.9), (0, 0.7)), ALPHABET)
    assert texts == [""]
    assert confidence == pytest.approx(0.7, rel=1e-5)


@steady
@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=4))
def test_decoding_a_batch_equals_decoding_frame_by_frame(paths):
    table = functional.one_hot(torch.tensor(paths).T, 4) * 5.0
    expected = []
    for path in paths:
        kept = [n for i, n in enumerate(path) if n and (i == 0 or path[i - 1] != n)]
        expected.append("".join(ALPHABET[n - 1] for n in kept))
    decoded, confidences = decode_greedily(table.log_softmax(-1), ALPHABET)
    assert decoded == expected
    assert all(0 < confidence <= 1 for confidence in confidences)


@steady
@given(texts, st.integers(1, 12))
def test_frames_needed_agrees_with_the_loss_of_torch(text, num_frames):
    targets = torch.tensor([[ALPHABET.index(symbol) + 1 for symbol in text]])
    loss = functional.ctc_loss(
        torch.zeros(num_frames, 1, 4).log_softmax(-1),
        targets,
        torch.tensor([num_frames]),
        torch.tensor([len(text)]),
    )
    assert bool(loss.isfinite()) == (frames_needed(text) <= num_frames)


def test_text_too_long_for_the_frames_is_named():
    check_alignable(["abc", "aab"], 4)
    with pytest.raises(DataError, match=r"text 'aab' \(sample 1\) needs 4 frames.*model gives 3"):
        check_alignable(["abc", "aab"], 3)


def test_loss_is_the_mean_over_samples_of_loss_by_length():
    torch.manual_seed(0)
    logits = torch.randn(8, 2, 4)
    task = CTC(ALPHABET)
    together = task.training_step(Says(logits), task.prepare(batch_of("ab", "abca")))
    single = [
        task.training_step(Says(logits[:, i : i + 1]), task.prepare(batch_of(text))).loss.item()
        for i, text in enumerate(["ab", "abca"])
    ]
    assert together.num_targets == 2
    assert together.loss.item() == pytest.approx(sum(single) / 2, rel=1e-6)


def test_logits_and_log_probabilities_give_the_same_loss():
    torch.manual_seed(0)
    logits = torch.randn(6, 1, 4)
    task = CTC(ALPHABET)
    batch = task.prepare(batch_of("ab"))
    of_logits = task.training_step(Says(logits), batch).loss
    of_log_probabilities = task.training_step(Says(logits.log_softmax(-1)), batch).loss
    assert of_logits.item() == pytest.approx(of_log_probabilities.item(), rel=1e-6)


def test_loss_of_half_precision_logits_is_single_precision():
    task = CTC(ALPHABET)
    model = Says(torch.zeros(6, 1, 4, dtype=torch.bfloat16))
    loss = task.training_step(model, task.prepare(batch_of("ab"))).loss
    assert loss.dtype == torch.float32


def test_evaluation_reads_and_counts():
    frames = [(1, 0.9), (2, 0.9), (0, 0.9), (0, 0.9)]
    model = Says(log_probabilities_of(*frames).repeat(1, 2, 1))
    task = CTC(ALPHABET)
    metrics = task.metrics()
    predictions = task.evaluation_step(model, task.prepare(batch_of("ab", "ac")), metrics)
    assert predictions.texts == ["ab", "ab"]
    assert predictions.targets == ["ab", "ac"]
    assert metrics["cer"].compute() == 1 / 4
    assert metrics["whole"].compute() == 1 / 2
    loss = task.training_step(model, task.prepare(batch_of("ab", "ac"))).loss.item()
    assert metrics["loss"].compute() == pytest.approx(loss)


def test_the_task_reads_under_its_grammar_and_by_beams_and_trains_as_without():
    torch.manual_seed(0)
    model, targets = Says(torch.randn(8, 2, 4)), batch_of("ab", "abca")
    plain = CTC(ALPHABET)
    for task in (CTC(ALPHABET, grammar="LLL"), CTC(ALPHABET, beam_width=4, grammar=["L", "LLL"])):
        batch = task.prepare(targets)  # the texts of the data need not follow the grammar
        assert torch.equal(
            task.training_step(model, batch).loss, plain.training_step(model, batch).loss
        )
        evaluated = task.evaluation_step(model, batch, task.metrics())
        assert evaluated.texts == task.predict(model, batch).texts
        assert all(len(text) in (1, 3) for text in evaluated.texts)


def test_a_few_steps_learn_to_spell_a_text():
    torch.manual_seed(0)
    task = CTC(ALPHABET)
    model = Says(torch.randn(10, 1, 4) * 0.1)
    batch = task.prepare(batch_of("cabba"))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.3)
    for _ in range(80):
        optimizer.zero_grad()
        task.training_step(model, batch).loss.backward()
        optimizer.step()
    (text,) = task.predict(model, batch).texts
    assert edit_distance(text, "cabba") == 0


def test_training_never_waits_for_the_device():
    task = CTC(ALPHABET)
    batch = task.prepare(batch_of("ab"))
    batch |= {name: batch[name].to("meta") for name in ("image", "targets")}  # no values to read
    output = task.training_step(Says(torch.zeros(6, 1, 4)).to("meta"), batch)
    assert output.loss.device.type == "meta"
