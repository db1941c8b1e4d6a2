import pytest

from runner.trackers.accelerate.sink import Delivery
from tests.trackers.accelerate.services import FakeService
from tests.trackers.mlflow.world import tracked_run, write_rows

pytest.importorskip("accelerate")


@pytest.fixture(autouse=True)
def no_state_of_accelerate_is_left():
    yield
    from accelerate.state import PartialState

    PartialState._reset_state()


def delivery(run, log_with, **more):
    return Delivery(
        directory=str(run.directory.path),
        name=run.name,
        tracker="accelerate",
        log_with=log_with,
        project="plates",
        logging_dir=str(run.directory.path / log_with),
        parameters={"optimizer": {"lr": 0.5}, "none": None},
        tags={"runner.id": "abc"},
        **more,
    )


def steps_of(service):
    return [step for run in service.runs for step, _ in run.logged]


def test_wandb_gets_each_value_once_in_one_run_over_two_jobs(tmp_path, monkeypatch):
    wandb = FakeService(monkeypatch, "wandb")
    run = tracked_run(tmp_path / "first")
    write_rows(run, 0, 3)
    delivery(run, "wandb", init_kwargs={"entity": "us"}).follower().deliver_all("preempted")
    write_rows(run, 3, 5)
    delivery(run, "wandb").follower().deliver_all("completed")

    first, second = wandb.runs
    assert first.arguments == {
        "project": "plates",
        "id": "abc",
        "resume": "allow",
        "name": "first",
        "entity": "us",
    }
    assert second.arguments["id"] == "abc"
    assert steps_of(wandb) == [0, 1, 2, 3, 4]
    assert first.logged[1] == (1, {"train/value_0": 1.0, "train/value_1": 1.125})
    assert first.parameters == {"optimizer.lr": 0.5, "none": "None", "tags.runner.id": "abc"}
    assert second.parameters == {}
    assert first.is_finished and second.is_finished


def test_a_service_that_fails_on_the_way_gets_the_rest_later_and_nothing_twice(
    tmp_path, monkeypatch
):
    wandb = FakeService(monkeypatch, "wandb")
    run = tracked_run(tmp_path / "first")
    write_rows(run, 0, 1)
    follower = delivery(run, "wandb").follower()
    follower.deliver_rows()
    wandb.runs[0].fails_at = 3
    write_rows(run, 1, 5)
    with pytest.raises(ConnectionError):
        follower.deliver_rows()
    follower.deliver_all("completed")
    assert steps_of(wandb) == [0, 1, 2, 3, 4]


def test_comet_goes_on_with_its_experiment(tmp_path, monkeypatch):
    comet = FakeService(monkeypatch, "comet_ml")
    run = tracked_run(tmp_path / "first")
    for first in (0, 2):
        write_rows(run, first, first + 2)
        delivery(run, "comet_ml").follower().deliver_all("preempted")
    keys = {run.arguments["experiment_key"] for run in comet.runs}
    assert len(comet.runs) == 2 and len(keys) == 1
    assert 32 <= len(keys.pop()) <= 50
    assert steps_of(comet) == [0, 0, 1, 1, 2, 2, 3, 3]  # two values a row, one by one
    assert comet.runs[0].parameters["optimizer.lr"] == 0.5
