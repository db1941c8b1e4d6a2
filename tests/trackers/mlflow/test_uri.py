import sys
from pathlib import Path

import pytest

from runner.errors import ConfigError
from runner.trackers import packages
from runner.trackers.mlflow import uri as uri_module
from runner.trackers.mlflow.uri import (
    checked_tracking_uri,
    credentials,
    hands_over,
    sqlite_file,
    with_driver,
    without_credentials,
)


def test_a_relative_sqlite_path_is_taken_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri = checked_tracking_uri("sqlite:///outputs/mlflow.db")
    assert sqlite_file(uri) == tmp_path / "outputs" / "mlflow.db"


def test_an_absolute_sqlite_path_stays():
    uri = checked_tracking_uri("sqlite:////data/mlflow.db")
    assert uri == "sqlite:////data/mlflow.db"
    assert sqlite_file(uri) == Path("/data/mlflow.db")


@pytest.mark.parametrize("uri", ["http://server:5000", "postgresql://me@server/runs", "databricks"])
def test_addresses_of_servers_stay(uri):
    assert checked_tracking_uri(uri) == uri
    assert sqlite_file(uri) is None


@pytest.mark.parametrize("uri", ["./mlruns", "file:///data/mlruns"])
def test_a_folder_is_refused(uri):
    with pytest.raises(ConfigError, match="sqlite:///"):
        checked_tracking_uri(uri)


@pytest.mark.parametrize(
    "uri", ["http://me:hunter2@server:5000", "postgresql://me:hunter2@server/r"]
)
def test_a_literal_password_is_refused_and_not_repeated(uri):
    with pytest.raises(ConfigError, match="password stands in the address of server") as caught:
        checked_tracking_uri(uri)
    assert "hunter2" not in str(caught.value)


def test_a_password_from_the_environment_is_taken(monkeypatch):
    monkeypatch.setenv("TRACKING_PASSWORD", "hunter2")
    uri = "http://me:hunter2@server:5000/prefix"
    assert checked_tracking_uri(uri) == uri
    assert without_credentials(uri) == "http://server:5000/prefix"


def test_credentials_are_decoded():
    assert credentials("http://me:p%40ss@server") == ("me", "p@ss")
    assert credentials("http://server") is None


def test_only_what_is_for_one_machine_is_handed_over():
    assert hands_over("sqlite:////shared/mlflow.db")
    for uri in ("http://server:5000", "https://server", "databricks", "postgresql://server/runs"):
        assert not hands_over(uri)


@pytest.mark.parametrize("installed", ["psycopg2", "psycopg"])
def test_postgresql_is_reached_by_the_driver_that_is_installed(monkeypatch, installed):
    monkeypatch.setattr(uri_module, "find_spec", lambda name: name == installed or None)
    plain = "postgresql://me@server/runs"
    assert with_driver(plain) == f"postgresql+{installed}://me@server/runs"
    assert with_driver("postgresql+pg8000://server/runs") == "postgresql+pg8000://server/runs"
    assert with_driver("http://server:5000") == "http://server:5000"


def test_without_a_driver_of_postgresql_the_command_that_helps_is_told(monkeypatch):
    monkeypatch.setattr(uri_module, "find_spec", lambda name: None)
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "psycopg2", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'runner\[postgresql\]'"):
        checked_tracking_uri("postgresql://me@server/runs")


@pytest.mark.parametrize("uri", ["foo://x", "htpp://server:5000", "sqllite:///outputs/mlflow.db"])
def test_a_store_that_mlflow_does_not_know_is_refused(uri):
    with pytest.raises(ConfigError, match=r"tracking_uri: MLflow has no store of the kind '\w+'"):
        checked_tracking_uri(uri)


@pytest.mark.parametrize(
    "uri", ["mysql+pymysql://me@server/runs", "databricks://profile", "uc://server", "https://s"]
)
def test_the_kinds_of_store_that_mlflow_knows_are_taken(uri):
    assert checked_tracking_uri(uri) == uri
