from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config.layout import differing_keys, is_layout, leaves

CONFIG = {"seed": 0, "trainer": {"max_steps": 5, "patience": 1}, "trackers": {"mlflow": {"a": 1}}}


def test_keys_below_a_layout_key_are_layout() -> None:
    assert is_layout("trackers")
    assert is_layout("trackers.mlflow.tracking_uri")
    assert is_layout("trainer.max_steps")
    assert not is_layout("trainer.patience")
    assert not is_layout("hardware.threads")


def test_differing_keys_leave_layout_out() -> None:
    other = {"seed": 1, "trainer": {"max_steps": 9, "best_mode": "min", "patience": 1}}
    assert differing_keys(CONFIG, other) == ["seed", "trainer.best_mode"]


KEYS = st.text("abc", min_size=1, max_size=3)
CONFIGS = st.recursive(
    st.dictionaries(KEYS, st.integers()), lambda inner: st.dictionaries(KEYS, inner), max_leaves=9
)


@settings(max_examples=40, deadline=None)
@given(CONFIGS)
def test_a_config_does_not_differ_from_itself(config: dict[str, object]) -> None:
    assert differing_keys(config, dict(reversed(config.items()))) == []


@settings(max_examples=40, deadline=None)
@given(CONFIGS)
def test_leaves_are_no_mappings_but_empty_ones(config: dict[str, object]) -> None:
    assert all(not isinstance(value, dict) or not value for value in leaves(config).values())
