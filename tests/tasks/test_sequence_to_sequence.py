"""From one text to another: weights of the loss, teacher forcing and writing freely."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runner.data.characters import BEGIN, END, Characters
from runner.errors import ConfigError, DataError
from runner.models.encoder_decoder import EncoderDecoder
from runner.tasks.sequence_to_sequence import SequenceToSequence

ALPHABET = "abcde"
BATCH = {"input": ["abc", "de", "a"], "target": ["cba", "ed", "a"]}


def task(**options: Any) -> SequenceToSequence:
    return SequenceToSequence(Characters(ALPHABET), max_length=6, **options)


def model() -> EncoderDecoder:
    torch.manual_seed(0)
    return EncoderDecoder(8, hidden_size=16, num_layers=1, num_heads=2, max_length=8)


def test_each_place_of_the_target_and_its_end_weigh_one() -> None:
    batch = task().prepare(BATCH)
    assert batch["num_targets"] == [4, 3, 2]
    assert batch["written"][1].tolist() == [BEGIN, 7, 6, 0]
    assert batch["labels"][1].tolist() == [7, 6, END, -100]
    assert task().training_step(model(), batch).num_targets == 9


def test_padding_changes_no_loss() -> None:
    net = model().eval()
    together = task().training_step(net, task().prepare(BATCH))
    alone = [
        task().training_step(net, task().prepare({k: [v[i]] for k, v in BATCH.items()}))
        for i in range(3)
    ]
    total = sum(output.loss * output.num_targets for output in alone)
    torch.testing.assert_close(together.loss, total / together.num_targets)


class Backwards(nn.Module):
    """Writes the input backwards by itself, but when it is told what comes before only `a`s."""

    def forward(self, source: Tensor, written: Tensor) -> Tensor:
        return nn.functional.one_hot(torch.full_like(written, 3), 8).float()

    def generate(self, source: Tensor, max_length: int) -> Tensor:
        texts = [[t for t in row if t > END][::-1][:max_length] for row in source.tolist()]
        rows = [[*text, END, 5] for text in texts]
        width = max(map(len, rows))
        return torch.tensor([row + [0] * (width - len(row)) for row in rows])


def test_evaluations_let_the_model_write_by_itself_or_follow_the_target() -> None:
    results = []
    for generates in (True, False):
        by = task(evaluate_with_generate=generates)
        metrics = by.metrics()
        said = by.evaluation_step(Backwards(), by.prepare(BATCH), metrics)
        results.append((said.texts, {n: m.compute() for n, m in metrics.items() if n != "loss"}))
        assert said.targets == BATCH["target"]
    assert results[0] == (["cba", "ed", "a"], {"exact_match": 1.0, "cer": 0.0})
    assert results[1][0] == ["aaaa", "aaaa", "aaaa"]
    assert results[1][1]["exact_match"] == 0.0
    assert task().predict(Backwards(), task().prepare({"input": ["ab"]})).texts == ["ba"]


def test_models_of_transformers_train_and_write_as_well() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BartConfig(
        vocab_size=8,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=16,
        dropout=0.0,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        forced_eos_token_id=None,
    )
    net, by = transformers.BartForConditionalGeneration(config), task()
    batch = by.prepare(BATCH)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        by.training_step(net, batch).loss.backward()
        optimizer.step()
    metrics = by.metrics()
    said = by.evaluation_step(net.eval(), batch, metrics)
    assert said.texts == BATCH["target"], "three pairs learned by heart"
    assert metrics["exact_match"].compute() == 1.0


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(DataError, match="needs batches"):
        task().prepare((1, 2))
    with pytest.raises(DataError, match="holds 'z', which is not in the alphabet"):
        task().prepare({"input": ["z"]})
    tokenizer = Characters(ALPHABET)
    tokenizer.eos_token_id = None  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="one for the end"):
        SequenceToSequence(tokenizer)
