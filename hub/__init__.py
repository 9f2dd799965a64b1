"""The names a plugin author imports at run time; `hub.testing` is the other public module.

Each is loaded when it is first asked for, so that `hub --help` does not wait for a database.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connector import (
        Changes,
        Checked,
        Connector,
        Mapped,
        Observed,
        Page,
        Position,
        Receipt,
        Row,
        Rows,
        Settings,
        changes,
        finds,
        observes,
        stream,
        writes,
    )
    from .env import Env
    from .errors import (
        ConfigError,
        FeedExpired,
        HubError,
        PluginError,
        ReadRefused,
        ReconnectNeeded,
        RecordRejected,
        RetryLater,
        ScopeMissing,
        WriteRefused,
        WriteUnknown,
    )
    from .facts import Facts, Measured
    from .hookspecs import Register, hookimpl
    from .http import Answer, Http, Limit, Token
    from .measures import Measure, measure
    from .model import (
        Account,
        AccountRef,
        AddNote,
        ChangeTask,
        CloseTask,
        CreateTask,
        Deal,
        DefineField,
        FieldSpec,
        Ignored,
        Invoice,
        Option,
        Owner,
        PaymentAttempt,
        Person,
        Record,
        RecordKey,
        SetFields,
        Subscription,
        Ticket,
        UsageDay,
    )

__all__ = [
    "Account",
    "AccountRef",
    "AddNote",
    "Answer",
    "ChangeTask",
    "Changes",
    "Checked",
    "CloseTask",
    "ConfigError",
    "Connector",
    "CreateTask",
    "Deal",
    "DefineField",
    "Env",
    "Facts",
    "FeedExpired",
    "FieldSpec",
    "Http",
    "HubError",
    "Ignored",
    "Invoice",
    "Limit",
    "Mapped",
    "Measure",
    "Measured",
    "Observed",
    "Option",
    "Owner",
    "Page",
    "PaymentAttempt",
    "Person",
    "PluginError",
    "Position",
    "ReadRefused",
    "Receipt",
    "ReconnectNeeded",
    "Record",
    "RecordKey",
    "RecordRejected",
    "Register",
    "RetryLater",
    "Row",
    "Rows",
    "ScopeMissing",
    "SetFields",
    "Settings",
    "Subscription",
    "Ticket",
    "Token",
    "UsageDay",
    "WriteRefused",
    "WriteUnknown",
    "changes",
    "finds",
    "hookimpl",
    "measure",
    "observes",
    "stream",
    "writes",
]

_HOMES = ("env", "errors", "model", "hookspecs", "connector", "http", "measures", "facts")
"""The modules that bring the names, the quickest to load first."""


if not TYPE_CHECKING:

    def __getattr__(name):
        for home in _HOMES if name in __all__ else ():
            module = import_module(f".{home}", __name__)
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
