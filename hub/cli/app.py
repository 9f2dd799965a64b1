"""Every command of the hub with its arguments; what each does is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .group import HubGroup

app = typer.Typer(
    cls=HubGroup,
    name="hub",
    help="Reads your tools, decides once which customer is at risk, and writes it back.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 done in part.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="DAY", help="A day like 2026-03-04; else today.")
]
Scenario = Annotated[
    str, typer.Option("--scenario", metavar="NAME", help="small, demo or ravenstack.")
]
Seed = Annotated[int, typer.Option("--seed", help="Another number makes another company.")]
PortBase = Annotated[
    int, typer.Option("--port-base", help="Ports begin after this one; 0 takes free ports.")
]


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where config/ is to stand.")] = Path("."),
    as_json: Json = False,
) -> int:
    """Write a starter config/ with comments and schemas."""
    from .starter import init

    return init(directory, as_json)


@app.command()
def sandbox(
    scenario: Scenario = "demo",
    seed: Seed = 7,
    port_base: PortBase = 8700,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="Remember there what they hold.")
    ] = None,
    write_config: Annotated[
        Path | None,
        typer.Option("--write-config", metavar="DIR", help="Write DIR/config and DIR/.env."),
    ] = None,
    as_of: AsOf = None,
    as_json: Json = False,
) -> int:
    """Run the vendors' stand-ins, with URLs and credentials.

    Each stands at the root of its own port on 127.0.0.1, until the command is stopped. With --json
    it prints one line: as_of, usage, and vendors with url, token and what else signing in takes.
    """
    from .standins import sandbox

    return sandbox(scenario, seed, port_base, state, write_config, as_of, as_json)


@app.command()
def demo(
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="End after the second plan.")
    ] = False,
    scenario: Scenario = "demo",
    seed: Seed = 7,
    port_base: PortBase = 8700,
    as_json: Json = False,
) -> int:
    """See all four verbs on a made-up company.

    Works in .hub-demo/ of the current folder; nothing leaves this machine. An earlier demo there
    is removed.
    """
    from .demo import demo

    return demo(scenario, seed, port_base, serve=not no_serve, as_json=as_json)


@app.command()
def check(
    connection: Annotated[str | None, typer.Argument(help="One connection; else all.")] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show ten mapped rows of each stream.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Prove the config, each sign-in and its permissions.

    What only a write could prove is said to be so. A preview stores nothing.
    """
    from .check import check

    return check(connection, preview, as_json)


@app.command()
def sync(
    connections: Annotated[
        list[str] | None, typer.Argument(help="The connections to read; else all.")
    ] = None,
    accept_gone: Annotated[
        list[str] | None,
        typer.Option("--accept-gone", metavar="STREAM", help="Many of its records were deleted."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Read what is new from the vendors into rows.

    A page, its checkpoint and its counters are stored together, so a stop loses nothing. A broken
    connection or stream does not stop the others.
    """
    from .verbs import sync

    return sync(connections or [], accept_gone or [], as_json)


@app.command()
def unify(as_json: Json = False) -> int:
    """Join rows into accounts with their facts.

    A row that cannot be mapped is listed with its reason and tried again by every run.
    """
    from .verbs import unify

    return unify(as_json)


@app.command()
def decide(as_of: AsOf = None, as_json: Json = False) -> int:
    """Judge every customer.

    A past day is a what-if: it is stored as a replay and changes nothing.
    """
    from .verbs import decide

    return decide(as_of, as_json)


@app.command()
def plan(
    show: Annotated[
        int | None, typer.Option("--show", metavar="PLAN", help="Show a stored plan.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Plan what to write: old, new and why; writes nothing.

    The plan is stored under a number; a newer one replaces it.
    """
    from .plans import plan

    return plan(show, as_json)


@app.command()
def apply(
    plan: Annotated[int, typer.Argument(help="The number that hub plan gave.")],
    as_json: Json = False,
) -> int:
    """Write a plan into the tools.

    A target that changed since the plan was made is left alone and listed.
    """
    from .plans import apply

    return apply(plan, as_json)


@app.command()
def run(as_json: Json = False) -> int:
    """Do all four once: sync, unify, decide, deliver.

    Says in five lines what was read, joined, judged, decided and wrote. Deliver writes where a
    connection's file says deliver: auto, and plans where it says plan.
    """
    from .verbs import run

    return run(as_json)


@app.command()
def accounts(
    as_of: AsOf = None,
    review: Annotated[
        bool, typer.Option("--review", help="List pairs of accounts that may be one.")
    ] = False,
    as_json: Json = False,
) -> int:
    """List every customer with status, score and reasons.

    On a terminal a table; else, and with --json, JSON lines: account_id, name, domains, lifecycle,
    segment, status, band, score (low, high, point), confidence, since, reasons, owner, renewal_on,
    mrr (amount_minor, currency), links (vendor, object, id, url). A past day is a what-if.
    """
    from .accounts import accounts

    return accounts(as_of, review, as_json)


@app.command()
def explain(
    account: Annotated[
        str,
        typer.Argument(help="An account id, domain, name, vendor/object/id, or a task's key."),
    ],
    as_of: AsOf = None,
    as_json: Json = False,
) -> int:
    """Prove an account's status, down to the vendors' rows.

    A name need not be whole; when it fits several accounts they are listed. A past day is a
    what-if.
    """
    from .explain import explain

    return explain(account, as_of, as_json)


@app.command()
def doctor(
    aside: Annotated[
        bool, typer.Option("--aside", help="List every row that was set aside or rejected.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Look over environment, config, data and connections.

    Ends with 1 when something is bad; what is only worth a look does not count.
    """
    from .doctor import doctor

    return doctor(aside, as_json)


@app.command()
def dump(
    canonical: Annotated[
        bool, typer.Option("--canonical", help="The one form there is: sorted JSON lines.")
    ] = True,
    as_json: Json = False,
) -> int:
    """Tell the state in lines that compare.

    The same facts and actions give the same lines on every database and in every order of loading;
    run numbers, times and ids that vendors gave are left out. The lines are JSON in any case.
    """
    from .dump import dump

    return dump()


@app.command()
def plugins(
    plugins_dir: Annotated[
        Path | None,
        typer.Option("--plugins-dir", metavar="DIR", help="Also load each *.py file in there."),
    ] = None,
    as_json: Json = False,
) -> int:
    """List what is loaded, and what was left alone.

    Only distributions under plugins: in hub.yaml are imported; others are named here.
    """
    from .plugins import plugins

    return plugins(plugins_dir, as_json)
