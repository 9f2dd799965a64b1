"""Domains and mailboxes as evidence: what says whose company a record is, and what does not."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from importlib import resources

import tldextract

_split = tldextract.TLDExtract(
    suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True
)
_NO_HOST = re.compile(r"^([a-z][a-z0-9+.-]*:)?//|^mailto:")
_AFTER_HOST = re.compile(r"[/?#:]")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_LEGAL = re.compile(
    r"\b(gmbh|ag|kg|kgaa|ohg|ug|mbh|eg|ev|se|inc|incorporated|llc|llp|ltd|limited|plc|corp"
    r"|corporation|company|co|sa|sas|sarl|srl|spa|sl|slu|lda|ltda|bv|nv|ab|as|oy|oyj|aps"
    r"|sp z oo|sro|doo|kft|pty|holding|group)\b"
)
_PLACE = re.compile(r"\([^)]*\)\s*$")
_NO_WORD = re.compile(r"[^\w]+")


@lru_cache(maxsize=1)
def shared_providers() -> frozenset[str]:
    """Domains at which anybody can have a mailbox or a page: they never say whose company it is."""
    listed = resources.files("hub.unify").joinpath("shared_domains.txt").read_text("utf-8")
    lines = (line.partition("#")[0].strip() for line in listed.splitlines())
    return frozenset(line for line in lines if line)


@lru_cache(maxsize=65536)
def registered_domain(text: str) -> str | None:
    """The domain that an organisation registered (`shop.birch.example` → `birch.example`).

    Accepts a host, a URL or a mailbox; None when there is no such domain. A site on a platform
    (`birch.myshopify.com`) is a domain of its own, the platform is none.
    """
    host = _NO_HOST.sub("", text.strip().lower()).rpartition("@")[2]
    host = _ascii(_AFTER_HOST.split(host)[0].removesuffix("."))
    if not _HOST.fullmatch(host) or host.rpartition(".")[2].isdigit():
        return None
    parts = _split(host)
    if parts.suffix:
        return f"{parts.domain}.{parts.suffix}" if parts.domain else None
    return ".".join(host.split(".")[-2:])


def _ascii(host: str) -> str:
    """The host in punycode; nothing where the coding would make it another domain (ß is not ss)."""
    if host.isascii():
        return host
    try:
        coded = host.encode("idna")
        same = coded.decode("idna") == unicodedata.normalize("NFKC", host)
    except UnicodeError:
        return ""
    return coded.decode("ascii") if same else ""


def business_domain(text: str | None, also_shared: frozenset[str] = frozenset()) -> str | None:
    """The registered domain, unless anybody can be there."""
    domain = registered_domain(text) if text else None
    if domain is None or domain in shared_providers() or domain in also_shared:
        return None
    return domain


def plain_name(name: str | None) -> str:
    """A company name without case, accents, punctuation, legal form and a place in brackets.

    Only for asking a person whether two records are one company.
    """
    if not name:
        return ""
    folded = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(char for char in folded if not unicodedata.combining(char))
    spelled = _PLACE.sub("", letters).replace("&", " and ").replace(".", "")
    words = _NO_WORD.sub(" ", spelled)
    return " ".join(_LEGAL.sub(" ", words).split())
