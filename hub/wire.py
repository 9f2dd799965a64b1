"""The socket below the HTTP client: one deadline for a whole answer, and no private address.

httpx counts its timeouts per read, so a server that sends a byte a second holds a client for ever.
Here each read and write may only use what is left until the deadline of the running exchange. The
name is resolved once, every address is judged, and the connection goes to the address judged.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PrivateAddress(Exception):
    """The vendor's name leads to an address that is not on the public internet."""


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, also when wrapped into IPv6.

    `is_global` alone is not enough: it is true for the NAT64 and 6to4 forms of 127.0.0.1.
    """
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def is_private_name(host: str) -> bool:
    """Whether a host in a URL is a private address by its spelling alone, without resolving it."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not is_public(host)
    except ValueError:
        return False


class Deadline:
    """The end of the exchange that this thread is in; without one, nothing is cut short."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._local = threading.local()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Everything inside must be done in this many seconds."""
        self._local.end = self._monotonic() + seconds
        try:
            yield
        finally:
            self._local.end = None

    def left(self, most: float | None = None) -> float | None:
        """Seconds left, at least 0, never more than `most`; None when there is no end at all."""
        end: float | None = getattr(self._local, "end", None)
        if end is None:
            return most
        left = max(0.0, end - self._monotonic())
        return left if most is None else min(left, most)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _left(self, timeout: float | None, late: type[Exception]) -> float | None:
        left = self._deadline.left(timeout)
        if left is not None and left <= 0:
            raise late("the time allowed for one answer is over")
        return left


class Wire(httpcore.NetworkBackend):
    """The sockets of one connection. `loopback` allows private addresses (stand-ins, tunnels)."""

    def __init__(self, deadline: Deadline, *, loopback: bool) -> None:
        self._deadline = deadline
        self._loopback = loopback
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._addresses(host, port):
            left = self._deadline.left(timeout)
            if left is not None and left <= 0:
                raise httpcore.ConnectTimeout("the time allowed for one answer is over")
            try:
                inner = self._sockets.connect_tcp(
                    address, port, left, local_address, socket_options
                )
                return _Stream(inner, self._deadline)
            except httpcore.ConnectError as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error.strerror}") from None
        addresses = [str(entry[4][0]) for entry in found]
        if not self._loopback and not all(is_public(address) for address in addresses):
            raise PrivateAddress(host)
        return addresses
