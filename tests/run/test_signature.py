import multiprocessing
import stat
from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.run.signature import are_facts_ours, is_ours, sign, text_signature


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "runner"


def signed(path: Path, text: str) -> RunDirectory:
    directory = RunDirectory(path)
    sign(directory, text)
    path.mkdir(exist_ok=True)
    directory.config.write_text(text)
    return directory


def test_a_signed_config_is_ours_until_it_is_changed(state: Path, tmp_path: Path) -> None:
    directory = signed(tmp_path / "run", "seed: 0\n")
    assert is_ours(directory)
    directory.config.write_text("seed: 1\n")
    assert not is_ours(directory)


def test_the_key_of_another_user_is_none(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = signed(tmp_path / "run", "seed: 0\n")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert not is_ours(directory)
    sign(directory, "seed: 0\n")
    assert is_ours(directory)


def test_a_kill_between_signature_and_config_harms_nothing(state: Path, tmp_path: Path) -> None:
    directory = signed(tmp_path / "run", "seed: 0\n")
    sign(directory, "seed: 1\n")
    assert is_ours(directory), "the old config is still there"
    sign(directory, "seed: 2\n")
    assert is_ours(directory)
    directory.config.write_text("seed: 2\n")
    assert is_ours(directory)
    directory.config.write_text("seed: 1\n")
    assert not is_ours(directory)


def test_the_key_is_for_its_user_alone(state: Path) -> None:
    text_signature("x")
    assert stat.S_IMODE((state / "key").stat().st_mode) == 0o600
    assert len((state / "key").read_bytes()) == 32
    assert [path.name for path in state.iterdir()] == ["key"]


def test_processes_that_start_at_once_have_one_key(state: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.map(text_signature, ["x"] * 32, chunksize=1)
    assert len(set(found)) == 1 and found[0] is not None


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null/state"])
def test_without_a_home_nothing_fails(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", place)
    directory = signed(tmp_path / "run", "seed: 0\n")
    assert not is_ours(directory)
    assert not directory.signature.exists()
    assert text_signature("x") is None


def test_a_damaged_key_signs_nothing(state: Path, tmp_path: Path) -> None:
    state.mkdir(parents=True)
    (state / "key").write_bytes(b"")
    assert not is_ours(signed(tmp_path / "run", "seed: 0\n"))
    assert (state / "key").stat().st_size == 0


def test_signatures_of_other_machines_stay_while_the_config_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, homes = tmp_path / "run", [str(tmp_path / f"home_{number}") for number in range(3)]
    directory = RunDirectory(path)
    for home in homes:
        monkeypatch.setenv("XDG_STATE_HOME", home)
        signed(path, "seed: 0\n")
    for home in homes:
        monkeypatch.setenv("XDG_STATE_HOME", home)
        assert is_ours(directory), home
    signed(path, "seed: 1\n")
    assert is_ours(directory)
    monkeypatch.setenv("XDG_STATE_HOME", homes[0])
    assert not is_ours(directory)


def test_a_signature_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path / "run")
    for number in range(20):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / f"home_{number}"))
        signed(directory.path, "seed: 0\n")
    assert is_ours(directory)
    assert len(directory.signature.read_text().splitlines()) == 16


def test_why_a_run_is_not_signed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    assert "/dev/null" in str(sign(RunDirectory(tmp_path), "seed: 0\n"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert sign(RunDirectory(tmp_path), "seed: 0\n") is None


def _no_links(*_: object) -> None:
    raise PermissionError("no hard links here")


def test_a_disk_without_hard_links_has_a_key(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.link", _no_links)
    assert is_ours(signed(tmp_path / "run", "seed: 0\n"))
    assert [path.name for path in state.iterdir()] == ["key"]
    assert stat.S_IMODE((state / "key").stat().st_mode) == 0o600


def test_what_a_stranger_wrote_before_is_not_signed(state: Path, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.path.mkdir()
    directory.config.write_text("seed: theirs\n")
    sign(directory, "seed: 1\n")
    assert not is_ours(directory)
    directory.config.write_text("seed: 1\n")
    assert is_ours(directory)


def test_facts_are_ours_where_this_user_answers_for_them(state: Path, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.path.mkdir()
    directory.config.write_text("seed: 0\n")
    for facts, of_text, of_other in ((None, True, True), (["x"], True, False), ([], False, False)):
        directory.signature.unlink(missing_ok=True)
        sign(directory, "seed: 0\n", facts=facts)
        assert is_ours(directory)
        assert are_facts_ours(directory, "x") is of_text
        assert are_facts_ours(directory, "y") is of_other
    directory.config.write_text("seed: 1\n")
    assert not are_facts_ours(directory, "x")


def test_signed_facts_cannot_be_made_those_of_an_early_run(state: Path, tmp_path: Path) -> None:
    directory = signed(tmp_path / "run", "seed: 0\n")
    sign(directory, "seed: 0\n", facts=["x"])
    for line in directory.signature.read_text().splitlines():
        directory.signature.write_text(f"{line}\n")
        assert not are_facts_ours(directory, "evil")
    sign(directory, "seed: 0\n")
    sign(directory, "seed: 1\n", facts=["y", "x"])
    assert are_facts_ours(directory, "x"), "config and facts of before are still there"
    assert not are_facts_ours(directory, "evil")
