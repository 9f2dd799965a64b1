"""Domains and mailboxes as evidence: what says whose company a record is, and what does not."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from importlib import resources

import tldextract

_split = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
_LEGAL = re.compile(
    r"\b(gmbh|ag|kg|ohg|ug|mbh|inc|incorporated|llc|llp|ltd|limited|plc|corp|corporation|company|co"
    r"|sa|sas|sarl|srl|spa|bv|nv|ab|as|oy|aps|pty|holding|group)\b"
)
_NO_WORD = re.compile(r"[^\w]+")


@lru_cache(maxsize=1)
def shared_providers() -> frozenset[str]:
    """Domains at which anybody can have a mailbox: they never say whose company it is."""
    listed = resources.files("hub.unify").joinpath("shared_domains.txt").read_text("utf-8")
    lines = (line.partition("#")[0].strip() for line in listed.splitlines())
    return frozenset(line for line in lines if line)


@lru_cache(maxsize=65536)
def registered_domain(text: str) -> str | None:
    """The domain that an organisation registered (`shop.birch.example` → `birch.example`).

    Accepts a host, a URL or the part of a mailbox after the @; None when there is no such domain.
    """
    host = re.sub(r"^[a-z]+://", "", text.strip().lower()).partition("/")[0].partition(":")[0]
    host = host.rpartition("@")[2].strip(".")
    if not host or " " in host or "." not in host:
        return None
    try:
        host = host.encode("idna").decode("ascii") if not host.isascii() else host
    except UnicodeError:
        return None
    parts = _split(host)
    if parts.suffix and parts.domain:
        return f"{parts.domain}.{parts.suffix}"
    return None if parts.suffix else ".".join(host.split(".")[-2:])


def business_domain(text: str | None, also_shared: frozenset[str] = frozenset()) -> str | None:
    """The registered domain, unless it is a shared mailbox provider's."""
    domain = registered_domain(text) if text else None
    if domain is None or domain in shared_providers() or domain in also_shared:
        return None
    return domain


def plain_name(name: str | None) -> str:
    """A company name without case, accents, punctuation and legal form, for comparing."""
    if not name:
        return ""
    folded = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(char for char in folded if not unicodedata.combining(char))
    words = _NO_WORD.sub(" ", letters.replace("&", " and "))
    return " ".join(_LEGAL.sub(" ", words).split())
