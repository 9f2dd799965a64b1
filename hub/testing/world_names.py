"""Fictional names: companies, people, addresses, and how three tools spell one company.

Company domains end in `.example`. Where a scenario needs a shared mail provider, the local part
starts with "fictional-".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random

from .world import Tool

FLAGSHIP = "Birch & Vale"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_HEADS = _words(
    """
    Alder Amberley Aspen Barrow Bexley Bramble Briar Calder Cedar Chalke Clover Corvid Dapple
    Darrow Dunmore Elder Ember Fallow Farrow Fennel Fenwick Fern Flint Foxglove Gable Garnet
    Glen Gorse Granary Harrow Hawthorn Hazel Heath Heron Holloway Indigo Ivory Jasper Juniper
    Kestrel Lantern Larkspur Linden Lupine Maple Marlow Meadow Mistral Mulberry Nettle Nimbus
    Oaken Ochre Orchard Otter Pallas Pebble Pepperell Perrin Pike Plover Quarry Quill Quince
    Rookery Rowan Russet Sable Saffron Sedge Sorrel Sparrow Stonecrop Sycamore Tamsin Tansy
    Teasel Thistle Thorne Tindle Umber Verity Wexcombe Wicket Willow Woodlark Yarrow
    """
)

_TAILS = _words(
    """
    Abbott Ashdown Beck Blythe Bridge Carver Croft Dale Denby Ellery Finch Frost Gale Grove Hale
    Harper Hart Kirk Lane Lowe Marsh Mead Moss North Oakes Pell Penrose Reeve Ridge Rusk Shaw
    Stone Thorpe Tolland Vance Ward Wells Winter Wren Yates
    """
)

_TRADES: Mapping[str, tuple[str, ...]] = {
    "Logistics": ("Freight", "Haulage", "Couriers", "Warehousing"),
    "Software": ("Analytics", "Software", "Systems", "Robotics"),
    "Food": ("Bakery", "Roasters", "Preserves", "Kitchens"),
    "Retail": ("Outfitters", "Interiors", "Bookshops", "Bicycles"),
    "Manufacturing": ("Optics", "Textiles", "Tools", "Ceramics"),
    "Health": ("Clinics", "Dental", "Therapies", "Diagnostics"),
    "Professional services": ("Advisers", "Surveyors", "Translations", "Architects"),
    "Energy": ("Solar", "Heating", "Windworks", "Batteries"),
}

_FORMS: Mapping[str, str] = {
    "DE": "GmbH", "AT": "GmbH", "NL": "B.V.", "FR": "SAS", "GB": "Ltd", "US": "Inc.", "SE": "AB",
    "DK": "ApS", "IT": "S.r.l.", "PL": "Sp. z o.o.",
}  # fmt: skip

COUNTRIES = tuple(_FORMS)

_FIRST_NAMES = _words(
    """
    Ada Alma Anouk Arno Bela Birte Bruno Carla Clio Cosmo Dario Dilan Edda Elif Emil Enno Farah
    Fiete Finja Gero Greta Hanno Ilka Imre Ines Jona Juno Kaja Kofi Lale Lennart Levin Liv Malin
    Marek Mila Nilo Noor Odile Oskar Pia Quentin Rafi Ronja Samir Selma Sven Tarek Thea Tilda
    Uma Viggo Wanda Yara
    """
)

_LAST_NAMES = _words(
    """
    Abendroth Adeyinka Amsel Bellwether Brightwater Castellan Copperfeld Dahlgren Dunkelbaum
    Eastwick Ellerbrook Fairbough Falkenrath Feldspar Goldfinch Gruenwald Halvorsen Honeywell
    Iversholm Jessamy Kaltwasser Kingfisher Lindqvist Lovelock Morgenrot Nachtweyh Nightingale
    Oakenshaw Osterquell Pennyfeather Quistgaard Rabenhorst Rosenquist Silberbach Starkweather
    Tannenberg Thistlewood Underhill Vinterberg Waldmeister Winterbourne Yellowlees Zuckerhorn
    """
)

PROVIDERS = ("gmail.com", "outlook.com", "gmx.de")


def company_names(chance: Random, count: int) -> list[tuple[str, str]]:
    """Name and industry of so many companies, all different; the flagship comes first."""
    names: dict[str, str] = {FLAGSHIP: "Retail"}
    pairs = [(head, tail) for head in _HEADS for tail in _TAILS]
    works = [(head, trade, word) for head in _HEADS for trade, ws in _TRADES.items() for word in ws]
    chance.shuffle(pairs)
    chance.shuffle(works)
    while len(names) < count:
        if chance.random() < 0.35:
            head, tail = pairs.pop()
            names[f"{head} & {tail}"] = chance.choice(tuple(_TRADES))
        else:
            head, trade, word = works.pop()
            names[f"{head} {word}"] = trade
    return list(names.items())


def look_alike(name: str) -> str:
    """A name that a hasty reader takes for the other: "Alder & Finch" and "Alder Finch Group"."""
    return f"{name.replace(' & ', ' ')} Group"


def slug(name: str) -> str:
    """The name as a part of an address: lower case, words joined by dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def spellings(name: str, country: str, chance: Random) -> dict[Tool, str]:
    """The name as each tool has it: a sales spelling, a support spelling, a legal one."""
    form = _FORMS[country]
    spoken = name.replace("&", "and")
    return {
        "crm": name if name == FLAGSHIP else chance.choice((name, name, f"{name} {form}")),
        "desk": chance.choice((name, spoken, spoken.upper(), f"{spoken} ({country})")),
        "billing": chance.choice((f"{name} {form}", f"{spoken.upper()} {form.upper()}")),
        "usage": slug(name),
    }


def person_name(chance: Random) -> str:
    """A fictional first and last name."""
    return f"{chance.choice(_FIRST_NAMES)} {chance.choice(_LAST_NAMES)}"


def address(name: str, domain: str) -> str:
    """A work address of somebody at a company domain."""
    return f"{slug(name).replace('-', '.')}@{domain}"


def shared_address(name: str, company: str, chance: Random) -> str:
    """An address at a mail provider that says itself that nobody has it."""
    return f"fictional-{slug(name)}-{slug(company)}@{chance.choice(PROVIDERS)}"
