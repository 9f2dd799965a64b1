"""The usage database of the stand-ins, read by the hub itself with the config that is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from hub import ConfigError, Env
from hub.config import Config, load_config
from hub.plugins import load
from hub.store import Database, open_database, table_of
from hub.store.progress import load_checkpoint
from hub.store.tables import Aside, VendorRow
from hub.sync import StreamOutcome, sync
from hub.testing.scenarios import build
from hub.testing.stand_files import write_stand_config, write_usage
from hub.testing.world import World

TODAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass
class Hub:
    """A hub with a usage connection alone."""

    config: Config
    database: Database
    usage: Path

    def run(self) -> StreamOutcome:
        """One sync."""
        (outcome,) = sync(self.config, self.database, Env(clock=lambda: NOON)).outcomes
        return outcome

    def in_the_product(self, statement: str) -> list[Any]:
        """What the product's own program sees or does in its database."""
        with closing(sqlite3.connect(self.usage)) as product, product:
            return product.execute(statement).fetchall()

    def one(self, statement: Any) -> Any:
        with self.database.read() as reading:
            return reading.execute(statement).scalar()


@pytest.fixture(params=["small", "ravenstack"])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hub]:
    world = build(request.param, seed=7, as_of=TODAY)
    write_usage(tmp_path / "usage.db", world)
    config = load_config(_usage_alone(tmp_path, world), {}, load([]))
    database = open_database(f"sqlite:///{tmp_path / 'hub.db'}")
    yield Hub(config, database, tmp_path / "usage.db")
    database.close()


def _usage_alone(folder: Path, world: World) -> Path:
    """The config of a stand without its vendors, to whom tasks would go."""
    write_stand_config(folder, world, {}, folder / "usage.db")
    file = folder / "config" / "hub.yaml"
    file.write_text(file.read_text().replace("\ntasks_to:", "\n# tasks_to:"))
    return folder / "config"


def test_the_usage_of_a_stand_is_read_once_and_a_second_run_changes_nothing(hub: Hub) -> None:
    backfill = hub.config.connections["usage"].backfill + timedelta(days=1)
    first_day = (NOON - backfill).date()
    ((there,),) = hub.in_the_product(f"SELECT count(*) FROM usage_days WHERE day >= '{first_day}'")

    first, second = hub.run(), hub.run()

    with hub.database.read() as reading:
        checkpoint = load_checkpoint(reading, "usage", "usage")
    stored = hub.one(select(func.count()).select_from(table_of(VendorRow)))
    assert first.problem is None
    assert first.counts.read == first.counts.new == stored == there > 1000
    assert (second.counts.new, second.counts.changed) == (0, 0)
    assert checkpoint is not None
    assert checkpoint["complete_at"] is not None


def test_a_doubled_id_with_another_content_is_set_aside(hub: Hub) -> None:
    hub.in_the_product("CREATE TABLE copy AS SELECT * FROM usage_days")
    hub.in_the_product("DROP TABLE usage_days")
    hub.in_the_product("ALTER TABLE copy RENAME TO usage_days")
    hub.in_the_product(
        "INSERT INTO usage_days SELECT id, account_id, domain, crm_id, day, event, person,"
        " count + 1, updated_at FROM usage_days ORDER BY updated_at DESC, id DESC LIMIT 1"
    )

    counts = hub.run().counts

    assert counts.aside == 1
    assert counts.read == counts.new + counts.changed + counts.same + counts.aside
    assert "twice in one page with two contents" in hub.one(select(table_of(Aside).c.why))


def test_a_mistake_in_the_columns_is_told_with_file_and_line(tmp_path: Path) -> None:
    world = build("small", seed=7, as_of=TODAY)
    config = _usage_alone(tmp_path, world)
    file = config / "connections" / "usage.yaml"
    file.write_text(
        "connector: sql\nsettings:\n  url: env:USAGE_URL\n  columns:\n    dai: seen_on\n"
    )

    with pytest.raises(ConfigError, match=r"usage\.yaml, line 5") as mistaken:
        load_config(config, {}, load([]))

    assert "dai" in str(mistaken.value)
