"""What a command works with: the process's settings, the config, the database, the lock.

Commands that run verbs hold the lock of the data directory; reading commands take none.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from ..env import Env
from ..errors import ConfigError, HubError, StoreError, UsageError
from .signals import sleep

if TYPE_CHECKING:
    from ..config import Config, HubEnv
    from ..store import Database

DATABASE, LOCK, LOG = "hub.db", "lock", "hub.log"
LOG_SIZE = 10 * 2**20


class Session:
    """Everything from the environment, read when it is first needed."""

    def __init__(self, settings: HubEnv | None = None) -> None:
        from ..config import HubEnv

        self.settings = settings or HubEnv()
        self.env = Env(sleep=sleep)
        if self.settings.database_url is not None:
            _keep_secret(self.settings.database_url.get_secret_value())

    @property
    def data_dir(self) -> Path:
        """HUB_DATA_DIR, else ./var."""
        return self.settings.data_dir

    @cached_property
    def config(self) -> Config:
        """The config folder; raises one ConfigError with every problem in it."""
        from ..config import load_config

        return load_config(self.settings.config_dir, os.environ)

    @property
    def database_url(self) -> str:
        """HUB_DATABASE_URL, else the file in the data directory."""
        from ..store import sqlite_url

        if self.settings.database_url is not None:
            return self.settings.database_url.get_secret_value()
        return sqlite_url(self.data_dir / DATABASE)

    @contextmanager
    def working(self) -> Iterator[Database]:
        """The database for a command that runs verbs: nobody else runs one meanwhile."""
        make_private(self.data_dir)
        with only_one(self.data_dir):
            yield from self._opened()

    @contextmanager
    def writing(self) -> Iterator[Database]:
        """The database for a single short write; no lock, it may be made here."""
        make_private(self.data_dir)
        yield from self._opened()

    @contextmanager
    def reading(self) -> Iterator[Database]:
        """The database as it stands; NOT_FOUND before the first run."""
        if self.settings.database_url is None and not (self.data_dir / DATABASE).is_file():
            raise HubError(
                f"nothing has been read yet: {self.data_dir / DATABASE} is not there",
                do="Run `hub run` first, or name the data directory in HUB_DATA_DIR",
                code="NOT_FOUND",
            )
        yield from self._opened()

    def _opened(self) -> Iterator[Database]:
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError

        from ..store import open_database

        self.log_to_file()
        if self.settings.database_url is None:
            _touch_private(self.data_dir / DATABASE)
        try:
            database = open_database(self.database_url)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise ConfigError(
                "HUB_DATABASE_URL is not the address of a database that the hub knows",
                do="Write postgresql://user:password@host/database, or leave it out",
            ) from error
        try:
            yield database
        finally:
            database.close()

    def decision(self, database: Database, day: date | None) -> int:
        """The run of the current decision, or of one for a day."""
        from ..accounts import current_decision, decision_of

        if day is None:
            return current_decision(database)
        return decision_of(self.config, database, self.env, day)

    @property
    def log_file(self) -> Path:
        """Where logs and the traces of faults go."""
        return self.data_dir / LOG

    def log_to_file(self) -> None:
        """Send logs to the data directory; with HUB_LOG set they go to stderr instead."""
        from .. import log

        level = self.settings.log.upper()
        if level not in logging.getLevelNamesMapping():
            raise UsageError(f"HUB_LOG is {level}, which is no level", do="Write INFO or DEBUG")
        if "HUB_LOG" in os.environ:
            log.configure(level)
        elif self.data_dir.is_dir():
            log.configure(level, stream=open_log(self.log_file))


def open_log(path: Path) -> TextIO:
    """A log file that only its owner reads; one that has grown large is put beside, once."""
    if path.exists() and path.stat().st_size > LOG_SIZE:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a")


def make_private(directory: Path) -> None:
    """Make a directory that only its owner may enter; one that is there keeps its rights."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(None, "it belongs to somebody else")
    except OSError as error:
        _refuse_directory(directory, error)


def _touch_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        _refuse_directory(path.parent, error)


def _refuse_directory(directory: Path, error: OSError) -> NoReturn:
    full = error.errno == errno.ENOSPC
    raise StoreError(
        f"the data directory {directory} cannot be used: {error.strerror}",
        do="Free some space" if full else "Name another one in HUB_DATA_DIR, or change its rights",
        code="DISK_FULL" if full else "DATABASE_FAILED",
    ) from error


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold the lock of a data directory; ALREADY_RUNNING when another process does."""
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise HubError(
                f"another hub process (number {other}) works on {directory}",
                do="Wait until it has ended, or give this one another HUB_DATA_DIR",
                code="ALREADY_RUNNING",
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def _keep_secret(url: str) -> None:
    from urllib.parse import unquote, urlsplit

    from ..log import secrets

    try:
        password = urlsplit(url).password
    except ValueError:
        return
    secrets.add(password)
    secrets.add(unquote(password) if password else None)
