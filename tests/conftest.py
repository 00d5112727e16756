"""What every test rests on: Hypothesis without a clock and without chance, and real services where one asks for them.

The same examples come in every run; `--hypothesis-profile=explore` looks for new ones and prints how to get a failure
again. A test's `record_property("figure", …)` is printed at the end of the run. One embedded PostgreSQL and one
embedded SeaweedFS, both at ports the run chose, serve the whole session; each test that asks gets a database and a
bucket of its own.
"""

import gc
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from server.embedded import EmbeddedServices
from server.storage.bucket_settings import BucketSettings
from server.storage.migrations import apply_migrations
from server.storage.s3_client import create_bucket

settings.register_profile("holdfast", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("explore", deadline=None, derandomize=False, print_blob=True, max_examples=2_000)
settings.load_profile("holdfast")

TEMPLATE = "holdfast_template"
# They take long or wait long; beside others that compute, waiting costs nothing.
LONG = (
    "e2e/",
    "tests/integration/",
    "tests/loadtest/",
    "tests/server/test_embedded.py",
    "tests/simulation/",
    "tests/stack/",
)
GC_AFTER_ALLOCATIONS = 50_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, so that none of them ends alone while the other processes have nothing left."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_collection_finish() -> None:
    """What is there now stays: the collector of garbage looks seldom, and only at the new."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_AFTER_ALLOCATIONS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured or counted; none of it decides whether they pass."""
    reports = [each for outcome in ("passed", "failed") for each in terminalreporter.stats.get(outcome, [])]
    figures = [(report.nodeid, text) for report in reports for name, text in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for test, text in sorted(figures):
            terminalreporter.write_line(f"{test.rpartition('::')[2]}: {text}")


@pytest.fixture(scope="session")
def embedded_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServices]:
    """The session's PostgreSQL, with a template that has the newest schema."""
    directory = tmp_path_factory.mktemp("embedded-database")
    with EmbeddedServices(directory, wants_bucket=False, on_progress=lambda _: None) as services:
        _create_database(services, TEMPLATE)
        apply_migrations(_url_of(services, TEMPLATE))
        yield services


@pytest.fixture(scope="session")
def embedded_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServices]:
    """The session's SeaweedFS."""
    directory = tmp_path_factory.mktemp("embedded-bucket")
    with EmbeddedServices(directory, wants_database=False, on_progress=lambda _: None) as services:
        yield services


@pytest.fixture
def database_url(embedded_database: EmbeddedServices) -> Iterator[str]:
    """A fresh database with the newest schema, gone after the test."""
    with fresh_database(embedded_database) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(embedded_database: EmbeddedServices) -> Iterator[str]:
    """A database with the newest schema that the module's tests share."""
    with fresh_database(embedded_database) as url:
        yield url


@pytest.fixture
def empty_database_url(embedded_database: EmbeddedServices) -> Iterator[str]:
    """A fresh database without any table."""
    with fresh_database(embedded_database, template="template0") as url:
        yield url


@pytest.fixture
def bucket_settings(embedded_bucket: EmbeddedServices) -> BucketSettings:
    """A fresh bucket in the session's SeaweedFS."""
    return fresh_bucket(embedded_bucket.bucket)


@pytest.fixture(scope="module")
def module_bucket_settings(embedded_bucket: EmbeddedServices) -> BucketSettings:
    """A bucket that the module's tests share."""
    return fresh_bucket(embedded_bucket.bucket)


@contextmanager
def fresh_database(services: EmbeddedServices, template: str = TEMPLATE) -> Iterator[str]:
    """The URL of a database made from the template; whoever is still connected at the end is cut off."""
    name = f"test_{secrets.token_hex(6)}"
    _create_database(services, name, template)
    try:
        yield _url_of(services, name)
    finally:
        with psycopg.connect(services.superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def fresh_bucket(base: BucketSettings) -> BucketSettings:
    """A new bucket in the store of `base`."""
    made = replace(base, bucket=f"test-{secrets.token_hex(6)}")
    create_bucket(made)
    return made


def _create_database(services: EmbeddedServices, name: str, template: str = "template0") -> None:
    statement = sql.SQL("create database {} template {} owner holdfast").format(
        sql.Identifier(name), sql.Identifier(template)
    )
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute(statement)


def _url_of(services: EmbeddedServices, name: str) -> str:
    return services.database_url.rsplit("/", 1)[0] + f"/{name}"
