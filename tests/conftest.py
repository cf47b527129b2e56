"""Fixtures that many tests share: a real PostgreSQL and fresh databases on it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from proxy.database import schema
from proxy.database.pool import connect
from tests.support.appliance import Appliance
from tests.support.postgres import Postgres
from tests.support.skips import read_expected, refuse_unexpected

# A busy machine is no defect. Tests have a time limit of their own.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run refuse skips that nobody expects; continuous integration always does."""
    parser.addoption(
        "--no-unexpected-skips",
        action="store_true",
        default=bool(os.environ.get("CI")),
        help="fail tests that are skipped and not listed in tests/expected_skips.txt",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the logs of the appliance it used; an unexpected skip is a failure."""
    report = yield
    if item.config.getoption("no_unexpected_skips"):
        refuse_unexpected(report, read_expected())
    if report.failed:
        for fixture in getattr(item, "funcargs", {}).values():
            if isinstance(fixture, Appliance) and fixture.root.exists():
                report.sections.append(("logs of the appliance", fixture.logs()))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that is skipped as a whole is treated like its tests."""
    report = yield
    if collector.config.getoption("no_unexpected_skips"):
        refuse_unexpected(report, read_expected())
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files with long tests first, then those of the whole appliance: no worker ends late."""
    here = Path(__file__).parent
    long = {item.path for item in items if item.get_closest_marker("timeout")}
    items.sort(key=lambda item: (item.path not in long, item.path.parent != here))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The embedded PostgreSQL, as the appliance runs it."""
    with Postgres(fsync=False) as server:
        yield server


@pytest.fixture
def empty_database_url(postgres: Postgres) -> str:
    """The URL of a database with nothing in it."""
    return postgres.fresh_database()


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """The URL of a database with the schema in place."""
    with connect(empty_database_url, application="tests") as connection:
        schema.migrate(connection)
    return empty_database_url


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory for one test, with a space in its name."""
    path = tmp_path / "with space"
    path.mkdir()
    return path
