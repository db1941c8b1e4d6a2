"""The address of an MLflow server or store: made absolute, and free of written-down passwords."""

import os
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from runner.errors import ConfigError
from runner.trackers.packages import require

_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"
_POSTGRESQL_EXTRA = "'runner[postgresql]'"
_KINDS = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks", "uc")
_FILE_STORE = (
    "{at}: MLflow no longer takes the folder {uri!r} as a store; "
    "use a file such as sqlite:///outputs/mlflow.db, or the address of a server"
)
_UNKNOWN_KIND = (
    "{at}: MLflow has no store of the kind {kind!r} (it has {known}, and those that installed "
    "packages bring)"
)
_LITERAL_PASSWORD = (
    "{at}: a password stands in the address of {host}; keep it out of the "
    "config: write ${{oc.env:NAME}} in its place, or set MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD (http) or PGPASSWORD (postgresql) in the environment"
)


def checked_tracking_uri(uri: str, *, at: str = "trackers.mlflow.tracking_uri") -> str:
    """Return `uri` with a SQLite path made absolute; refuse what cannot work or is not safe.

    `at` is where the user wrote it.
    """
    if uri.startswith(_SQLITE):
        path = uri.removeprefix(_SQLITE)
        return uri if path in ("", ":memory:") else _SQLITE + str(Path(path).absolute())
    parts = urlsplit(uri)
    if parts.scheme in ("", "file") and uri != "databricks":
        raise ConfigError(_FILE_STORE.format(at=at, uri=uri))
    if parts.scheme and not _is_known(parts.scheme.partition("+")[0]):
        known = ", ".join(_KINDS)
        raise ConfigError(_UNKNOWN_KIND.format(at=at, kind=parts.scheme, known=known))
    if uri.startswith(_POSTGRESQL) and find_spec("psycopg") is None:
        require("psycopg2", needed_by=at, install=_POSTGRESQL_EXTRA)
    if parts.password and not _from_environment(uri, parts.password):
        raise ConfigError(_LITERAL_PASSWORD.format(at=at, host=parts.hostname))
    return uri


def with_driver(uri: str) -> str:
    """Return `uri` with the driver of PostgreSQL that is installed; SQLAlchemy's choice varies."""
    if not uri.startswith(_POSTGRESQL):
        return uri
    driver = "psycopg2" if find_spec("psycopg2") else "psycopg"
    return f"postgresql+{driver}://" + uri.removeprefix(_POSTGRESQL)


def checked_artifact_location(location: str | None) -> str | None:
    """Return `location`; ConfigError if a password stands in it, which MLflow would show to all."""
    if location is not None and urlsplit(location).password:
        raise ConfigError(
            f"trackers.mlflow.artifact_location: a password stands in the address of "
            f"{urlsplit(location).hostname}, and MLflow keeps that in its store: give it to the "
            "server, or to MLflow by the environment"
        )
    return location


def sqlite_file(uri: str) -> Path | None:
    """Return the database file behind `uri`, None when it is not SQLite."""
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def hands_over(uri: str) -> bool:
    """Tell whether a job on another machine must leave the delivery to its sweep's own process.

    A SQLite file is for the processes of one machine; to a server every job delivers by itself.
    """
    return uri.startswith(("sqlite:", "file:"))


def without_credentials(uri: str) -> str:
    """Return `uri` fit for a file or a log: no user name and no password."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def credentials(uri: str) -> tuple[str, str] | None:
    """Return the user name and the password written in `uri`, decoded."""
    parts = urlsplit(uri)
    if parts.password is None:
        return None
    return unquote(parts.username or ""), unquote(parts.password)


def _is_known(kind: str) -> bool:
    """Tell whether MLflow has such stores, or a package brings them."""
    return kind in _KINDS or bool(entry_points(group="mlflow.tracking_store", name=kind))


def _from_environment(uri: str, password: str) -> bool:
    """Tell whether an environment variable gave the password: then the config does not hold it."""
    values = set(os.environ.values())
    return bool(values & {uri, password, unquote(password)})
