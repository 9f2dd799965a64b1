"""`hub demo`: everything on a made-up company, so that a newcomer sees it work within a minute."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import select

from ..config import Config, HubEnv, load_config
from ..deliver import make_plan
from ..errors import UsageError
from ..store import Database, table_of
from ..store.tables import HubAccount, Verdict
from ..testing.stand import Stand
from ..testing.world_cast import ZONE
from .output import note, say, say_json
from .session import Session, make_private, only_one
from .signals import wait_until_stopped
from .standins import sandboxes
from .summary import line
from .verbs import Told, run_steps

HOME = Path(".hub-demo")
MARK = "made-by-hub-demo"


def demo(scenario: str, seed: int, port_base: int, *, serve: bool, as_json: bool) -> int:
    """Make a fresh .hub-demo/, run all four verbs in it, plan once more, then serve."""
    _fresh(HOME)
    settings = HubEnv(config_dir=HOME / "config", data_dir=HOME / "var", database_url=None)
    session = Session(settings)
    today = session.env.today(ZoneInfo(ZONE))
    note(f"making a company and its vendors ({scenario}, as of {today})")
    with Stand.open(
        scenario,
        seed,
        today,
        sandboxes=sandboxes(),
        usage=HOME / "usage.db",
        port_base=port_base,
        env=session.env,
    ) as stand:
        stand.write_config(HOME)
        code = _show(session, stand, as_json)
        with suppress(KeyboardInterrupt):
            if not as_json:
                say("ready")
            if serve:
                wait_until_stopped()
    return code


def _show(session: Session, stand: Stand, as_json: bool) -> int:
    config = load_config(session.settings.config_dir, {})
    with session.working() as database:
        told = run_steps(config, database, session, lambda verbs: verbs.steps(), quiet=True)
        left = _left_to_do(config, database, session)
        urls = {vendor: box.url for vendor, box in stand.sandboxes.items()}
        example = _example(database)
    if as_json:
        say_json(told.document() | {"second_plan": left, "look": urls, "example": example})
        return told.exit_code
    _say(told, left, urls, example)
    return told.exit_code


def _left_to_do(config: Config, database: Database, session: Session) -> int:
    """How many writes a second plan would hold."""
    return make_plan(config, database, session.env).items


def _say(told: Told, left: int, urls: dict[str, str], example: str | None) -> None:
    told.say(after=f" · second plan: {f'{left:,} items' if left else 'nothing to do'}")
    views = "   ".join(f"{vendor}'s view {url}" for vendor, url in urls.items())
    say(line("look", f"{views}   try: cd {HOME} && hub explain {_quoted(example or '')}"))


def _example(database: Database) -> str | None:
    """An account worth explaining: the worst one."""
    accounts, verdicts = table_of(HubAccount), table_of(Verdict)
    statement = (
        select(accounts.c.name)
        .join(verdicts, verdicts.c.account_id == accounts.c.id)
        .where(verdicts.c.status == "at_risk", accounts.c.name.is_not(None))
        .order_by(verdicts.c.high, accounts.c.name)
        .limit(1)
    )
    with database.read() as reading:
        found: str | None = reading.execute(statement).scalar()
    return found


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "'\\''") + "'" if set(name) & set('"$`\\!') else f'"{name}"'


def _fresh(home: Path) -> None:
    """An empty folder; an earlier demo's is removed, anybody else's is not touched."""
    if home.exists():
        if not (home / MARK).is_file():
            raise UsageError(
                f"{home} is there and was not made by hub demo",
                do="Move it away, or run hub demo in another folder",
            )
        make_private(home / "var")
        with only_one(home / "var"):
            shutil.rmtree(home)
    make_private(home)
    (home / MARK).write_text("hub demo removes this folder when it runs again.\n", "utf-8")
