"""Who a run and a sweep are."""

from runner.sweeps.identity import run_key, sweep_key

BASE = {
    "seed": 0,
    "optimizer": {"lr": 0.1, "_target_": "x"},
    "trainer": {"max_steps": 10, "max_grad_norm": None},
    "checkpoint": {"every": "5 minutes"},
    "hardware": {"threads": None, "device": "auto"},
}


def changed(node: str, **values: object) -> dict:
    return {**BASE, node: {**BASE[node], **values}}  # type: ignore[dict-item]


def test_layout_keys_do_not_make_another_run() -> None:
    same = changed("trainer", max_steps=20)
    assert run_key(same) == run_key(BASE)
    assert run_key(changed("checkpoint", every="1 epochs")) == run_key(BASE)
    assert run_key(changed("optimizer", lr=0.2)) != run_key(BASE)
    assert run_key(changed("hardware", threads=2)) != run_key(BASE)


def test_a_swept_layout_key_makes_another_run() -> None:
    longer = changed("trainer", max_steps=20)
    for swept in (["trainer.max_steps"], ["trainer"]):
        assert run_key(longer, swept=swept) != run_key(BASE, swept=swept)


def test_a_sweep_is_its_base_without_the_swept_keys_and_their_names() -> None:
    lr = sweep_key(BASE, swept=["optimizer.lr"])
    assert sweep_key(changed("optimizer", lr=0.2), swept=["optimizer.lr"]) == lr
    assert sweep_key(changed("optimizer", _target_="y"), swept=["optimizer.lr"]) != lr
    assert sweep_key(changed("optimizer", _target_="y"), swept=["optimizer"]) == sweep_key(
        BASE, swept=["optimizer"]
    )
    assert sweep_key(BASE, swept=["optimizer.lr", "seed"]) != lr
    assert sweep_key({**BASE, "seed": 1}, swept=["optimizer.lr"]) != lr
    assert sweep_key(dict(reversed(BASE.items())), swept=["optimizer.lr"]) == lr
