"""What differs between the code of two runs."""

from runner.run.source.difference import difference_in, differing_files
from runner.run.source.state import CodeState

HEAD = "diff --git a/{0} b/{0}\nindex 11..22 100644\n--- a/{0}\n+++ b/{0}\n@@ -{1},2 +{1},2 @@ f\n"


def state(**lines: str) -> CodeState:
    """Return a state with a line added to each file named."""
    parts = [f"{HEAD.format(f'{name}.py', 1)} same\n+{line}" for name, line in lines.items()]
    return {"commit": "c" * 40, "diff": "\n".join(parts)}


def test_the_files_whose_changes_differ_are_named() -> None:
    one, other = state(same="x", model="lr = 1", gone="y"), state(same="x", model="lr = 2")
    assert differing_files(one, other) == ["gone.py", "model.py"]
    assert differing_files(one, one) == []
    assert differing_files({"commit": None, "diff": None}, state(new="z")) == ["new.py"]


def test_the_same_change_at_another_line_is_no_difference() -> None:
    moved = state(model="x")
    assert moved["diff"] is not None
    shifted = {**moved, "diff": moved["diff"].replace("-1,2 +1,2", "-9,2 +9,2")}
    assert differing_files(moved, shifted) == []


def test_a_difference_shows_what_each_has() -> None:
    one, other = state(model="lr = 1", gone="y"), state(model="lr = 2")
    shown = difference_in("model.py", one, other)
    assert "-+lr = 1" in shown and "++lr = 2" in shown
    assert difference_in("gone.py", one, other)[-1] == "+y"
