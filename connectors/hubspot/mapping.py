"""What HubSpot's rows mean in the hub's words: pure functions, one a stream.

HubSpot sends every value as text and an empty one as null. Beside the properties a row carries
what `streams.py` read with it: `url`, the associated companies, a deal's stage, and the portal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hub import Account, AccountRef, Deal, Owner, Person, RecordRejected, Row

COMPANY_PROPERTIES = (
    "name", "domain", "hs_additional_domains", "lifecyclestage", "hubspot_owner_id", "country",
    "numberofemployees", "industry", "hs_parent_company_id", "createdate", "hs_lastmodifieddate",
    "hs_merged_object_ids",
)  # fmt: skip
CONTACT_PROPERTIES = (
    "email", "firstname", "lastname", "jobtitle", "createdate", "lastmodifieddate",
    "hs_merged_object_ids",
)  # fmt: skip
DEAL_PROPERTIES = (
    "dealname", "pipeline", "dealstage", "amount", "deal_currency_code", "closedate",
    "hubspot_owner_id", "createdate", "hs_lastmodifieddate", "hs_merged_object_ids",
)  # fmt: skip


def _kept(properties: Iterable[str], *others: str) -> tuple[str, ...]:
    return ("id", "url", *(f"properties.{name}" for name in properties), *others)


LINKS = ("companies.toObjectId", "companies.associationTypes.typeId")
COMPANY_KEEPS = _kept(COMPANY_PROPERTIES)
CONTACT_KEEPS = _kept(CONTACT_PROPERTIES, *LINKS)
DEAL_KEEPS = _kept(
    DEAL_PROPERTIES, *LINKS, "stage.label", "stage.metadata.isClosed", "stage.metadata.isWon",
    "stage.metadata.probability", "portal.companyCurrency", "portal.timeZone",
)  # fmt: skip
OWNER_KEEPS = ("id", "email", "firstName", "lastName", "archived")

PRIMARY = {"contacts": 1, "deals": 5}
"""The association type id that marks the primary company of a contact and of a deal."""

DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN"
    " BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP"
    " GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK"
    " LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK"
    " NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD"
    " SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG"
    " YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS = {code: number for number, codes in DECIMALS.items() for code in codes.split()}
"""How many decimals each currency of ISO 4217 has."""


def to_account(row: Row) -> Account:
    """A company; its own domain comes first, then the additional ones."""
    its = _Properties(row)
    more = (its.text("hs_additional_domains") or "").replace(",", ";").split(";")
    domains = [its.text("domain"), *(domain.strip() for domain in more)]
    return Account(
        id=str(row["id"]),
        url=row.get("url"),
        name=its.text("name"),
        domains=tuple(dict.fromkeys(domain for domain in domains if domain)),
        owner_id=its.text("hubspot_owner_id"),
        stage=its.text("lifecyclestage"),
        country=its.text("country"),
        employees=its.whole_number("numberofemployees"),
        industry=its.text("industry"),
        parent_id=its.text("hs_parent_company_id"),
        created_at=its.instant("createdate"),
        updated_at=its.instant("hs_lastmodifieddate"),
        merged_ids=merged_ids(row),
    )


def to_person(row: Row) -> Person:
    """A contact, at the company that is marked as its primary one."""
    its = _Properties(row)
    names = (its.text("firstname"), its.text("lastname"))
    return Person(
        id=str(row["id"]),
        url=row.get("url"),
        account=_account_of(row, PRIMARY["contacts"]),
        name=" ".join(name for name in names if name) or None,
        email=its.text("email"),
        role=its.text("jobtitle"),
        created_at=its.instant("createdate"),
        updated_at=its.instant("lastmodifieddate"),
    )


def to_deal(row: Row) -> Deal:
    """A deal; won and closed come from the stage's own settings, the day from the portal's zone."""
    its = _Properties(row)
    stage: Mapping[str, Any] = row.get("stage") or {}
    metadata: Mapping[str, Any] = stage.get("metadata") or {}
    currency = _currency(its.text("deal_currency_code") or _portal(row).get("companyCurrency"))
    amount = its.number("amount")
    return Deal(
        id=str(row["id"]),
        url=row.get("url"),
        account=_account_of(row, PRIMARY["deals"]),
        name=its.text("dealname"),
        stage=stage.get("label") or its.text("dealstage"),
        is_closed=_is_true(metadata.get("isClosed")),
        is_won=_is_won(metadata),
        amount_minor=None if amount is None or currency is None else minor(amount, currency),
        currency=currency,
        closed_on=_day(its.instant("closedate"), _portal(row).get("timeZone")),
        owner_id=its.text("hubspot_owner_id"),
        created_at=its.instant("createdate"),
        updated_at=its.instant("hs_lastmodifieddate"),
    )


def to_owner(row: Row) -> Owner:
    """A user who can own records; a deactivated one is archived."""
    names = (row.get("firstName"), row.get("lastName"))
    return Owner(
        id=str(row["id"]),
        name=" ".join(name for name in names if name) or None,
        email=row.get("email") or None,
        is_active=not row.get("archived", False),
    )


def merged_ids(row: Row) -> tuple[str, ...]:
    """The ids of records that were merged into this one."""
    text = _Properties(row).text("hs_merged_object_ids") or ""
    return tuple(part.strip() for part in text.split(";") if part.strip())


def instant(row: Row, name: str) -> datetime | None:
    """A property of a row as an aware instant."""
    return _Properties(row).instant(name)


def minor(amount: Decimal, currency: str) -> int:
    """An amount of whole units as integer minor units; RecordRejected when that is not exact."""
    scaled = amount.scaleb(EXPONENTS[currency])
    if scaled != scaled.to_integral_value():
        raise RecordRejected(f"amount is {amount}, which has more decimals than {currency} has")
    return int(scaled)


def _currency(code: str | None) -> str | None:
    if code is not None and code not in EXPONENTS:
        raise RecordRejected(f"deal_currency_code is {code!r}, which is no ISO 4217 currency")
    return code


class _Properties:
    """A row's properties, read as what they should be; RecordRejected names one that is not."""

    def __init__(self, row: Row) -> None:
        self._values: Mapping[str, Any] = row.get("properties") or {}

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        return None if value is None else str(value).strip() or None

    def number(self, name: str) -> Decimal | None:
        if (text := self.text(name)) is None:
            return None
        try:
            value = Decimal(text)
        except InvalidOperation as error:
            raise RecordRejected(f"{name} is {text!r}, which is not a number") from error
        if not value.is_finite():
            raise RecordRejected(f"{name} is {text!r}, which is not a number")
        return value

    def whole_number(self, name: str) -> int | None:
        value = self.number(name)
        return None if value is None else int(value)

    def instant(self, name: str) -> datetime | None:
        """ISO text or epoch milliseconds, as an aware instant."""
        if (text := self.text(name)) is None:
            return None
        try:
            if text.lstrip("-").isdigit():
                return datetime.fromtimestamp(int(text) / 1000, UTC)
            at = datetime.fromisoformat(text)
        except (ValueError, OverflowError, OSError) as error:
            raise RecordRejected(f"{name} is {text!r}, which is not a time") from error
        return at if at.tzinfo else at.replace(tzinfo=UTC)


def _account_of(row: Row, primary: int) -> AccountRef | None:
    """The primary company, or the only one; several without a primary decide nothing."""
    links = {
        str(link["toObjectId"]): {kind.get("typeId") for kind in link.get("associationTypes") or ()}
        for link in row.get("companies") or ()
    }
    chosen = [company for company, types in links.items() if primary in types] or list(links)
    return AccountRef(id=chosen[0], object="companies") if len(chosen) == 1 else None


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"


def _is_won(metadata: Mapping[str, Any]) -> bool:
    """`isWon` where the stage says it; else closed with a probability of one."""
    if metadata.get("isWon") is not None:
        return _is_true(metadata["isWon"])
    try:
        certain = Decimal(str(metadata.get("probability"))) == 1
    except InvalidOperation:
        certain = False
    return certain and _is_true(metadata.get("isClosed"))


def _portal(row: Row) -> Mapping[str, Any]:
    return row.get("portal") or {}


def _day(at: datetime | None, zone: str | None) -> date | None:
    """The calendar day of an instant where the team sells."""
    if at is None:
        return None
    try:
        return at.astimezone(ZoneInfo(zone or "UTC")).date()
    except (ZoneInfoNotFoundError, ValueError):
        return at.astimezone(UTC).date()
