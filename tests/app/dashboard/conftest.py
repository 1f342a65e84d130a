"""A dashboard of a recorded experiment."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard_clients import NOW, Client, client_of
from recorded_studies import record_study
from smartsim.app.reading import ExperimentReader

MEMBERS = 200


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record an experiment that nobody changes."""
    directory = tmp_path_factory.mktemp("recorded")
    record_study(directory, MEMBERS, now=NOW)
    return directory


@pytest.fixture
def client(recorded: Path) -> Client:
    """Return what asks a dashboard of the recorded experiment."""
    return client_of(recorded)


@pytest.fixture
def reader(recorded: Path) -> ExperimentReader:
    """Return what reads the recorded experiment."""
    return ExperimentReader(str(recorded))
