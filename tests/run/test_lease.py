import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.run.lease import Lease, is_held


def lease_at(path: Path) -> Lease:
    return Lease(path, on_beat=lambda: None)


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
        "Lease(Path(sys.argv[1]), on_beat=lambda: None).acquire();"
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
