"""What the database said, in the hub's own errors; no password and no row's content in them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from hub import ConfigError, HubError, ReconnectNeeded, RetryLater, ScopeMissing

from .readonly import grants

_INSTALLS = {
    "bigquery": "sqlalchemy-bigquery",
    "databricks": "databricks-sqlalchemy",
    "mssql": "pyodbc",
    "mysql": "pymysql",
    "oracle": "oracledb",
    "redshift": "sqlalchemy-redshift",
    "snowflake": "snowflake-sqlalchemy",
}
_LATER = "The next sync goes on from where this one stopped, nothing is lost"
_SLOWER = "Make the query cheaper (an index on cursor and key), or raise statement_timeout_s"
_RETRIED = ("08", "40", "53", "55", "57", "58", "XX")
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR)
_MAILBOX = re.compile(r"\S+@\S+")
_CONTENT = re.compile(r": (\"|').*", re.S)


def no_driver(drivername: str, module: str | None, *, where: str) -> ConfigError:
    """SQLAlchemy lacks the dialect, or the dialect its driver."""
    backend, _, driver = drivername.partition("+")
    package = module or _INSTALLS.get(backend) or driver or f"the SQLAlchemy dialect for {backend}"
    return ConfigError(
        f"the driver for {drivername} is not installed",
        where=where,
        do=f"Install {package} beside the hub (pip install), or correct the url's first part",
    )


def explained(
    error: DBAPIError, *, where: str, tables: tuple[str, ...], hidden: Collection[str]
) -> HubError:
    """The error that says what the hub does next. `hidden` are words that must never be shown."""
    cause: object = error.orig
    words = _words(str(cause), hidden)
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, words, where)
    state = str(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or "")
    if state:
        return _of_state(state, words, where, tables)
    if isinstance(error, OperationalError | InterfaceError):
        return _of_connecting(words, where)
    return _refused(words, where)


def _words(said: str, hidden: Collection[str]) -> str:
    line = (said.strip().splitlines() or ["no reason was given"])[0]
    for word in hidden:
        line = line.replace(word, "***")
    return _MAILBOX.sub("***", line)[:300]


def _refused(words: str, where: str) -> ConfigError:
    return ConfigError(
        f"the database refused the query: {words}",
        where=where,
        do="Correct query, key, cursor or columns in the connection's file",
    )


def _too_slow(where: str) -> RetryLater:
    return RetryLater(
        "the query took longer than statement_timeout_s", where=where, do=_SLOWER, code="DEADLINE"
    )


def _of_sqlite(cause: sqlite3.Error, words: str, where: str) -> HubError:
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        return _too_slow(where)
    if code in _BUSY:
        return RetryLater(f"the database did not answer: {words}", where=where, do=_LATER)
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB):
        return ConfigError(
            f"the file of the url is no database that can be opened: {words}",
            where=where,
            do="Write the file's whole path: sqlite:////path/to/usage.db",
        )
    return _refused(words, where)


def _of_state(state: str, words: str, where: str, tables: tuple[str, ...]) -> HubError:
    """By SQLSTATE, the codes that PostgreSQL and others share."""
    if state == "57014":
        return _too_slow(where)
    if state == "42501":
        return ScopeMissing(
            f"the database user may not read what the query names: {words}",
            where=where,
            do=f"Let an admin of the database run: {grants(tables).partition('; ')[2]}",
        )
    if state.startswith("28"):
        return _turned_away(words, where)
    if state.startswith(_RETRIED):
        return RetryLater(f"the database did not answer: {words}", where=where, do=_LATER)
    # A value that cannot be converted stands in the message: it may be a person's.
    return _refused(_CONTENT.sub("", words) if state.startswith("22") else words, where)


def _of_connecting(words: str, where: str) -> HubError:
    """By the words, since a connection that fails has no code."""
    said = words.lower()
    if "authentication failed" in said or "no password" in said or "role " in said:
        return _turned_away(words, where)
    if "database " in said and "does not exist" in said:
        return ConfigError(
            f"the server has no such database: {words}", where=where, do="Correct the url"
        )
    return RetryLater(f"the database did not answer: {words}", where=where, do=_LATER)


def _turned_away(words: str, where: str) -> ReconnectNeeded:
    return ReconnectNeeded(
        f"the database turned the user away: {words}",
        where=where,
        do=f"Correct user and password in the url, then run `hub check {where}`",
    )
