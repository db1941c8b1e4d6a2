"""A PostgreSQL of its own, from Debian's package, for tests and benchmarks of MLflow's stores."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

USER = "runner"
PASSWORD = "only-in-the-environment"
# A server must not run as root: Debian's package makes this user.
_OWNER = "postgres" if os.getuid() == 0 else None


class Postgres:
    """A server on a port of its own, whose files lie in `folder`; its password is PASSWORD."""

    def __init__(self, folder: Path) -> None:
        self._programs = programs()
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        words = folder / "password"
        words.write_text(PASSWORD)
        for path in (folder, words):
            if _OWNER is not None:
                shutil.chown(path, _OWNER)
        options = ("--username", USER, "--pwfile", str(words), "--auth", "scram-sha-256")
        self._start("initdb", "--pgdata", str(self._data), "--no-sync", *options).wait()

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 200,
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        self._process = self._start("postgres", "-D", str(self._data), *options)
        deadline = time.monotonic() + 30
        while not self._accepts():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, as a crash would: sessions are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def create(self, database: str) -> str:
        """Create an empty database and return its address, without the password."""
        self.query("postgres", f'CREATE DATABASE "{database}"')
        return f"postgresql+psycopg2://{USER}@127.0.0.1:{self.port}/{database}"

    def query(self, database: str, question: str) -> list[tuple]:
        """Return the rows of an answer."""
        import psycopg2

        access = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": PASSWORD}
        with closing(psycopg2.connect(dbname=database, **access)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(question)
                return cursor.fetchall() if cursor.description else []

    def _accepts(self) -> bool:
        import psycopg2

        try:
            return self.query("postgres", "SELECT 1") == [(1,)]
        except psycopg2.OperationalError:
            return False

    def _start(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [self._programs / program, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._data.parent,
                user=_OWNER,
                group=_OWNER,
                extra_groups=None if _OWNER is None else [],
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            )


def programs() -> Path:
    """Return the folder of PostgreSQL's programs; raises FileNotFoundError where it is not."""
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start one in a folder that its user can reach, and remove all of it at the end."""
    with tempfile.TemporaryDirectory(prefix="postgres_") as folder:
        postgres = Postgres(Path(folder))
        try:
            postgres.start()
            yield postgres
        finally:
            postgres.stop()
