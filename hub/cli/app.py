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
Scenario = Annotated[str, typer.Option("--scenario", help="small, demo or ravenstack.")]
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
    """Run the vendors' stand-ins, with URLs and credentials."""
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
    """Prove the config, each sign-in and its permissions."""
    from .check import check

    return check(connection, preview, as_json)


@app.command()
def sync(
    connections: Annotated[
        list[str] | None, typer.Argument(help="The connections to read; else all.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Read what is new from the vendors into rows."""
    from .verbs import sync

    return sync(connections or [], as_json)


@app.command()
def unify(as_json: Json = False) -> int:
    """Join rows into accounts with their facts."""
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
    """Plan what to write: old, new and why; writes nothing."""
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
    """Do all four once: sync, unify, decide, deliver."""
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
    """List every customer with status, score and reasons."""
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
    """Prove an account's status, down to the vendors' rows."""
    from .explain import explain

    return explain(account, as_of, as_json)


@app.command()
def doctor(
    aside: Annotated[
        bool, typer.Option("--aside", help="List every row that was set aside or rejected.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Look over environment, config, data and connections."""
    from .doctor import doctor

    return doctor(aside, as_json)


@app.command()
def plugins(
    plugins_dir: Annotated[
        Path | None,
        typer.Option("--plugins-dir", metavar="DIR", help="Also load each *.py file in there."),
    ] = None,
    as_json: Json = False,
) -> int:
    """List what is loaded, and what was left alone."""
    from .plugins import plugins

    return plugins(plugins_dir, as_json)
