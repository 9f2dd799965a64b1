"""unify: rows → accounts, facts and history. No network; the day comes as an argument.

Map what changed, join records into accounts through the link log, give each fact its account,
conclude what is known about every account. Each part can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

from ..config import Config
from ..log import logger
from ..store import Database
from ..store.progress import begin_run, end_run
from .accounts import LinkCounts, link_accounts
from .assign import assign_accounts, unassigned
from .conclude import conclude, priority
from .domains import registered_domain
from .records import MapCounts, map_stream

log = logger("unify")


@dataclass
class Unified:
    """What a unify run did, for the summary and the count equation of each stream."""

    run: int
    mapped: dict[tuple[str, str], MapCounts] = field(default_factory=dict)
    links: LinkCounts = field(default_factory=LinkCounts)
    lifecycles: dict[str, int] = field(default_factory=dict)
    unassigned: dict[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """Rows that could not be mapped; they are tried again by every run."""
        return sum(len(counts.rejected) for counts in self.mapped.values())


def unify(
    config: Config,
    database: Database,
    *,
    now: datetime,
    day: date,
    progress: Callable[[str, str, MapCounts], None] = lambda connection, stream, counts: None,
) -> Unified:
    """Bring the account model in line with the rows. `now` is when the hub learns it."""
    run = begin_run(database, "unify", now=now, as_of=day, versions={"config": config.digest})
    unified = Unified(run)
    for connection in config.connections.values():
        for stream in connection.type.streams.values():
            counts = map_stream(database, connection, stream, now=now, zone=config.zone)
            unified.mapped[(connection.name, stream.name)] = counts
            progress(connection.name, stream.name, counts)
    home = next(iter(priority(config)), None)
    shared = frozenset(registered_domain(one) or one for one in config.shared_domains)
    unified.links = link_accounts(database, home=home, shared=shared, run=run, now=now)
    assign_accounts(database, shared)
    unified.lifecycles = conclude(database, config, now=now, day=day)
    with database.read() as reading:
        unified.unassigned = unassigned(reading)
    result = "partly" if unified.rejected else "done"
    end_run(database, run, now=now, result=result, counts=unified.lifecycles)
    log.info("unify.finished", accounts=unified.links.accounts, rejected=unified.rejected)
    return unified
