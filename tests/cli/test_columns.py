"""Text in columns for a terminal."""

import pytest

from runner.cli.columns import colored, shortened, table, width_of


def test_columns_are_aligned_by_kind() -> None:
    lines = table(["run", "state"], [["1", "ok"], ["100", "failed"]], left=["state"], width=None)
    assert lines == ["run  state", "  1  ok", "100  failed"]


def test_the_last_column_is_cut_in_its_middle_to_fit() -> None:
    label = "optimizer.lr=0.001 model.hidden_size=256 seed=1"
    lines = table(["run", "overrides"], [["1", label]], left=["overrides"], width=40)
    assert max(map(len, lines)) == 40
    assert lines[1].startswith("  1  optimizer.lr=0.00") and lines[1].endswith(" seed=1")
    assert "…" in lines[1]
    assert table(["run", "overrides"], [["1", label]], left=["overrides"], width=None)[1] == (
        f"  1  {label}"
    )


@pytest.mark.parametrize("width", range(1, 12))
def test_what_is_cut_has_the_width_asked_for(width: int) -> None:
    assert len(shortened("abcdefghij", width)) == min(width, 10)


def test_a_pipe_gets_no_colours_and_no_cut() -> None:
    assert width_of() is None
    assert colored("1  failed", "failed") == "1  failed"


def test_a_terminal_gets_colours_unless_it_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colored("1  failed", "failed") == "1  \033[31mfailed\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert colored("1  failed", "failed") == "1  failed"
