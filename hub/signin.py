"""One token for all callers of a connection, renewed before its end or after a 401."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from . import log
from .env import Env
from .errors import ReadRefused, ReconnectNeeded, RetryLater, WriteRefused, WriteUnknown
from .outgoing import check_headers


@dataclass(frozen=True)
class Token:
    """What a sign-in gives: a bearer token and the instant until which it is good, if known."""

    value: str = field(repr=False)
    expires_at: datetime | None


class SignIn:
    """Keeps the token that `fetch` gives; of many callers that need a new one, one fetches it."""

    def __init__(self, fetch: Callable[[], Token], env: Env, connection: str) -> None:
        self._fetch = fetch
        self._env = env
        self._connection = connection
        self._token: Token | None = None
        self._renew_at: datetime | None = None
        self._lock = threading.Lock()
        self._here = threading.local()

    @property
    def is_running_here(self) -> bool:
        """Whether this thread is fetching a token right now; its own calls need none."""
        return getattr(self._here, "running", False)

    def token(self) -> Token:
        """The token to use now."""
        token, renew_at = self._token, self._renew_at
        if token is None or (renew_at is not None and self._env.now() >= renew_at):
            return self.renewed(token)
        return token

    def renewed(self, used: Token | None) -> Token:
        """A token other than `used`."""
        with self._lock:
            if self._token is not None and self._token is not used:
                return self._token
            token = self._fetched()
            log.secrets.add(token.value)
            check_headers({"Authorization": token.value}, self._connection)
            self._token, self._renew_at = token, _renewal(token, self._env.now())
            return token

    def _fetched(self) -> Token:
        self._here.running = True
        try:
            return self._fetch()
        except (ReadRefused, WriteRefused) as error:
            raise ReconnectNeeded(
                f"the vendor refused to sign in: {error.what}",
                where=self._connection,
                do=f"Sign in anew, then run `hub check {self._connection}`",
            ) from error
        except WriteUnknown as error:
            raise RetryLater(error.what, where=self._connection) from error
        finally:
            self._here.running = False


def _renewal(token: Token, now: datetime) -> datetime | None:
    """A minute before the token ends, or after nine tenths of a short life."""
    if token.expires_at is None:
        return None
    return token.expires_at - min(timedelta(minutes=1), (token.expires_at - now) / 10)
