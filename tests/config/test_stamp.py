from runner.config.stamp import id_in, new_stamp


def test_stamps_of_the_same_second_differ_and_hold_their_id() -> None:
    stamps = [new_stamp() for _ in range(100)]
    assert len(set(stamps)) == 100
    assert stamps[0].endswith(f"_{id_in(stamps[0])}")


def test_another_name_gets_an_id_of_its_own() -> None:
    assert len(id_in("3")) == 6
    assert id_in("3") != id_in("3")
