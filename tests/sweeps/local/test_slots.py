import pytest

from runner.sweeps.local.slots import Slots, usable_cores


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_without_a_number_there_is_one_for_each_core() -> None:
    assert Slots().count == usable_cores()
    assert Slots(cores=7).count == 7


def test_with_gpus_there_are_as_many_as_jobs_fit_on_them() -> None:
    assert Slots(gpus=["0", "1"], jobs_per_gpu=3, cores=64).count == 6
    assert Slots(4, gpus=["0", "1"], cores=64).count == 4


def test_a_job_gets_its_share_of_the_cores() -> None:
    slots = Slots(4, cores=16)
    assert slots.take(0) == {"OMP_NUM_THREADS": "4"}
    assert slots.take(1, 3) == {"OMP_NUM_THREADS": "12"}
    assert Slots(4, cores=2).take(0) == {"OMP_NUM_THREADS": "1"}


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert Slots(4, cores=16).take(0) == {}


def test_there_is_room_until_all_are_taken() -> None:
    slots = Slots(3, cores=3)
    slots.take(0, 2)
    assert slots.have_room(1)
    assert not slots.have_room(2)
    slots.take(1)
    assert not slots.have_room(1)
    slots.give_back(0)
    assert slots.have_room(2)


def test_a_job_that_is_too_big_runs_alone_with_all_there_is() -> None:
    slots = Slots(2, cores=8)
    assert slots.have_room(5)
    assert slots.take(0, 5) == {"OMP_NUM_THREADS": "8"}
    assert not slots.have_room(1)
    slots.give_back(0)
    slots.take(1)
    assert not slots.have_room(5)


def test_a_job_gets_the_gpu_with_the_fewest_jobs() -> None:
    slots = Slots(gpus=["0", "3"], jobs_per_gpu=2, cores=8)
    seen = [slots.take(number)["CUDA_VISIBLE_DEVICES"] for number in range(4)]
    assert seen == ["0", "3", "0", "3"]
    slots.give_back(1)
    assert slots.take(4)["CUDA_VISIBLE_DEVICES"] == "3"


def test_ranks_get_a_gpu_each_in_the_order_of_the_machine() -> None:
    slots = Slots(gpus=["0", "1", "2"], cores=8)
    slots.take(0)
    assert slots.take(1, 2)["CUDA_VISIBLE_DEVICES"] == "1,2"
    slots.give_back(0)
    slots.give_back(1)
    slots.take(2)
    slots.give_back(2)
    assert slots.take(3, 9)["CUDA_VISIBLE_DEVICES"] == "0,1,2"
