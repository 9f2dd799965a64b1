"""The pages of a stand-in: what a CSM would see, safe with hostile names and readable anywhere."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser

import httpx
import pytest

from hub.testing.kit import Call, Reply, Sandbox
from hub.testing.page import RecordCard, TaskCard, VendorPage

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOSTILE = """<script>alert("x")</script>' onclick='y"""

BIRCH = RecordCard(
    "12",
    "Birch & Vale",
    "birchvale.example",
    [("Plan", "Scale"), ("Employees", "120")],
    [
        TaskCard("t1", "Call Birch & Vale", "First line\nSecond <b>line</b>", "Mia Larsen",
                 "5 March 2026", "high"),
        TaskCard("t2", "Say hello", is_done=True),
    ],
    object="companies",
    status="at_risk",
    since="2026-03-04",
    reason="Two payments failed on 1 and 4 March 2026",
)  # fmt: skip
RECORDS = [
    RecordCard("1", "Aspen", object="companies"),
    RecordCard("2", "Calm Co", object="companies", status="Healthy"),
    RecordCard("3", "Quiet Ltd", object="companies", status="unknown"),
    RecordCard("a/b?c", HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)], object="companies", status="watch",
               reason=HOSTILE, tasks=[TaskCard("t", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)]),
    BIRCH,
]  # fmt: skip


class ToyCrm(Sandbox):
    """A vendor of which only the pages count here; nobody may call its API."""

    vendor = "toy"
    title = "Toy CRM"
    records: Sequence[RecordCard] = ()

    def authenticate(self, call: Call) -> Reply:
        return Reply(401)

    def page(self, call: Call) -> VendorPage:
        return VendorPage(self.title, self.records)


@pytest.fixture
def crm() -> Iterator[ToyCrm]:
    with ToyCrm(clock=lambda: NOON) as crm:
        crm.records = RECORDS
        yield crm


class Seen(HTMLParser):
    """What a browser would make of a page: its text, elements and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def links(self) -> list[str]:
        return [attrs["href"] or "" for tag, attrs in self.elements if tag == "a"]


def seen(crm: ToyCrm, path: str) -> Seen:
    return Seen(httpx.get(crm.url + path).text)


def test_the_list_says_how_many_are_at_risk_and_shows_the_worst_first(crm):
    page = seen(crm, "/")

    assert "At risk: 1 of 5" in page.text
    order = [page.text.index(name) for name in ("Birch", "alert", "Calm Co", "Quiet", "Aspen")]
    assert order == sorted(order)
    assert "Two payments failed on 1 and 4 March 2026" in page.text


def test_each_record_has_its_page_with_reason_fields_and_tasks(crm):
    page = seen(crm, "/record/companies/12")

    for words in (
        "Birch & Vale", "At risk", "Two payments failed on 1 and 4 March 2026 since 2026-03-04",
        "1 open, 1 done", "Open Mia Larsen due 5 March 2026 high priority",
        "First line Second <b>line</b>", "Done nobody assigned", "Plan Scale", "companies id 12",
    ):  # fmt: skip
        assert words in page.text


@pytest.mark.parametrize(
    ("show", "names"),
    [
        ("at_risk", {"Birch & Vale"}),
        ("healthy", {"Calm Co"}),
        ("tasks", {"Birch & Vale", HOSTILE}),
        ("nonsense", {"Aspen", "Calm Co", "Quiet Ltd", HOSTILE, "Birch & Vale"}),
    ],
)
def test_the_list_can_be_narrowed_by_its_address(crm, show, names):
    page = seen(crm, f"/?show={show}")

    assert {r.name for r in RECORDS if r.name in page.words} == names


def test_a_record_without_a_status_says_so(crm):
    assert "No health status is written here yet." in seen(crm, "/record/companies/1").text


def test_every_link_on_the_list_leads_to_a_page(crm):
    links = [link for link in seen(crm, "/").links if link.startswith("/")]

    statuses = {link: httpx.get(crm.url + link).status_code for link in links}

    assert len(links) > len(RECORDS)
    assert {link for link, status in statuses.items() if status != 200} == set()


@pytest.mark.parametrize("path", ["/", "/record/companies/a%2Fb%3Fc", "/record/companies/12"])
def test_hostile_text_stays_text_and_nothing_could_run(crm, path):
    answer = httpx.get(crm.url + path)
    page = Seen(answer.text)

    assert "script" not in {tag for tag, _ in page.elements}
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert not [attrs for _, attrs in page.elements if "style" in attrs]
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_hostile_text_is_shown_as_it_is(crm):
    assert HOSTILE in seen(crm, "/record/companies/a%2Fb%3Fc").words


def test_pages_need_no_sign_in_and_are_not_calls_of_the_api(crm):
    for path in ("/", "/record/companies/12", "/style.css"):
        assert httpx.get(crm.url + path).status_code == 200

    assert httpx.get(f"{crm.url}/api").status_code == 401
    assert [call.path for call in crm.calls] == ["/api"]


def test_an_unknown_record_says_so_and_shows_the_list(crm):
    answer = httpx.get(f"{crm.url}/record/companies/77")

    assert answer.status_code == 404
    assert "There is no such record here" in answer.text
    assert "Birch &amp; Vale" in answer.text


def test_a_band_has_a_shape_and_a_word_beside_its_colour(crm):
    html = httpx.get(crm.url).text

    for band, shape, word in (
        ("at_risk", "<rect", "At risk"), ("watch", "<path", "Watch"),
        ("healthy", "<circle", "Healthy"), ("unknown", 'class="ring"', "Unknown"),
    ):  # fmt: skip
        badge = re.search(rf'<span class="band {band}">(.*?)</span>', html, re.S)
        assert badge is not None
        assert shape in badge[1]
        assert badge[1].endswith(word)
    assert "not set" in html


def test_a_status_that_is_none_of_ours_is_shown_in_its_own_words(crm):
    crm.records = [RecordCard("1", "Odd", status="Super happy")]

    assert "Super happy" in seen(crm, "/").text
    assert "At risk: 0 of 1" in seen(crm, "/").text


@pytest.mark.parametrize(
    ("records", "sentences"),
    [
        ([], ["No record has a health status yet", "This stand-in holds no records yet."]),
        ([RecordCard("1", "Aspen")], ["No record has a health status yet", "1 record"]),
    ],
)
def test_an_empty_page_says_why(crm, records, sentences):
    crm.records = records

    text = seen(crm, "/").text

    assert all(sentence in text for sentence in sentences)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_all_text_is_readable_in_both_themes(crm, theme):
    css = httpx.get(f"{crm.url}/style.css").text
    pairs = re.findall(r"--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    colour = {name: shades[theme] for name, *shades in pairs}

    weakest = min(
        *(contrast(colour[t], colour[p]) for t in ("text", "muted", "accent")
          for p in ("paper", "raised")),
        *(contrast(colour[band], colour[f"{band}-tint"])
          for band in ("at-risk", "watch", "healthy", "unknown")),
    )  # fmt: skip

    assert weakest >= 4.5
