"""`create_store`: the tables of an MLflow store are made once, however many runs begin at once.

MLflow migrates an empty database when it first connects; two processes that do so at once collide.
So one does, and the others wait for it: at a file beside a SQLite database, at a lock of the
database itself where it has an address. Behind an `mlflow server` this is the server's affair.
"""

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner.errors import RunError
from runner.trackers.mlflow.uri import sqlite_file

_SECONDS = 600  # a migration takes 3 s, and more on a busy machine
# Of databases with an address: what gives a lock that ends with this process, and its answer.
_LOCKS = {
    # Of the transaction, not of the session: poolers of connections keep to that alone.
    "postgresql": ("SELECT 1 FROM pg_advisory_xact_lock(hashtext('runner.mlflow'))", 1),
    "mysql": (f"SELECT GET_LOCK('runner.mlflow', {_SECONDS})", 1),
}


def create_store(uri: str) -> None:
    """Make the tables of the database at `uri` unless they are there; leave a server alone."""
    lock = _lock_of(uri)
    if lock is not None:
        with lock:
            database = sqlite_file(uri)
            if database is not None and not database.exists():
                _create_file(database)
            elif not _is_complete(uri):
                _migrate(uri)


def _lock_of(uri: str) -> AbstractContextManager[None] | None:
    database = sqlite_file(uri)
    if database is not None:
        return _file_lock(database.with_name(database.name + ".lock"))
    kind = urlsplit(uri).scheme.partition("+")[0]
    return _database_lock(uri, *_LOCKS[kind]) if kind in _LOCKS else None


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _database_lock(uri: str, statement: str, granted: int) -> Iterator[None]:
    from sqlalchemy import text

    with closing(_engine(uri).connect()) as connection:
        if connection.execute(text(statement)).scalar() != granted:
            raise RunError(f"another process has been creating the store for {_SECONDS} s")
        yield


def _is_complete(uri: str) -> bool:
    """Tell whether the default experiment is there, which MLflow writes last."""
    from sqlalchemy import inspect, text

    with closing(_engine(uri).connect()) as connection:
        if not inspect(connection).has_table("experiments"):
            return False
        return bool(connection.execute(text("SELECT COUNT(*) FROM experiments")).scalar())


def _create_file(database: Path) -> None:
    """Make the tables in a file beside, renamed when whole: half a migration cannot be mended."""
    begins = f"{database.name}.new-"
    for path in database.parent.iterdir():  # what a killed process has left
        if path.name.startswith(begins):
            path.unlink()
    new = database.with_name(begins + uuid.uuid4().hex)  # MLflow holds on to a name once opened
    _migrate(f"sqlite:///{new}")
    if database.exists():  # an `mlflow ui` was faster
        new.unlink()
    else:
        new.rename(database)


def _migrate(uri: str) -> None:
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri, DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()


def _engine(uri: str) -> Any:
    from sqlalchemy import NullPool, create_engine

    return create_engine(uri, poolclass=NullPool)
