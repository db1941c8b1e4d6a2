import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.errors import Interrupted, RunError
from runner.run.lease import Lease, _filesystem_of, is_held, kept_free
from runner.runtime.signals import StopRequests


def lease_at(path: Path, stop: StopRequests | None = None) -> Lease:
    return Lease(path, on_beat=lambda: None, stop=stop or StopRequests())


def hold_elsewhere(path: Path, **changes: object) -> None:
    """Rewrite the lease as if another process or host held it."""
    holder = json.loads(path.read_text())
    path.write_text(json.dumps({**holder, "token": "other", **changes}))


def test_a_second_job_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    first = lease_at(tmp_path / "lease.json")
    first.acquire()
    with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        lease_at(tmp_path / "lease.json").acquire()
    first.release()
    second = lease_at(tmp_path / "lease.json")
    second.acquire()
    second.release()


def test_the_lease_of_a_killed_process_is_taken_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lease.json"
    script = (
        "import os, signal, sys; from pathlib import Path; from runner.run.lease import Lease;"
        "from runner.runtime.signals import StopRequests;"
        "Lease(Path(sys.argv[1]), on_beat=lambda: None, stop=StopRequests()).acquire();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9 and path.exists()
    assert not is_held(path)
    lease = lease_at(path)
    lease.acquire(patience_seconds=1000.0)
    lease.release()


def test_a_reused_process_id_does_not_hold_the_lease(tmp_path: Path) -> None:
    path = tmp_path / "lease.json"
    lease = lease_at(path)
    lease.acquire()
    assert is_held(path)
    hold_elsewhere(path, started="12345")
    assert not is_held(path)
    lease.release()


def test_a_silent_holder_on_another_host_is_replaced_after_the_patience(tmp_path: Path) -> None:
    path = tmp_path / "lease.json"
    first = lease_at(path)
    first.acquire()
    first.stop_beating()
    hold_elsewhere(path, host="another-host")
    second = lease_at(path)
    second.acquire(patience_seconds=0.2)
    assert json.loads(path.read_text())["token"] != "other"
    second.release()


def test_a_beating_holder_on_another_host_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "lease.json"
    first = lease_at(path)
    first.acquire()
    first.stop_beating()
    hold_elsewhere(path, host="another-host")
    beating = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import json, pathlib, sys, time\n"
            "p = pathlib.Path(sys.argv[1]); h = json.loads(p.read_text())\n"
            "for beat in range(50):\n"
            "    h['beat'] = beat; t = p.with_suffix('.new')\n"
            "    t.write_text(json.dumps(h)); t.replace(p)\n"
            "    time.sleep(0.1)",
            str(path),
        ]
    )
    try:
        with pytest.raises(RunError, match="another-host"):
            lease_at(path).acquire(patience_seconds=4.0)
    finally:
        beating.terminate()
        beating.wait()


@pytest.mark.parametrize("change", [{"boot": "another"}, {"pid_namespace": "pid:[7]"}, {"pid": 0}])
def test_a_holder_with_this_host_name_elsewhere_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    """A clone of this machine, or another container, whose processes cannot be seen from here."""
    monkeypatch.setattr("runner.run.lease._filesystem_of", lambda path: "nfs4")
    path = tmp_path / "lease.json"
    first = lease_at(path)
    first.acquire()
    first.stop_beating()
    is_elsewhere = "pid" not in change
    hold_elsewhere(path, **change)
    assert is_held(path) is is_elsewhere
    seconds = 0.3 if is_elsewhere else 0.0
    started = time.monotonic()
    second = lease_at(path)
    second.acquire(patience_seconds=0.3 if is_elsewhere else 1000.0)
    assert time.monotonic() - started >= seconds
    second.release()


def test_a_beating_holder_in_another_container_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.run.lease.HEARTBEAT_SECONDS", 0.05)
    path = tmp_path / "lease.json"
    first = lease_at(path)
    first.acquire()
    monkeypatch.setattr("runner.run.lease._pid_namespace", lambda: "pid:[7]")
    with pytest.raises(RunError, match="in use by process"):
        lease_at(path).acquire(patience_seconds=4.0)
    first.release()


def test_after_a_reboot_a_lease_on_a_disk_of_this_machine_is_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.run.lease._filesystem_of", lambda path: "ext4")
    path = tmp_path / "lease.json"
    first = lease_at(path)
    first.acquire()
    first.stop_beating()
    hold_elsewhere(path, boot="before", pid_namespace="pid:[7]")
    assert not is_held(path)
    second = lease_at(path)
    second.acquire(patience_seconds=1000.0)
    second.release()


def test_a_machine_that_serves_its_disk_waits_for_others_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.run.lease._filesystem_of", lambda path: "ext4")
    path = tmp_path / "lease.json"
    first = lease_at(path)
    first.acquire()
    first.stop_beating()
    hold_elsewhere(path, boot="another", machine="another")
    assert is_held(path)


def test_the_file_system_of_a_path_is_that_of_the_innermost_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = {"/": "ext4", "/data": "xfs", "/data/home": "nfs4", "/data/homely": "ext4"}
    partitions = [SimpleNamespace(mountpoint=at, fstype=kind) for at, kind in mounts.items()]
    monkeypatch.setattr("psutil.disk_partitions", lambda **_: partitions)
    assert _filesystem_of(Path("/data/home/run/lease.json")) == "nfs4"
    assert _filesystem_of(Path("/data/run")) == "xfs"
    assert _filesystem_of(Path("/run")) == "ext4"


def test_the_same_slurm_job_restarted_takes_its_own_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    path = tmp_path / "lease.json"
    first = lease_at(path)
    first.acquire()
    first.stop_beating()
    hold_elsewhere(path, host="another-host")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    second = lease_at(path)
    second.acquire(patience_seconds=1000.0)
    second.release()


def test_a_replaced_holder_abandons_its_job_and_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.run.lease.HEARTBEAT_SECONDS", 0.02)
    path = tmp_path / "lease.json"
    stop, beats = StopRequests(), threading.Event()
    lease = Lease(path, on_beat=beats.set, stop=stop)
    lease.acquire()
    assert beats.wait(10) and stop.abandoned is None
    lease.stop_beating()  # so that no heartbeat comes between reading and writing
    hold_elsewhere(path, host="another-host", pid=7)
    stalled = Lease(path, on_beat=lambda: pytest.fail("told as if it held it"), stop=stop)
    stalled._thread.start()
    stalled._thread.join(10)
    assert (
        stop.abandoned is not None and "taken over by process 7 on another-host" in stop.abandoned
    )
    lease.release(last=lambda: pytest.fail("wrote into the directory of another"))
    assert json.loads(path.read_text())["token"] == "other"


def test_the_last_act_of_a_holder_may_fail_and_the_lease_is_given_back(tmp_path: Path) -> None:
    def full_disk() -> None:
        raise OSError("no space left")

    lease = lease_at(tmp_path / "lease.json")
    lease.acquire()
    with pytest.raises(OSError, match="no space"):
        lease.release(last=full_disk)
    assert not (tmp_path / "lease.json").exists()


def test_waiting_for_a_silent_holder_is_told_and_ends_with_a_signal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "lease.json"
    first = lease_at(path)
    first.acquire()
    first.stop_beating()
    hold_elsewhere(path, host="another-host", pid=7)
    started = time.monotonic()
    with caplog.at_level("INFO"), StopRequests() as stop:
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        with pytest.raises(Interrupted):
            lease_at(path, stop).acquire(patience_seconds=60.0)
        timer.join()
    assert time.monotonic() - started < 10
    (line,) = caplog.messages
    assert "waiting up to 60 s" in line and "process 7 on another-host" in line


def test_while_a_lease_is_kept_free_nobody_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "lease.json"
    taken = threading.Event()
    lease = lease_at(path)
    taking = threading.Thread(target=lambda: (lease.acquire(), taken.set()))
    with kept_free(path) as is_free:
        assert is_free
        taking.start()
        assert not taken.wait(0.3)
    assert taken.wait(5)
    with kept_free(path) as is_free:
        assert not is_free
    lease.release()
    taking.join()


def test_to_look_at_many_leases_costs_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader of a sweep asks for each run; what no process can change is read once."""
    path = tmp_path / "lease.json"
    lease = lease_at(path)
    lease.acquire()
    assert is_held(path)
    read = []
    read_text = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda at, **o: (read.append(at), read_text(at, **o))[1])
    assert is_held(path)
    assert set(read) <= {path, Path(f"/proc/{os.getpid()}/stat")}
    monkeypatch.undo()
    lease.release()
