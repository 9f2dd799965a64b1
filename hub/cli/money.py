"""Amounts for people: minor units with their currency's own number of places (ISO 4217)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PLACES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""The currencies that do not have two."""

EXPONENTS = {code: number for number, codes in PLACES.items() for code in codes.split()}


def money(amount: Mapping[str, Any]) -> str:
    """`1,234 EUR` of `{"amount_minor": 123400, "currency": "EUR"}`; whole units are enough here."""
    currency = amount["currency"] or ""
    whole = amount["amount_minor"] / 10 ** EXPONENTS.get(currency, 2)
    return f"{whole:,.0f} {currency}".strip()
