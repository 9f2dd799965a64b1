"""The command tree: our commands, and those that plugins bring, loaded only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import HubError, PluginError


class HubGroup(TyperGroup):
    """Ours first; a plugin's command cannot take the name of one of ours."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command's name; a broken plugin only misses in the list, with a word on stderr."""
        try:
            brought = list(self.brought)
        except HubError as error:
            typer.echo(f"{error.code}: {error}", err=True)
            brought = []
        return [*self.commands, *brought]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; plugins are loaded only when it is none of ours."""
        return self.commands.get(cmd_name) or self.brought.get(cmd_name)

    @cached_property
    def brought(self) -> dict[str, Any]:
        """The commands of the plugins that config/hub.yaml names."""
        from .plugins import commands_of_plugins

        found: dict[str, Any] = {}
        for thing in commands_of_plugins():
            name, command = _command(thing)
            if name in self.commands or name in found:
                what = f"a plugin brings the command {name}, which there is already"
                raise PluginError(what, do="Give it another name")
            found[name] = command
        return found


def _command(thing: Any) -> tuple[str, Any]:
    """A registered function, or a Typer with commands of its own, as a command."""
    if isinstance(thing, typer.Typer):
        name = thing.info.name
        if not isinstance(name, str):
            raise PluginError("a plugin's Typer has no name", do="Write typer.Typer(name=…)")
        return name, typer.main.get_group(thing)
    function: Callable[..., Any] = thing
    name = str(getattr(thing, "name", None) or function.__name__).replace("_", "-")
    made = typer.Typer(add_completion=False, rich_markup_mode=None)
    made.command(name)(function)
    return name, typer.main.get_command(made)
