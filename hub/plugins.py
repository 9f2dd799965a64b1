"""Finds, loads and names plugins; what each one brings is attributed to it.

A plugin runs with the hub's own rights, so only distributions that the config names are imported.
Others that are installed are listed and stay untouched.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TypeGuard

import pluggy

from . import hookspecs
from .connector import Connector, ConnectorType
from .errors import PluginError

GROUP = "hub.plugins"
OURS = "retention-hub"

HOOKS: Mapping[str, str] = MappingProxyType(
    {
        "register_connectors": "connector",
        "register_matchers": "matcher",
        "register_measures": "measure",
        "register_plays": "rules",
        "register_commands": "command",
    }
)
"""Each hook that brings something, and the word for one such thing."""


@dataclass(frozen=True)
class PluginInfo:
    """One plugin for people: its name, where it comes from, and what it brings."""

    name: str
    distribution: str
    version: str
    brings: tuple[str, ...] = ()


def _no_hooks() -> pluggy.HookRelay:
    return _manager().hook


@dataclass(frozen=True)
class Plugins:
    """Everything that the loaded plugins bring, and which plugins were left alone."""

    connectors: Mapping[str, ConnectorType] = field(default_factory=dict)
    matchers: tuple[object, ...] = ()
    measures: tuple[object, ...] = ()
    definition_dirs: tuple[Path | Traversable, ...] = ()
    commands: tuple[object, ...] = ()
    hook: pluggy.HookRelay = field(default_factory=_no_hooks)
    loaded: tuple[PluginInfo, ...] = ()
    not_loaded: tuple[PluginInfo, ...] = ()


def load(distributions: Sequence[str], plugins_dir: Path | None = None) -> Plugins:
    """The plugins of the hub itself, of the named distributions, and of each file in `plugins_dir`.

    Raises PluginError for a plugin that cannot be imported, brings nothing, or brings something
    twice, and for a named distribution that has no plugin.
    """
    wanted = {_canonical(name): name for name in (OURS, *distributions)}
    found = sorted(_installed(), key=lambda one: (one.distribution != OURS, one.name))
    _refuse_missing(wanted, found)
    loading = _Loading()
    for candidate in found:
        if _canonical(candidate.distribution) in wanted:
            loading.add(candidate)
    for candidate in _files(plugins_dir):
        loading.add(candidate)
    others = [one.info for one in found if _canonical(one.distribution) not in wanted]
    return loading.done(not_loaded=tuple(others))


@dataclass(frozen=True)
class _Candidate:
    name: str
    distribution: str
    version: str
    load: Callable[[], object]

    @property
    def info(self) -> PluginInfo:
        return PluginInfo(self.name, self.distribution, self.version)

    def __str__(self) -> str:
        return f"plugin {self.name} ({self.distribution} {self.version})".replace(" )", ")")


def _installed() -> Iterator[_Candidate]:
    for point in entry_points(group=GROUP):
        name, version = _origin(point)
        yield _Candidate(point.name, name, version, point.load)


def _origin(point: EntryPoint) -> tuple[str, str]:
    return ("", "") if point.dist is None else (point.dist.name, point.dist.version)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _refuse_missing(wanted: Mapping[str, str], found: Sequence[_Candidate]) -> None:
    there = {_canonical(one.distribution) for one in found}
    for canonical, name in wanted.items():
        if canonical not in there:
            raise PluginError(
                f"no plugin of the distribution {name} is installed here",
                do=f"Run pip install {name}, or take it out of plugins: in config/hub.yaml",
            )


def _files(plugins_dir: Path | None) -> Iterator[_Candidate]:
    if plugins_dir is None:
        return
    if not plugins_dir.is_dir():
        raise PluginError(f"{plugins_dir} is not a folder", do="Name a folder with *.py files")
    for path in sorted(plugins_dir.glob("*.py")):
        yield _Candidate(path.stem, path.name, "", partial(_module_of, path))


def _module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"hub_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("hub")
    manager.add_hookspecs(hookspecs)
    return manager


class _Loading:
    """Imports plugins one after the other and keeps what each registers under its name."""

    def __init__(self) -> None:
        self.manager = _manager()
        self.things: dict[str, dict[str, object]] = {hook: {} for hook in HOOKS}
        self.first: dict[tuple[str, str], str] = {}
        self.loaded: list[PluginInfo] = []

    def add(self, candidate: _Candidate) -> None:
        plugin = self.imported(candidate)
        brings: list[str] = []
        for hook in HOOKS:
            self.ask(hook, plugin, candidate, brings)
        callers = self.manager.get_hookcallers(plugin) or ()
        brings += [caller.name for caller in callers if caller.name not in HOOKS]
        if not brings:
            what = f"{candidate} registers nothing"
            raise PluginError(what, do="Mark a function of its module with @hookimpl")
        self.loaded.append(replace(candidate.info, brings=tuple(brings)))

    def imported(self, candidate: _Candidate) -> object:
        try:
            plugin = candidate.load()
            self.manager.register(plugin, f"{candidate.distribution}:{candidate.name}")
            self.manager.check_pending()
        except (Exception, SystemExit) as error:
            raise PluginError(f"{candidate} cannot be loaded: {_reason(error)}") from error
        return plugin

    def ask(self, hook: str, plugin: object, candidate: _Candidate, brings: list[str]) -> None:
        others = [other for other in self.manager.get_plugins() if other is not plugin]

        def register(thing: object) -> None:
            self.keep(hook, thing, candidate)
            brings.append(f"{HOOKS[hook]} {_label(thing)}")

        try:
            self.manager.subset_hook_caller(hook, others)(register=register)
        except PluginError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(f"{candidate} failed in {hook}: {_reason(error)}") from error

    def keep(self, hook: str, thing: object, candidate: _Candidate) -> None:
        word, name = HOOKS[hook], _name(thing)
        if fault := _fault(hook, thing):
            raise PluginError(f"{candidate} registers {name} as {word}, but it {fault}")
        if first := self.first.get((hook, name)):
            raise PluginError(
                f"{candidate} registers the {word} {name} a second time, after {first}",
                do="Give one of them another name, or load only one of the plugins",
            )
        self.first[hook, name] = str(candidate)
        self.things[hook][name] = thing

    def done(self, not_loaded: tuple[PluginInfo, ...]) -> Plugins:
        connectors = self.things["register_connectors"].items()
        folders = self.things["register_plays"].values()
        return Plugins(
            connectors={name: one for name, one in connectors if _is_connector(one)},
            matchers=tuple(self.things["register_matchers"].values()),
            measures=tuple(self.things["register_measures"].values()),
            definition_dirs=tuple(one for one in folders if _is_folder(one)),
            commands=tuple(self.things["register_commands"].values()),
            hook=self.manager.hook,
            loaded=tuple(self.loaded),
            not_loaded=not_loaded,
        )


def _fault(hook: str, thing: object) -> str | None:
    if hook == "register_connectors":
        if not _is_connector(thing):
            return "is not a Connector class"
        return None if thing.name else "has no name"
    if hook == "register_plays":
        return None if _is_folder(thing) else "is not a folder"
    return None if callable(thing) or hasattr(thing, "name") else "can neither be called nor named"


def _is_connector(thing: object) -> TypeGuard[ConnectorType]:
    return isinstance(thing, type) and issubclass(thing, Connector)


def _is_folder(thing: object) -> TypeGuard[Path | Traversable]:
    return isinstance(thing, Path | Traversable) and thing.is_dir()


def _name(thing: object) -> str:
    if isinstance(thing, Path | Traversable):
        return str(thing)
    name = getattr(thing, "name", None) or getattr(thing, "__name__", None)
    return name if isinstance(name, str) else repr(thing)


def _label(thing: object) -> str:
    return thing.name if isinstance(thing, Path | Traversable) else _name(thing)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
