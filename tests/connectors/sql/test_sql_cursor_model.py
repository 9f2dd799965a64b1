"""R4 as a model: a product writes, late and again, while the hub reads and is stopped anywhere."""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from connectors.sql import Sql, SqlSettings
from hub import Env, Position

LAG_S = 300
TABLE = "CREATE TABLE usage_days (id PRIMARY KEY, updated_at, day, event, count)"


class ProductAndHub(RuleBasedStateMachine):
    """Rows become visible up to LAG_S after the instant they carry."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "usage.db"
        self.now = datetime(2026, 3, 4, 12, tzinfo=UTC)
        self.at: Position | None = None
        self.seen: dict[str, int] = {}
        self.versions = itertools.count()
        self._write(TABLE)

    def _write(self, statement: str, *given: object) -> None:
        with closing(sqlite3.connect(self.path)) as database, database:
            database.execute(statement, given)

    @rule(key=st.integers(0, 12), late_s=st.integers(0, LAG_S))
    def the_product_writes_a_row(self, key: int, late_s: int) -> None:
        written = f"{self.now - timedelta(seconds=late_s):%Y-%m-%d %H:%M:%S}"
        self._write(
            "INSERT OR REPLACE INTO usage_days VALUES (?, ?, '2026-03-04', 'login', ?)",
            key,
            written,
            next(self.versions),
        )

    @rule(seconds=st.sampled_from([0, 1, 60, 299, 301, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(page_rows=st.integers(1, 5), pages=st.integers(1, 6))
    def the_hub_reads_and_may_be_stopped(self, page_rows: int, pages: int) -> None:
        made = SqlSettings(url=f"sqlite:///{self.path}", page_rows=page_rows, lag_s=LAG_S)
        connector = Sql(made, Env(clock=lambda: self.now, monotonic=lambda: 0.0))
        for page in itertools.islice(connector.usage(self.at), pages):
            self.seen |= {row["id"]: row["count"] for row in page.rows}
            self.at = page.at or self.at
        connector.close()

    @rule(page_rows=st.integers(1, 5))
    def a_whole_read_makes_the_hub_agree(self, page_rows: int) -> None:
        self.the_hub_reads_and_may_be_stopped(page_rows, pages=1000)
        with closing(sqlite3.connect(self.path)) as database:
            assert self.seen == dict(database.execute("SELECT id, count FROM usage_days"))

    def teardown(self) -> None:
        self.a_whole_read_makes_the_hub_agree(page_rows=3)
        self.folder.cleanup()


TestR4NoRowIsLost = ProductAndHub.TestCase
TestR4NoRowIsLost.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
