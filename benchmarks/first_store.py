"""Runs that start at the same instant, against a tracking store that does not exist yet.

    python benchmarks/first_store.py [--runs 32] [--stores sqlite,postgresql,server]

    sqlite      a SQLite file that nobody has made
    postgresql  an empty database of a PostgreSQL of its own, fed directly
    server      an `mlflow server` started at the same instant on another empty database

Every run is a command `python -m runner +experiment=digits` of its own, of a few steps, all of
them logged; training has one thread. Printed of each store: how many runs completed, how many
are FINISHED in MLflow, how many values the journals have, and how many of these MLflow lacks, has
twice, or has otherwise. Exit code 1 if there is one, or more than one MLflow experiment.
"""

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from runner.run.directory import RunDirectory  # noqa: E402
from runner.run.status import read_status  # noqa: E402
from runner.trackers.mlflow.uri import without_credentials  # noqa: E402
from tests.trackers.mlflow.mirrored import Ask, compare, num_runs  # noqa: E402
from tests.trackers.mlflow.world import Server  # noqa: E402
from tests.trackers.postgres import PASSWORD, running_postgres  # noqa: E402

STORES = ("sqlite", "postgresql", "server")


@dataclass(frozen=True, kw_only=True)
class Store:
    """Where the runs are shown, and how the tables there are read."""

    uri: str
    ask: Ask
    server: Server | None = None


def main() -> None:
    """Let the runs meet each store, and print a line for each, and one of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--stores", default=",".join(STORES))
    parser.add_argument("--timeout", type=float, default=1800.0, help="of a run, in seconds")
    parser.add_argument("--folder", help="where to work; a temporary folder by default")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and leave no server behind
    with ExitStack() as stack:
        folder = Path(arguments.folder or stack.enter_context(tempfile.TemporaryDirectory()))
        found = {
            name: meet(build_store(name, folder / name, stack), folder / name, arguments)
            for name in arguments.stores.split(",")
        }
    is_fine = all(one["is_fine"] for one in found.values())
    print(json.dumps({"benchmark": "first_store", **found, "is_fine": is_fine}))
    sys.exit(0 if is_fine else 1)


def build_store(name: str, folder: Path, stack: ExitStack) -> Store:
    """Return the store `name`, empty; nothing has connected to it."""
    folder.mkdir(parents=True)
    if name == "sqlite":
        database = folder / "mlflow.db"

        def ask_file(question: str) -> list[tuple]:
            with closing(sqlite3.connect(database)) as connection:
                return connection.execute(question).fetchall()

        return Store(uri=f"sqlite:///{database}", ask=ask_file)
    postgres = stack.enter_context(running_postgres())
    os.environ["PGPASSWORD"] = PASSWORD
    uri = postgres.create(name)

    def ask(question: str) -> list[tuple]:
        return postgres.query(name, question)

    if name == "postgresql":
        return Store(uri=uri, ask=ask)
    server = Server(folder / "server", backend=uri)
    return Store(uri=server.uri, ask=ask, server=server)


def meet(store: Store, folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Start all runs at once, wait for them, and return what arrived."""
    start = time.monotonic()
    if store.server is not None:
        store.server.start(wait=False)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes.extend(start_run(store, folder, n, arguments) for n in range(arguments.runs))
        codes = [process.wait(timeout=arguments.timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
        if store.server is not None:
            store.server.stop()
    directories = [RunDirectory(folder / "runs" / str(number)) for number in range(arguments.runs)]
    return judge(store, directories, codes, seconds=time.monotonic() - start)


def start_run(
    store: Store, folder: Path, number: int, arguments: argparse.Namespace
) -> subprocess.Popen[bytes]:
    """Start one run; what it prints goes to a file."""
    command = [
        sys.executable, "-m", "runner", "+experiment=digits", "callbacks=none", "checkpoint=off",
        "hardware.threads=1", "trainer.max_epochs=null", f"trainer.max_steps={arguments.steps}",
        "trainer.log_every_steps=1", f"seed={number}", f"hydra.run.dir={folder}/runs/{number}",
        f"trackers.mlflow.tracking_uri={store.uri}",
        f"trackers.mlflow.finish_timeout_seconds={arguments.timeout}",
        *([] if store.server else [f"trackers.mlflow.artifact_location=file://{folder}/files"]),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    with (folder / f"run_{number}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def judge(
    store: Store, directories: list[RunDirectory], codes: list[int], *, seconds: float
) -> dict[str, object]:
    """Compare every journal with MLflow."""
    address = without_credentials(store.uri)
    mirrored = [compare(directory, address, store.ask) for directory in directories]
    states = [read_status(directory) for directory in directories]
    experiments = store.ask("SELECT name FROM experiments ORDER BY name")
    found: dict[str, object] = {
        "runs": len(directories),
        "completed": sum(status is not None and status.state == "completed" for status in states),
        "finished": sum(one.state == "FINISHED" for one in mirrored),
        "values": sum(one.values for one in mirrored),
        "missing": sum(one.missing for one in mirrored),
        "doubled": sum(one.doubled for one in mirrored),
        "different": sum(one.different for one in mirrored),
        "seconds": round(seconds, 1),
    }
    is_once = num_runs(store.ask) == len(directories) and len(experiments) == 2
    is_fine = is_once and not any(codes) and all(one.is_exact for one in mirrored)
    print(f"{address}: {found}", flush=True)
    return {**found, "is_fine": is_fine}


if __name__ == "__main__":
    main()
