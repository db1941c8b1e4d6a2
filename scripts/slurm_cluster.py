"""One Slurm cluster of scripts/slurm_dev: its settings, and its processes by their numbers."""

import contextlib
import getpass
import json
import os
import random
import shutil
import signal
import socket
import string
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path

NODES = ("node1", "node2")
GPUS = ("/dev/null", "/dev/zero")  # Slurm wants device files; it does not open them
SECONDS = 30  # what is waited for takes less than one
PORTS = range(10_000, 32_000)  # below those that the system gives to clients
ACCOUNTING = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$database_port"""

DATABASE = """AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$database_port
SlurmUser=$user
CommunicationParameters=NoInAddrAny
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
LogFile=$home/log/slurmdbd.log
PidFile=$home/slurmdbd.pid
"""


class SlurmError(Exception):
    """What went wrong, and what to do about it, in one sentence."""


class Cluster:
    """The processes and the files of one cluster, all of them in its home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.conf = home / "slurm.conf"
        # Started within a job of another cluster, this one knows nothing of it.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
        self.env = inherited | {"SLURM_CONF": str(self.conf)}
        self.name = f"dev{zlib.crc32(bytes(home)):08x}"
        self._log = home / "log"
        self._records = home / "slurm_dev_processes"

    def is_made(self) -> bool:
        return self._records.is_dir()

    def make(self, *, min_job_age: int, accounting: bool) -> None:
        """Write the settings of a fresh cluster, with nothing left of an earlier one."""
        if self.home.exists() and any(self.home.iterdir()) and not self.is_made():
            raise SlurmError(f"{self.home} holds something else: name another folder with --home")
        shutil.rmtree(self.home, ignore_errors=True)
        self._records.mkdir(parents=True)
        for folder in (self._log, self.home / "state", *(self.home / "spool" / n for n in NODES)):
            folder.mkdir(parents=True)
        names = {
            "home": str(self.home),
            "user": getpass.getuser(),
            "hostname": socket.gethostname().partition(".")[0],
            "cluster": self.name,
            "min_job_age": str(min_job_age),
            "accounting": "AccountingStorageType=accounting_storage/none",
        }
        roles = ("controller", *NODES, "database")
        ports = free_ports(len(roles))
        names |= {f"{role}_port": str(port) for role, port in zip(roles, ports, strict=True)}
        if accounting:
            names["accounting"] = string.Template(ACCOUNTING).substitute(names)
            write_secret(self.home / "slurmdbd.conf", string.Template(DATABASE).substitute(names))
        template = Path(__file__).with_name("slurm_dev.conf").read_text(encoding="utf-8")
        gres = [f"NodeName={n} Name=gpu File={file}\n" for n in NODES for file in GPUS]
        (self.home / "gres.conf").write_text("".join(gres), encoding="utf-8")
        self.conf.write_text(string.Template(template).substitute(names), encoding="utf-8")

    def start(self, *, accounting: bool) -> None:
        if accounting:
            self._start_accounting()
        self.spawn("slurmctld", ["slurmctld", "-D", "-c"])
        # A node that finds no controller yet asks again after a second only.
        self._wait_for("slurmctld", lambda: self._succeeds("scontrol", "ping"))
        for node in NODES:
            self.start_node(node)
        for node in NODES:
            self._wait_for(node, lambda name=node: self._is_idle(name))

    def start_node(self, node: str) -> None:
        self.spawn(node, ["slurmd", "-D", "-N", node], SLURMD_NODENAME=node)

    def lose_node(self, node: str, *, is_noticed: bool) -> None:
        """End a node as a loss of power does; noticed, its jobs are requeued at once."""
        self._kill_node(node)
        if is_noticed:
            self.call("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")

    def stop(self) -> None:
        self._kill_daemon("slurmctld")
        for node in NODES:
            self._kill_node(node)
        for name in ("slurmdbd", "mariadbd"):
            self._kill_daemon(name)

    def is_running(self, name: str) -> bool:
        return self._pid(name) is not None

    def spawn(self, name: str, command: list[str], **env: str) -> None:
        """Start a daemon in a session of its own, and write down which process it is."""
        with (self._log / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(
                command,
                env=self.env | env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        stat = read_stat(process.pid)
        record = {"pid": process.pid, "started": stat and stat[0]}
        (self._records / name).write_text(json.dumps(record), encoding="utf-8")

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.env, capture_output=True, text=True)

    def _wait_for(self, name: str, is_there: Callable[[], bool]) -> None:
        """Wait until a daemon does its work; one that has ended never will."""

        def is_done() -> bool:
            if not self.is_running(name):
                raise SlurmError(f"{name} has ended: see {self._log}")
            return is_there()

        wait_until(is_done, f"{name} to answer: see {self._log}")

    def _succeeds(self, *command: str) -> bool:
        return self.call(*command).returncode == 0

    def _is_idle(self, node: str) -> bool:
        return self.call("sinfo", "-h", "-n", node, "-p", "low", "-o", "%T").stdout == "idle\n"

    def _start_accounting(self) -> None:
        data = self.home / "db"
        data.mkdir(mode=0o700)  # whoever reaches the socket in it may do everything
        sock = f"{data}/db.sock"
        options = ["--no-defaults", f"--datadir={data}", f"--user={getpass.getuser()}"]
        how = ["--skip-test-db", "--auth-root-authentication-method=normal"]
        made = self.call("mariadb-install-db", *options, *how)
        if made.returncode != 0:
            raise SlurmError(f"mariadb-install-db failed: {made.stderr.strip()}")
        small = ["--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M"]
        place = [f"--socket={sock}", f"--pid-file={self.home}/mariadbd.pid", "--skip-networking"]
        self.spawn("mariadbd", ["mariadbd", *options, *place, *small])
        ping = ("mariadb-admin", f"--socket={sock}", "-u", "root", "ping")
        self._wait_for("mariadbd", lambda: self._succeeds(*ping))
        self.spawn("slurmdbd", ["slurmdbd", "-D"], MYSQL_UNIX_PORT=sock)
        add = ("sacctmgr", "-i", "add", "cluster", self.name)
        self._wait_for("slurmdbd", lambda: self._succeeds(*add))

    def _kill_daemon(self, name: str) -> None:
        pid = self._pid(name)
        if pid is not None:
            kill(pid)
            wait_until(lambda: self._pid(name) is None, f"{name} to end")

    def _kill_node(self, node: str) -> None:
        """End the daemon of a node first, then all that it had started."""
        self._kill_daemon(node)
        while members := self._members(node):
            # All at once: the keeper of a step would tell the controller of a task's end.
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in members:
                    kill(pid, number)
            time.sleep(0.02)

    def _pid(self, name: str) -> int | None:
        """The process of a daemon, if it lives and its number has not gone to another one."""
        try:
            record = json.loads((self._records / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        stat = read_stat(record["pid"])
        return record["pid"] if stat and stat[0] == record["started"] else None

    def _members(self, node: str) -> set[int]:
        """What the daemon of a node had started: the keepers of the job steps, tasks, and so on."""
        marks = {f"SLURM_CONF={self.conf}".encode(), f"SLURMD_NODENAME={node}".encode()}
        parents = {pid: stat[1] for pid in pids() if (stat := read_stat(pid))}
        members = {pid for pid in parents if marks.issubset(read_environment(pid))}
        # A task may have started something with another environment.
        while grown := {pid for pid, parent in parents.items() if parent in members} - members:
            members |= grown
        return members


def pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def read_stat(pid: int) -> tuple[int, int] | None:
    """When a process started, in ticks, and its parent; None if it has ended, buried or not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[19]), int(fields[1]))


def read_environment(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:  # it has ended, or belongs to another user
        return set()


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def free_ports(count: int) -> list[int]:
    ports: list[int] = []
    while len(ports) < count:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not is_true():
        if time.monotonic() > end:
            raise SlurmError(f"waited {SECONDS} s for {what}")
        time.sleep(0.02)
