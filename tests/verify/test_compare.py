from dataclasses import replace
from typing import Any

import pytest

from runner.verify.compare import (
    BATCHES,
    GENERATORS,
    JOURNAL,
    LOSSES,
    RESTORED,
    SAMPLES,
    STEPS,
    UPDATES,
    WEIGHTS,
    compare,
)
from runner.verify.diagnose import Suspects, describe, diagnose
from runner.verify.trace import Moment, Trace

SUSPECTS = Suspects(is_deterministic=False, callbacks=["mine"])
LOSS = (0.5).hex()


def moment(step: int, **changes: Any) -> Moment:
    plain = Moment(
        step=step,
        weights={"w": f"w{step}"},
        generators={"torch": f"g{step}"},
        updated={"w": f"w{step}"},
        batches=[{"samples": f"s{step}", "batch": f"b{step}", "loss": LOSS}],
    )
    return replace(plain, **changes)


def trace(*changed: Moment, resumed_at: int | None = None, **changes: Any) -> Trace:
    steps = {step: moment(step) for step in (1, 2, 3, 4)} | {m.step: m for m in changed}
    starts = [moment(0)] + ([moment(resumed_at)] if resumed_at is not None else [])
    whole = Trace(
        starts=starts,
        steps=steps,
        journal={"train row of step 4": {"loss": 0.5}},
        state={"optimizer": {"state.0.exp_avg (of w)": "m"}, "callbacks.mine": {"count": "4"}},
    )
    return replace(whole, **changes)


def batch_with(**changes: str) -> list[dict[str, str]]:
    return [{"samples": "s3", "batch": "b3", "loss": LOSS, **changes}]


def test_equal_runs_differ_in_nothing() -> None:
    compared = compare([trace()], [trace(resumed_at=2)])
    assert compared.first is None and not compared.differing
    assert compared.resumed_at == 2
    assert compared.compared[LOSSES] == 4
    assert compared.compared[RESTORED] == 2
    assert diagnose(compare([trace()], [trace()]), compared, SUSPECTS) is None


DIFFERENT_THIRD_STEPS = {
    SAMPLES: moment(3, batches=batch_with(samples="?", batch="?", loss="?")),
    BATCHES: moment(3, batches=batch_with(batch="?", loss="?")),
    LOSSES: moment(3, batches=batch_with(loss=(0.25).hex()), updated={"w": "?"}),
    UPDATES: moment(3, updated={"w": "?"}, weights={"w": "?"}),
    WEIGHTS: moment(3, weights={"w": "?"}, generators={"torch": "?"}),
    GENERATORS: moment(3, generators={"torch": "?"}),
}


@pytest.mark.parametrize("kind", DIFFERENT_THIRD_STEPS)
def test_the_first_thing_that_differs_is_the_cause_and_not_what_follows(kind: str) -> None:
    later = moment(4, weights={"w": "!"}, batches=[])
    compared = compare([trace()], [trace(DIFFERENT_THIRD_STEPS[kind], later, resumed_at=2)])
    assert compared.first is not None
    assert (compared.first.kind, compared.first.step) == (kind, 3)
    resumed = diagnose(compare([trace()], [trace()]), compared, SUSPECTS)
    assert resumed is not None and resumed.what.startswith(f"step 3, {kind}")
    assert ("callbacks.mine keeps no state" in resumed.cause) == (kind not in (SAMPLES, BATCHES))


def test_a_loss_is_shown_with_both_values() -> None:
    compared = compare([trace()], [trace(DIFFERENT_THIRD_STEPS[LOSSES])])
    assert compared.first is not None
    assert describe(compared.first) == "step 3, losses: 0.5 and 0.25"


def test_what_was_restored_is_compared_to_what_the_step_had_left() -> None:
    restored = replace(trace(), starts=[moment(0), moment(2, weights={"w": "old"})])
    compared = compare([trace()], [restored])
    assert compared.first is not None
    assert (compared.first.kind, compared.first.step) == (RESTORED, 2)


def test_with_a_deterministic_trainer_the_operations_are_no_suspects() -> None:
    compared = compare([trace()], [trace(DIFFERENT_THIRD_STEPS[LOSSES])])
    careful = Suspects(is_deterministic=True, callbacks=[])
    first, second = diagnose(compared, None, SUSPECTS), diagnose(compared, None, careful)
    assert first is not None and "non-deterministic operation" in first.cause
    assert second is not None and "non-deterministic" not in second.cause


def test_journal_and_checkpoint_come_last_and_are_named() -> None:
    other = trace(
        journal={"train row of step 4": {"loss": 0.75}},
        state={"optimizer": {"state.0.exp_avg (of w)": "?"}, "callbacks.mine": {"count": "0"}},
    )
    compared = compare([trace()], [other])
    assert compared.first is not None and compared.first.kind == JOURNAL
    assert describe(compared.first) == (
        "at the end, journal rows, loss in the train row of step 4: 0.5 and 0.75"
    )
    assert compared.differing["checkpoint: optimizer"] == 1
    assert compared.differing["checkpoint: callbacks.mine"] == 1


def test_a_step_or_a_rank_that_is_missing_is_told() -> None:
    short = trace()
    short = replace(short, steps={1: moment(1)})
    compared = compare([trace()], [short])
    assert compared.first is not None
    assert (compared.first.kind, compared.first.step) == (STEPS, 2)
    alone = compare([trace(), trace()], [trace()])
    assert alone.first is not None and alone.first.name == "rank 1"


def test_of_several_ranks_the_earliest_difference_counts() -> None:
    late, early = moment(4, weights={"w": "?"}), moment(2, weights={"w": "?"})
    compared = compare([trace(), trace()], [trace(late), trace(early)])
    assert compared.first is not None
    assert (compared.first.step, compared.first.name) == (2, "rank 1, w")


def test_values_that_are_no_numbers_equal_themselves() -> None:
    row = {"train row of step 4": {"loss": float("nan")}}
    same = {"train row of step 4": {"loss": float("nan")}}
    assert compare([trace(journal=row)], [trace(journal=same)]).first is None
