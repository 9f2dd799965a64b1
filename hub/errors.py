"""What can go wrong, named by what the hub does next; each class and code stands here once.

A message says what happened, where, and what to do; it never carries a token or an e-mail address.
The codes are stable: docs, logs and JSON answers use them.
"""

from __future__ import annotations

from typing import ClassVar

CODES: dict[str, str] = {
    "CONFIG_INVALID": "A file in config/ has a value that the hub cannot use.",
    "CONFIG_SECRET_MISSING": "A secret that a file refers to is not there.",
    "CONDITION_REFUSED": "A rule's condition uses a name or a form that is not in the language.",
    "USAGE": "The command was called in a way it does not know.",
    "RECONNECT_NEEDED": "The vendor no longer accepts the credentials.",
    "SCOPE_MISSING": "The credentials work, but one permission is not granted.",
    "WRONG_ACCOUNT": "The credentials belong to another vendor account than before.",
    "RATE_LIMITED": "The vendor asked to wait.",
    "VENDOR_DOWN": "The vendor did not answer, or answered with a server error.",
    "DEADLINE": "The vendor took longer than the time allowed for one answer.",
    "BODY_TOO_LARGE": "The vendor's answer is larger than the hub accepts.",
    "AUTH_OR_PROXY_PAGE": "An HTML page came where JSON was due, usually a login page or a proxy.",
    "SHAPE": "The vendor's answer is not of the documented shape.",
    "HOST_REFUSED": "A request or link leads to a host that the connection does not name.",
    "VENDOR_REFUSED": "The vendor refused a read.",
    "PAGINATION_STUCK": "The vendor's paging stopped moving forward.",
    "FEED_EXPIRED": "The change feed no longer reaches back to where the hub stopped.",
    "MASS_DELETE": "More records would be marked gone than the guard allows.",
    "RECORD_REJECTED": "A vendor row could not be mapped.",
    "WRITE_REFUSED": "The vendor refused a write.",
    "WRITE_UNKNOWN": "It is not known yet whether a write arrived.",
    "TARGET_CHANGED": "The target was changed since the plan was made.",
    "TARGET_GONE": "The target of a write no longer exists.",
    "APPROVAL_NEEDED": "The plan is larger than the limits for one unattended run.",
    "PLUGIN_BROKEN": "A plugin could not be loaded or failed.",
    "DATABASE_NEWER": "The database was made by a newer version of the hub.",
    "DATABASE_BUSY": "The database stayed locked by another process.",
    "DATABASE_FAILED": "The database could not read or write.",
    "DISK_FULL": "There is no space left to write to.",
    "ALREADY_RUNNING": "Another hub process works on the same data directory.",
    "PORT_IN_USE": "A port that the hub wants to listen on is taken.",
    "INTERRUPTED": "The command was stopped by the person or the system.",
    "NOT_FOUND": "Nothing with that name is known.",
    "AMBIGUOUS": "The name fits more than one thing.",
    "UNEXPECTED": "A fault in the hub itself.",
}


class HubError(Exception):
    """The root of everything the hub raises on purpose.

    `where` is a file with line, a connection or an account; `do` is the next step for a person.
    """

    default_code: ClassVar[str] = "UNEXPECTED"

    def __init__(
        self, what: str, *, where: str | None = None, do: str | None = None, code: str | None = None
    ) -> None:
        self.what = what.rstrip(".")
        self.where = where
        self.do = do.rstrip(".") if do else None
        self.code = code or self.default_code
        if self.code not in CODES:
            raise KeyError(f"{self.code} is not in hub.errors.CODES")
        super().__init__(self.what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" {self.do}." if self.do else ""
        return f"{place}{self.what}.{advice}"


class ConfigError(HubError):
    """Stop: an admin must edit a file. `problems` holds every problem found, not just the first."""

    default_code = "CONFIG_INVALID"

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        do: str | None = None,
        code: str | None = None,
        problems: tuple[ConfigError, ...] = (),
    ) -> None:
        super().__init__(what, where=where, do=do, code=code)
        self.problems = problems or (self,)

    def __str__(self) -> str:
        if self.problems == (self,):
            return super().__str__()
        return "\n".join(str(problem) for problem in self.problems)


class UsageError(HubError):
    """The command line was used wrongly; nothing was done."""

    default_code = "USAGE"


class ReconnectNeeded(HubError):
    """Pause this connection and ask for a new sign-in; nothing is deleted."""

    default_code = "RECONNECT_NEEDED"


class ScopeMissing(HubError):
    """One permission is missing: that stream or write stands still, the others go on."""

    default_code = "SCOPE_MISSING"


class RetryLater(HubError):
    """Wait `after_s` seconds, or as long as the hub thinks fit when that is None."""

    default_code = "VENDOR_DOWN"

    def __init__(
        self,
        what: str,
        *,
        after_s: float | None = None,
        where: str | None = None,
        do: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(what, where=where, do=do, code=code)
        self.after_s = after_s


class ReadRefused(HubError):
    """The vendor refused this read for good; the stream stops with what it has, others go on."""

    default_code = "VENDOR_REFUSED"

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        where: str | None = None,
        do: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(what, where=where, do=do, code=code)
        self.status = status


class FeedExpired(HubError):
    """The change feed has a gap: the hub reads the streams in full once more."""

    default_code = "FEED_EXPIRED"


class RecordRejected(HubError):
    """This one row cannot be mapped: it is set aside with the reason and tried again each run."""

    default_code = "RECORD_REJECTED"


class WriteRefused(HubError):
    """The vendor said no to this write; it stays in the ledger and is shown. Never retried."""

    default_code = "WRITE_REFUSED"


class WriteUnknown(HubError):
    """The write may have arrived; the hub looks before it writes again."""

    default_code = "WRITE_UNKNOWN"


class PluginError(HubError):
    """A plugin is broken; the message names it."""

    default_code = "PLUGIN_BROKEN"


class StoreError(HubError):
    """The database cannot do what was asked; the transaction was rolled back."""

    default_code = "DATABASE_FAILED"
