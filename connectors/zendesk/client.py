"""How we talk to Zendesk: sign-in, limits, addresses, lists, and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from hub import (
    Answer,
    Connector,
    Http,
    HubError,
    Limit,
    ReadRefused,
    ReconnectNeeded,
    RetryLater,
    Row,
    ScopeMissing,
    Token,
    WriteRefused,
)

from .settings import ZendeskSettings

BATCH = 100
"""How many ids or records one call takes, and how many a list puts on a page."""

PAGED, AFTER = "page[size]", "page[after]"

LARGEST_EXPORT = 128 * 1024 * 1024
"""A page of an export holds 1,000 tickets, each with a description of up to 64 KB."""

TOKEN_LIVES_S = 1800
"""Asked for with each sign-in: for an older OAuth client the token would else never end."""

JOBS_FULL_S = 10.0
"""How long to wait when as many jobs are waiting as Zendesk keeps; it does not say itself."""


class TargetGone(WriteRefused):
    """What was to be changed does not exist any more."""

    default_code = "TARGET_GONE"


class Api(Connector[ZendeskSettings]):
    """Zendesk's addresses and the reads that streams and actions share."""

    def connect(self) -> Http:
        """One client; incremental exports have a limit of their own among all calls."""
        ours = self.settings
        known = None
        if ours.email is not None and ours.api_token is not None:
            known = (f"{ours.email}/token", ours.api_token.get_secret_value())
        return Http(
            self.site,
            basic=known,
            sign_in=None if known else self._signed_in,
            limits=[
                Limit("exports", ours.incremental_calls_per_min, 60, only=("/incremental/",)),
                Limit("calls", ours.calls_per_min, 60),
            ],
            explain=partial(explain, self.connection),
            total_s=120,
            max_bytes=LARGEST_EXPORT,
        )

    def _signed_in(self, http: Http) -> Token:
        """A new access token; the OAuth client itself is the account's own."""
        secret = self.settings.client_secret
        given = http.post(
            "/oauth/tokens",
            form={
                "grant_type": "client_credentials",
                "client_id": self.settings.client_id,
                "client_secret": secret.get_secret_value() if secret else None,
                "scope": self.settings.scope,
                "expires_in": TOKEN_LIVES_S,
            },
            reads=True,
        )
        if not isinstance(given, Mapping) or not given.get("access_token"):
            raise ReconnectNeeded(
                "Zendesk's answer to the sign-in has no access token",
                where=self.connection,
                do="Look whether the OAuth client is confidential and allows client credentials",
            )
        lives_s = given.get("expires_in")
        ends = None if lives_s is None else self.now() + timedelta(seconds=float(lives_s))
        return Token(str(given["access_token"]), ends)

    @property
    def site(self) -> str:
        """The account's own address."""
        return (self.settings.base_url or f"https://{self.settings.subdomain}.zendesk.com").rstrip(
            "/"
        )

    def page_of(self, kind: str, record: object) -> str:
        """Where people see a record."""
        return f"{self.site}/agent/{kind}/{record}"

    def walk(self, name: str, **params: object) -> Iterator[list[Row]]:
        """The pages of a list, in Zendesk's cursor paging; stops if they repeat."""
        path = f"/api/v2/{name}"
        seen: set[str] = set()
        after: str | None = None
        while True:
            answer = self.http.get(path, **params, **{PAGED: BATCH, AFTER: after})
            yield listed(answer, name)
            meta = answer.get("meta") or {}
            if not meta.get("has_more"):
                return
            after = str(meta.get("after_cursor") or "")
            if not after or after in seen:
                raise stuck(path)
            seen.add(after)

    def show(self, name: str, ids: Sequence[str], **params: object) -> Iterator[Row]:
        """Each answer about up to 100 records by id; one that is gone is left out of it."""
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), BATCH):
            some = ",".join(wanted[start : start + BATCH])
            yield self.http.get(f"/api/v2/{name}/show_many", ids=some, **params)

    def fields(self) -> dict[str, Row]:
        """The organization fields of the account by their keys."""
        pages = self.walk("organization_fields")
        return {str(field["key"]): field for rows in pages for field in rows}


def listed(answer: Any, name: str) -> list[Row]:
    """The records of an answer; an answer without a list of them is no answer."""
    found = answer.get(name) if isinstance(answer, Mapping) else None
    if not isinstance(found, list):
        raise ReadRefused(
            f"Zendesk's answer has no {name}",
            do="Run again; if it stays, Zendesk may have changed its API",
            code="SHAPE",
        )
    return found


def stuck(path: str) -> HubError:
    """What a listing raises that does not move forward."""
    return ReadRefused(
        f"Zendesk's paging of {path} repeats itself",
        do="What was read is kept; the next sync goes on from there",
        code="PAGINATION_STUCK",
    )


def explain(connection: str, answer: Answer) -> HubError | None:
    """Zendesk's refusals in our words; None leaves it to the client."""
    body = answer.body if isinstance(answer.body, Mapping) else {}
    said = f"{answer.method} {answer.path}: {reason(body)} ({answer.status})"
    is_write = answer.method != "GET" and answer.path != "/oauth/tokens"
    match answer.status:
        case 403:
            return ScopeMissing(
                f"Zendesk wants {needed(answer.method, answer.path)} for {said}",
                where=connection,
                do="Give it to the OAuth client or its user; the next run goes on from here",
            )
        case 400 | 404 | 413 | 422 if is_write:
            return WriteRefused(
                f"Zendesk refused {said}",
                where=connection,
                do="Look at the account's own rules for that field; the hub does not insist",
            )
        case 429 if body.get("error") == "TooManyJobs":
            return RetryLater(
                f"Zendesk has too many jobs waiting, {said}",
                after_s=JOBS_FULL_S,
                where=connection,
                do="The hub goes on by itself",
                code="RATE_LIMITED",
            )
    return None


def reason(body: Mapping[str, Any]) -> str:
    """What Zendesk says went wrong, in whichever of its three shapes it says it."""
    if isinstance(several := body.get("errors"), list):
        words = [_first(one, "detail", "title", "code") for one in several]
    elif isinstance(error := body.get("error"), Mapping):
        words = [str(error.get("title") or ""), str(error.get("message") or "")]
    else:
        words = [_first(body, "description", "error"), *_details(body.get("details"))]
    named = [word.rstrip(".") for word in words if word]
    return "; ".join(dict.fromkeys(named)) or "no reason given"


def _first(body: object, *names: str) -> str:
    found = (body.get(name) for name in names) if isinstance(body, Mapping) else ()
    return next((str(value) for value in found if value), "")


def _details(details: object) -> Iterator[str]:
    """`{"name": [{"description": "Name: cannot be blank"}]}`, or anything else as it stands."""
    if not isinstance(details, Mapping):
        if details:
            yield str(details)
        return
    for field, problems in details.items():
        for problem in problems if isinstance(problems, list) else [problems]:
            yield f"{field}: {_first(problem, 'description', 'error') or problem}"


def needed(method: str, path: str) -> str:
    """What a refused call would have needed; Zendesk does not say it in a fixed place."""
    verb = "read" if method == "GET" else "write"
    match = re.search(r"/api/v2/(?:incremental/)?(organization|user|ticket)", path)
    scope = f"{match[1]}s:{verb}" if match else verb
    is_for_admins = "/incremental/" in path or ("/organization" in path and verb == "write")
    return f"{scope} and the admin role" if is_for_admins else scope
