"""A call that did not succeed, in the hub's own errors: what happened, where, what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from . import log
from .answers import Answer
from .errors import (
    ConfigError,
    HubError,
    ReadRefused,
    ReconnectNeeded,
    RetryLater,
    ScopeMissing,
    WriteRefused,
    WriteUnknown,
)

_LATER = "The hub tries again later; nothing is lost"


@dataclass(frozen=True)
class Refusals:
    """The errors of one call of one connection. `what` names it: `GET /v1/invoices`."""

    connection: str
    method: str
    path: str
    reads: bool

    @property
    def what(self) -> str:
        return f"{self.method} {log.clean(self.path.partition('?')[0])}"

    def refused(
        self,
        what: str,
        answer: Answer | None = None,
        *,
        code: str | None = None,
        do: str | None = None,
    ) -> HubError:
        """A no for good, as a read or a write."""
        text = answer.told(what) if answer else f"{self.what} {what}"
        if self.reads:
            status = answer.status if answer else None
            return ReadRefused(text, status=status, where=self.connection, do=do, code=code)
        return WriteRefused(text, where=self.connection, do=do, code=code)

    def by_status(self, answer: Answer, after_s: float | None, now: datetime) -> HubError:
        """What a status that is not 2xx or 3xx means when the vendor's connector adds nothing."""
        if answer.status == 401:
            return ReconnectNeeded(
                answer.told("was turned away, the credentials are not accepted"),
                where=self.connection,
                do=f"Renew the credentials, then run `hub check {self.connection}`",
            )
        if answer.status == 403:
            return ScopeMissing(
                answer.told("is not permitted to these credentials"),
                where=self.connection,
                do="Grant the permission in the vendor's settings; the hub then goes on",
            )
        if answer.status == 429:
            return self.wait(answer, after_s, now)
        if answer.status >= 500 or answer.status == 408:
            failed = answer.told("failed at the vendor")
            return RetryLater(failed, where=self.connection, do=_LATER, after_s=after_s)
        return self.refused("was refused", answer)

    def wait(self, answer: Answer, after_s: float | None, now: datetime) -> RetryLater:
        """The vendor limits calls; `after_s` is the wait it asks for, if it says."""
        until = ""
        if after_s is not None:
            until = f" until {now + timedelta(seconds=after_s):%Y-%m-%dT%H:%M:%SZ}"
        return RetryLater(
            answer.told(f"has to wait{until}, the vendor limits calls"),
            where=self.connection,
            do="The hub goes on by itself after that; nothing is lost",
            code="RATE_LIMITED",
            after_s=after_s,
        )

    def unanswered(self, why: Exception, *, deadline_s: float | None) -> RetryLater:
        """No full answer came; `deadline_s` when the time was over."""
        what = f"got no answer: {log.clean(str(why)) or type(why).__name__}"
        if deadline_s is not None:
            what = f"got no full answer within {deadline_s:g} s"
        error = RetryLater(
            f"{self.what} {what}",
            where=self.connection,
            do=_LATER,
            code="VENDOR_DOWN" if deadline_s is None else "DEADLINE",
        )
        error.__cause__ = why
        return error

    def unknown(self, why: str) -> WriteUnknown:
        """A write of which nobody knows whether it arrived."""
        return WriteUnknown(
            f"{self.what} may have arrived or not ({why})",
            where=self.connection,
            do="The hub looks at the vendor before it writes again",
        )

    def host_refused(self, what: str) -> HubError:
        """A link or redirect that leaves the connection's own host; nothing was sent there."""
        do = "Look whether the address of the connection is the vendor's current one"
        return self.refused(what, code="HOST_REFUSED", do=do)


def address_refused(connection: str, what: str) -> ConfigError:
    """An address in a connection's file that the hub may not call."""
    return ConfigError(
        what,
        where=connection,
        do="Write the vendor's public https address, or `network: loopback` for a local one",
        code="HOST_REFUSED",
    )
