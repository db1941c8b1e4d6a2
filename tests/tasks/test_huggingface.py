"""Models that compute their own loss: those of transformers, and any other one."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from runner.checkpoint.store import CheckpointStore
from runner.data.characters import Characters
from runner.data.data import Data
from runner.errors import ConfigError, DataError, Interrupted
from runner.tasks.huggingface import HuggingFace
from tests.training.harness import StopAt, final_state, journal_of, same, tiny_options, train

ALPHABET = "abcdefg"


def gpt2(dropout: float = 0.0) -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=10,
        n_positions=12,
        n_embd=16,
        n_layer=2,
        n_head=2,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config)


def bert(kind: str, **config: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    more = {"intermediate_size": 16, "vocab_size": 10, "max_position_embeddings": 12}
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = transformers.BertConfig(**sizes, **more, **quiet, **config)
    return getattr(transformers, f"BertFor{kind}")(config)


def tokens(rows: int = 4, length: int = 8) -> Tensor:
    return torch.randint(3, 10, (rows, length), generator=torch.Generator().manual_seed(1))


def padded() -> dict[str, Tensor]:
    """Return rows of 8, 6, 3 and 2 tokens."""
    mask = torch.arange(8) < torch.tensor([8, 6, 3, 2])[:, None]
    return {"input_ids": tokens().masked_fill(~mask, 0), "attention_mask": mask.long()}


def masked_tokens() -> dict[str, Tensor]:
    ids = tokens()
    return {"input_ids": ids, "labels": ids.masked_fill(torch.arange(8) % 3 > 0, -100)}


def classes() -> dict[str, Tensor]:
    return {"input_ids": tokens(), "labels": torch.tensor([0, 2, 1, 1])}


def values() -> dict[str, Tensor]:
    return {"input_ids": tokens(), "labels": torch.tensor([0.5, -1.0, 2.0, 0.0])}


KINDS = {
    "next_tokens": (gpt2, padded),
    "tokens": (lambda: bert("MaskedLM"), masked_tokens),
    "classes": (lambda: bert("SequenceClassification", num_labels=3), classes),
    "values": (lambda: bert("SequenceClassification", num_labels=1), values),
}


def gradients(model: nn.Module) -> list[Tensor]:
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_weighted_micro_batches_give_the_gradient_of_the_whole_batch(kind: str) -> None:
    make_model, make_batch = KINDS[kind]
    model, task, batch = make_model(), HuggingFace(labels=kind), make_batch()
    task.training_step(model, task.prepare(batch)).loss.backward()
    whole = gradients(model)
    total = 0.0
    for part in (slice(0, 1), slice(1, 4)):
        output = task.training_step(model, task.prepare({k: v[part] for k, v in batch.items()}))
        (output.loss * output.num_targets).backward()
        total += output.num_targets
    summed = gradients(model)
    assert len(whole) == len(summed) > 5
    for one, other in zip(whole, summed, strict=True):
        torch.testing.assert_close(one, other / total)


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_is_that_of_the_whole_however_it_is_batched(kind: str) -> None:
    make_model, make_batch = KINDS[kind]
    model, task, batch = make_model().eval(), HuggingFace(labels=kind), make_batch()
    results = []
    for parts in ([slice(0, 4)], [slice(0, 1), slice(1, 4)]):
        metrics = task.metrics()
        for part in parts:
            prepared = task.prepare({k: v[part] for k, v in batch.items()})
            with torch.inference_mode():
                task.evaluation_step(model, prepared, metrics)
        results.append({name: metric.compute() for name, metric in metrics.items()})
    assert results[0] == pytest.approx(results[1], rel=1e-5)
    if kind in ("next_tokens", "tokens"):
        assert results[0]["perplexity"] == pytest.approx(math.exp(results[0]["loss"]))


def test_metrics_are_chosen_by_name() -> None:
    model = bert("SequenceClassification", num_labels=3).eval()
    named = {"top_k_accuracy": {"k": 3}, "f1": {"average": "micro"}, "accuracy": None}
    task = HuggingFace(labels="classes", class_names=["a", "b", "c"], metrics=named)
    metrics = task.metrics()
    said = task.evaluation_step(model, task.prepare(classes()), metrics)
    values = {name: metric.compute() for name, metric in metrics.items()}
    right = sum(text == target for text, target in zip(said.texts, said.targets or [], strict=True))
    assert values["top_k_accuracy"] == 1.0
    assert values["f1"] == values["accuracy"] == right / 4
    of_tokens = HuggingFace(labels="next_tokens", metrics=["accuracy"])
    metrics, batch = of_tokens.metrics(), of_tokens.prepare(padded())
    net = gpt2().eval()
    of_tokens.evaluation_step(net, batch, metrics)
    best = net(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].argmax(-1)
    counts = batch["labels"][:, 1:] != -100
    expected = (best == batch["labels"][:, 1:])[counts].double().mean().item()
    assert counts.sum() == 15
    assert metrics["accuracy"].compute() == pytest.approx(expected)


def test_only_labels_that_count_weigh() -> None:
    task = HuggingFace(labels="next_tokens")
    assert task.prepare(padded())["num_targets"] == [7, 5, 2, 1], "the first has no prediction"
    assert HuggingFace(labels="tokens").prepare(masked_tokens())["num_targets"] == [3] * 4


def test_a_batch_in_which_no_label_counts_is_worth_nothing_and_harms_nothing() -> None:
    model, task = gpt2(), HuggingFace(labels="next_tokens")
    batch = task.prepare({"input_ids": tokens(), "labels": torch.full((4, 8), -100)})
    output = task.training_step(model, batch)
    output.loss.backward()
    assert output.num_targets == 0
    assert all(not gradient.any() for gradient in gradients(model))
    metrics = task.metrics()
    task.evaluation_step(model, batch, metrics)
    task.evaluation_step(model, task.prepare(padded()), metrics)
    assert math.isfinite(metrics["loss"].compute())


def test_predictions_are_readable() -> None:
    model = gpt2().eval()
    task = HuggingFace(labels="next_tokens", tokenizer=Characters(ALPHABET), max_new_tokens=3)
    batch = task.prepare(padded())
    said = task.evaluation_step(model, batch, task.metrics())
    first = Characters(ALPHABET).decode(batch["input_ids"][2, 1:3].tolist())
    assert said.targets is not None
    assert said.targets[2] == first, "the labels that count, the first left out"
    assert all(0 < confidence <= 1 for confidence in said.confidences)
    best = model(batch["input_ids"][:1]).logits[0, :7].argmax(-1).tolist()
    assert said.texts[0] == Characters(ALPHABET).decode(best)
    (continued,) = task.predict(model, {"input_ids": tokens(1, 4)}).texts
    by_hand = tokens(1, 4)
    for _ in range(3):
        following = model(by_hand).logits[:, -1].argmax(-1, keepdim=True)
        by_hand = torch.cat([by_hand, following], dim=1)
    assert continued == Characters(ALPHABET).decode(by_hand[0, 4:].tolist())


def test_classes_are_named_by_the_task_or_else_by_the_model() -> None:
    model = bert("SequenceClassification", id2label={0: "red", 1: "green", 2: "blue"}).eval()
    batch = HuggingFace(labels="classes").prepare(classes())
    by_model = HuggingFace(labels="classes")
    said = by_model.evaluation_step(model, batch, by_model.metrics())
    assert said.targets == ["red", "blue", "green", "green"]
    by_task = HuggingFace(labels="classes", class_names=["r", "g", "b"])
    assert by_task.predict(model, batch).texts == [text[0] for text in said.texts]


class Own(nn.Module):
    """A model of one's own that computes a loss, which it returns in a plain dict."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        logits = self.layer(x)
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits}


def test_a_model_of_ones_own_may_return_a_plain_dict() -> None:
    task = HuggingFace(labels="classes")
    batch = task.prepare({"x": torch.randn(4, 8), "labels": torch.tensor([0, 1, 2, 0])})
    output = task.training_step(Own(), batch)
    assert output.num_targets == 4
    assert output.loss.requires_grad
    metrics = task.metrics()
    said = task.evaluation_step(Own(), batch, metrics)
    assert said.targets == ["0", "1", "2", "0"]
    right = sum(text == target for text, target in zip(said.texts, said.targets, strict=True))
    assert metrics["accuracy"].compute() == right / 4


@pytest.mark.parametrize(
    ("batch", "model", "error", "message"),
    [
        ((1, 2), None, DataError, "needs a mapping .* got a tuple"),
        ({"labels": torch.zeros(2, 3)}, Own(), DataError, "one class a sample, got"),
        ({"x": torch.randn(2, 8)}, Own(), DataError, "the batch has no 'labels'"),
        (
            {"labels": torch.zeros(2, dtype=torch.int64)},
            lambda labels: SimpleNamespace(loss=None),
            ConfigError,
            "the model returned no loss",
        ),
        (
            {"labels": torch.zeros(2, dtype=torch.int64)},
            lambda labels: SimpleNamespace(loss=torch.zeros(()), logits=None),
            ConfigError,
            "the model returned no logits",
        ),
    ],
)
def test_what_cannot_be_is_told(batch: Any, model: Any, error: Any, message: str) -> None:
    task = HuggingFace(labels="classes")
    with pytest.raises(error, match=message):
        task.evaluation_step(model, task.prepare(batch), task.metrics())


def test_an_unknown_kind_of_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="got 'class' - did you mean 'classes'"):
        HuggingFace(labels="class")


class Texts:
    deterministic = True

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": tokens(24)[index]}


def test_tied_weights_are_saved_once_and_stay_tied_through_an_exact_resume(tmp_path: Path) -> None:
    def parts(**more: Any) -> dict[str, Any]:
        data = Data(train=Texts(), evaluation=Texts())
        task = HuggingFace(labels="next_tokens")
        return {"model": gpt2(dropout=0.1), "task": task, "data": data, **more}

    options = tiny_options(max_epochs=2)
    train(tmp_path / "straight", options, **parts())
    with pytest.raises(Interrupted):
        train(tmp_path / "resumed", options, **parts(callbacks={"stop": StopAt(5)}))
    resumed = parts()
    train(tmp_path / "resumed", options, **resumed)
    assert same(final_state(tmp_path / "straight"), final_state(tmp_path / "resumed"))
    assert journal_of(tmp_path / "straight") == journal_of(tmp_path / "resumed")
    model = resumed["model"]
    assert model.lm_head.weight is model.transformer.wte.weight
    store = CheckpointStore(tmp_path / "resumed" / "checkpoints")
    tied = {"lm_head.weight": "transformer.wte.weight"}
    assert store.manifest(store.steps()[-1]).tied == tied
    other = gpt2()
    with torch.no_grad():
        other.lm_head.weight.zero_()
    store.read_weights(store.steps()[-1], other)
    assert other.lm_head.weight is other.transformer.wte.weight
    assert other.lm_head.weight.any()
