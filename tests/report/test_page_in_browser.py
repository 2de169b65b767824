"""The page of a report in a real browser: it sorts, filters, zooms and prints, and no name can break it.

Chromium is driven headless and offline; where none is installed, these tests are skipped.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from bench.contracts.text import shown
from bench.report.html.document import assemble, compose_page
from bench.report.html.payload import as_json, payload
from bench.report.render.numbers import NONE
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.results.store import Store

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"no browser: none of {', '.join(NAMES)} is installed")

LONG = "n" * 300
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\u202eevil\u202d txet", "مرحبا", "__proto__")
UNSURE = {"nonBmp", "shortTextContent", "imgNode", "bgOverlap", "elmPartiallyObscuring", "elmPartiallyObscured"}
"""Why axe may leave a contrast open: arrows, texts within a picture, cells under sticky ones."""
EXPERIMENT = "</script><script>alert(3)</script>" + "e" * 200


@dataclass
class Seen:
    """A page, and what it did that it should not have."""

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def rows(self) -> Locator:
        return self.page.locator("#board-table tbody tr")

    def column(self, key: str) -> list[str]:
        at = self.page.locator("#board-table thead th").evaluate_all(
            "(heads, key) => heads.findIndex((head) => head.dataset.key === key)", key
        )
        cells: list[str] = self.rows().evaluate_all("(rows, at) => rows.map((row) => row.cells[at].textContent)", at)
        return cells

    def lines(self) -> int:
        return self.page.locator("#plot .line").count()


Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def results(two_datasets: Path) -> Results:
    return read_results(two_datasets)


@pytest.fixture(scope="module")
def plain(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `two_datasets`."""
    return written(tmp_path_factory, compose_page(results))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, fakes: Any) -> Path:
    """A page in which every name is one that a page could trip over."""
    store = Store(tmp_path_factory.mktemp("results") / "hostile")
    drifts = tuple((0.2 + 0.1 * i, name) for i, name in enumerate((*HOSTILE, LONG)))
    scenario = fakes.Scenario(f"<b>{'d' * 200}</b>", ("a",), drifts, origins=80)
    strategies = [fakes.Strategy(name, 0.2 + 0.01 * i, group="user") for i, name in enumerate(HOSTILE)]
    strategies.append(fakes.Strategy("long", 0.3, group="user", options={"text": LONG}))
    for strategy in [fakes.strategies[0], *strategies]:
        fakes.write_run(store, strategy, scenario, 0, experiment=EXPERIMENT)
    failed = fakes.Strategy("failed", 0.3)
    fakes.write_failure(store, failed, scenario, 0, experiment=EXPERIMENT, reason="<img src=x onerror=alert(9)>" * 5)
    return written(tmp_path_factory, compose_page(read_results(store.folder)))


def written(factory: pytest.TempPathFactory, text: str) -> Path:
    path = factory.mktemp("page") / "report.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Open a page offline; at the end, whatever it logged, threw, asked for or popped up is an error."""
    opened: list[Seen] = []

    @contextmanager
    def open_page(path: Path, width: int = 1280, scheme: str = "light") -> Iterator[Seen]:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light", offline=True
        )
        seen = Seen(context.new_page())
        opened.append(seen)
        seen.page.on("console", lambda message: seen.problems.append(f"console: {message.text}"))
        seen.page.on("pageerror", lambda error: seen.problems.append(f"error: {error}"))
        seen.page.on("dialog", lambda dialog: seen.problems.append(f"dialog: {dialog.message}"))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.goto(path.as_uri())
        yield seen
        context.close()

    yield open_page
    for seen in opened:
        assert seen.problems == []
        assert [url for url in seen.requests if not url.startswith("file:")] == []
        assert len(seen.requests) == 1


SORT_BY_ALL = """() => [...document.querySelectorAll("#board-table thead th")].flatMap((head) =>
    [1, 2].map(() => {
        head.querySelector("button").click();
        return {
            key: head.dataset.key,
            way: head.getAttribute("aria-sort"),
            sorted: document.querySelectorAll("th[aria-sort]").length,
            rows: [...document.querySelectorAll("tr[data-at]")].map((row) => Number(row.dataset.at)),
        };
    }),
)"""


def test_it_sorts_by_every_column(plain: Path, results: Results, visit: Open) -> None:
    board = payload(results)["board"]
    columns = {column["key"]: column for column in board["columns"]}
    texts = {
        "entry": [row["entry"] for row in board["rows"]],
        "scenario": [board["scenarios"][row["scenario"]] for row in board["rows"]],
        "notes": [row["notes"] for row in board["rows"]],
    }
    with visit(plain) as seen:
        assert [name.removesuffix("control") for name in seen.column("entry")[:4]] == texts["entry"][:4]
        found = seen.page.evaluate(SORT_BY_ALL)
        assert "Sorted by notes, descending" in seen.text("#board-status")
    assert [step["key"] for step in found[::2]] == ["entry", "scenario", *columns, "notes"]
    for first, second in zip(found[::2], found[1::2], strict=True):
        column = columns.get(first["key"], {"better": ""})
        ways = ["descending", "ascending"] if column["better"] == "higher" else ["ascending", "descending"]
        assert [first["way"], second["way"]] == ways
        for step in (first, second):
            values = column["values"] if step["key"] in columns else texts[step["key"]]
            known = sorted((value for value in values if value is not None), reverse=step["way"] == "descending")
            assert [values[at] for at in step["rows"]] == [*known, *[None] * (len(values) - len(known))]
            assert step["sorted"] == 1


def test_it_sorts_by_key_and_says_what_is_best(plain: Path, visit: Open) -> None:
    with visit(plain) as seen:
        seen.page.locator("th[data-key='mse'] button").click()
        shown = [float(text.split(" ")[0]) for text in seen.column("mse") if text != NONE]
        assert shown == sorted(shown)
        seen.page.locator("th[data-key='skill_persistence'] button").focus()
        seen.page.keyboard.press("Enter")
        assert seen.column("skill_persistence")[0].startswith("+")
        best = seen.page.locator("tbody td strong").first
        assert int(best.evaluate("(cell) => getComputedStyle(cell).fontWeight")) >= 600
        second = seen.page.locator("tbody td u").first
        assert "underline" in str(second.evaluate("(cell) => getComputedStyle(cell).textDecorationLine"))
        assert seen.page.locator("#board-table tbody th[scope=row]").count() == seen.rows().count()
        assert seen.page.locator("thead th[scope=col]").count() > 10
        assert "Bold: best" in seen.text("#board-table caption")


def test_it_filters(plain: Path, visit: Open) -> None:
    with visit(plain) as seen:
        assert seen.rows().count() == 20
        seen.page.fill("#filter-text", "TITANS")
        assert {name.removesuffix("control") for name in seen.column("entry")} == {
            "titans-a",
            "titans-b",
            "titans-b-stale",
            "titans-c",
        }
        seen.page.select_option("#filter-scenario", label="etth2")
        assert set(seen.column("scenario")) == {"etth2"}
        assert seen.text("#board-status").startswith("4 of 20 rows.")
        seen.page.select_option("#filter-group", label="control")
        assert seen.column("entry") == ["titans-b-stalecontrol"]
        seen.page.fill("#filter-text", "nothing")
        assert seen.text("#board-status").startswith("No row passes")
        seen.page.fill("#filter-text", "")
        seen.page.select_option("#filter-group", "")
        assert seen.rows().count() == 10
        toggle = seen.page.get_by_role("button", name="Cost columns")
        toggle.click()
        assert toggle.get_attribute("aria-pressed") == "false"
        assert not seen.page.locator("th[data-key='windows_per_s']").is_visible()
        assert seen.page.locator("th[data-key='mse']").is_visible()


def test_it_zooms(plain: Path, visit: Open) -> None:
    with visit(plain) as seen:
        whole = seen.text("#stream-status")
        path = seen.page.locator("#plot .line").first
        drawn = path.get_attribute("d")
        seen.page.get_by_role("button", name="Zoom to drift 1: lockdown").click()
        assert seen.text("#stream-status") != whole
        assert path.get_attribute("d") != drawn
        assert seen.page.locator("#plot .flag").first.text_content() == "1 \u2068lockdown\u2069"
        at = float(str(seen.page.locator("#plot .drift").first.get_attribute("x1")))
        box = seen.page.locator("#plot .catch").bounding_box()
        assert box is not None
        assert 0.1 < (at - 56) / box["width"] < 0.4  # the drift, and more of what followed than of what was before
        seen.page.locator("#zoom-reset").click()
        assert seen.text("#stream-status") == whole
        assert seen.page.locator("#plot .drift").count() == 2
        assert seen.page.locator("#plot .band").count() == 2
        box = seen.page.locator("#plot .catch").bounding_box()
        assert box is not None
        seen.page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 50)
        assert seen.page.locator(".tip .swatch").count() == seen.lines()
        tip, plot = seen.page.locator(".tip").bounding_box(), seen.page.locator("#plot").bounding_box()
        assert tip is not None
        assert plot is not None
        assert tip["height"] < plot["height"]
        assert {"titans-c", "frozen", "persistence"} <= set(seen.page.locator(".tip bdi").all_inner_texts())
        seen.page.mouse.down()
        seen.page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 60, steps=3)
        assert seen.page.locator("#plot .brush").count() == 1
        seen.page.mouse.up()
        assert seen.text("#stream-status") != whole
        assert seen.page.locator("#plot .drift").count() == 1
        seen.page.locator("#plot .catch").dblclick()
        assert seen.text("#stream-status") == whole


def test_it_zooms_by_keys(plain: Path, visit: Open) -> None:
    with visit(plain) as seen:
        whole = seen.text("#stream-status")
        seen.page.locator("#plot").focus()
        assert seen.page.locator("#plot").evaluate("(plot) => getComputedStyle(plot).outlineStyle") == "solid"
        seen.page.keyboard.press("+")
        middle = seen.text("#stream-status")
        seen.page.keyboard.press("ArrowRight")
        later = seen.text("#stream-status")
        assert len({whole, middle, later}) == 3
        assert later > middle
        seen.page.keyboard.press("0")
        assert seen.text("#stream-status") == whole


def test_it_toggles_strategies(plain: Path, results: Results, visit: Open) -> None:
    plots = payload(results)["streams"]["plots"]
    with visit(plain) as seen:
        assert seen.lines() == sum(line["on"] for line in plots[0]["lines"]) == 6
        toggle = seen.page.locator("#legend button", has_text="retrain")
        assert toggle.get_attribute("aria-pressed") == "true"
        toggle.click()
        assert toggle.get_attribute("aria-pressed") == "false"
        assert seen.lines() == 5
        seen.page.get_by_role("button", name="All lines").click()
        assert seen.lines() == len(plots[0]["lines"])
        seen.page.get_by_role("button", name="No lines").click()
        assert seen.lines() == 0
        seen.page.get_by_role("button", name="Best lines").click()
        assert seen.lines() == 6
        logarithmic = seen.page.get_by_role("button", name="Logarithmic")
        before = logarithmic.get_attribute("aria-pressed")
        logarithmic.click()
        assert logarithmic.get_attribute("aria-pressed") != before
        seen.page.select_option("#stream-scenario", label="etth2")
        assert seen.page.locator("#plot .drift").count() == 0
        assert seen.page.locator("#legend button").count() == len(plots[1]["lines"])


def test_the_lines_are_the_rolling_means(plain: Path, results: Results, visit: Open) -> None:
    """What is drawn is what pandas says: the picture's y axis read back at its ticks."""
    plot = payload(results)["streams"]["plots"][0]
    line = plot["lines"][0]
    points = next(found["points"] for found in plot["smoothings"] if found["is_own"])
    means = [sum(line["y"][i - points + 1 : i + 1]) / points for i in range(points - 1, len(line["y"]))]
    with visit(plain) as seen:
        seen.page.get_by_role("button", name="No lines").click()
        seen.page.locator("#legend button").first.click()
        path = str(seen.page.locator("#plot .line").get_attribute("d"))
        heights = [float(part.split()[1]) for part in re.split("[ML]", path)[1:]]
        ticks = seen.page.locator("#plot .grid").evaluate_all(
            "(all) => all.map((tick) => Number(tick.getAttribute('y1')))"
        )
        texts = seen.page.locator("#plot text[text-anchor=end]").all_text_contents()[: len(ticks)]
        low, high = float(texts[0]), float(texts[-1])
        read = [low + (high - low) * (height - ticks[0]) / (ticks[-1] - ticks[0]) for height in heights]
        assert read == pytest.approx(means, abs=0.002 * max(means))
        value = seen.page.locator("#legend .value").first.inner_text()
        assert float(value) == pytest.approx(sum(line["y"]) / len(line["y"]), rel=0.005)


@pytest.mark.parametrize(
    ("which", "width", "scheme"), [("plain", 1280, "light"), ("plain", 1280, "dark"), ("hostile", 360, "dark")]
)
def test_it_is_accessible(request: pytest.FixtureRequest, visit: Open, which: str, width: int, scheme: str) -> None:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    with visit(request.getfixturevalue(which), width, scheme) as seen:
        seen.page.locator("summary").click()
        seen.page.get_by_role("button", name="Zoom to drift 1").click()
        seen.page.locator("th[data-key='mse'] button").click()
        # axe cannot tell the contrast of text on the gradient at a table's border, or of what is scrolled away
        seen.page.evaluate(
            """() => {
                for (const box of document.querySelectorAll(".scroll")) {
                    Object.assign(box.style, { background: "none", overflow: "visible", maxHeight: "none" });
                }
            }"""
        )
        seen.page.evaluate(axe)
        found = seen.page.evaluate("axe.run(document, { resultTypes: ['violations', 'incomplete'] })")
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
        unsure = {node["any"][0]["data"]["messageKey"] for rule in found["incomplete"] for node in rule["nodes"]}
        assert unsure <= UNSURE, found["incomplete"]
        assert len(found["passes"]) > 20


def test_both_schemes_have_their_colours(plain: Path, results: Results, visit: Open) -> None:
    frozen = next(line for line in payload(results)["streams"]["plots"][0]["lines"] if line["entry"] == "frozen")
    for scheme in ("light", "dark"):
        with visit(plain, scheme=scheme) as seen:
            at = seen.page.locator("#legend button", has_text="frozen").locator("line")
            stroke = str(at.evaluate("(line) => getComputedStyle(line).stroke"))
            assert "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", stroke)) == frozen[scheme]
            paper = str(seen.page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert (sum(map(int, re.findall(r"\d+", paper))) > 380) == (scheme == "light")


@pytest.mark.parametrize("width", [360, 1280])
def test_hostile_names_are_text(hostile: Path, visit: Open, width: int) -> None:
    with visit(hostile, width) as seen:
        assert seen.page.title() == f"Benchmark report: {EXPERIMENT}"
        assert seen.page.locator("h1").text_content() == EXPERIMENT
        names = seen.page.locator("tbody .name bdi").all_text_contents()
        assert {*map(shown, HOSTILE), f"long (text={LONG})"} <= set(names)
        assert set(seen.page.locator("#legend bdi").all_text_contents()) <= set(names)
        drifts = seen.page.locator("#zooms bdi").all_text_contents()
        assert drifts == [*map(shown, HOSTILE), LONG]
        assert "<img src=x onerror=alert(9)>" in seen.text("#problems")
        assert seen.page.locator("script").count() == 2
        assert seen.page.locator("img, b").count() == 0
        for scroll in ("scrollWidth", "scrollHeight"):
            assert seen.page.evaluate(f"document.documentElement.{scroll}") > 0
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        seen.page.get_by_role("button", name="All lines").click()
        seen.page.locator("#plot .catch").hover()
        tip = seen.page.locator(".tip").bounding_box()
        assert tip is not None
        assert tip["x"] >= 0
        assert tip["x"] + tip["width"] <= width


def test_it_prints_every_row_and_no_controls(plain: Path, visit: Open) -> None:
    with visit(plain, scheme="dark") as seen:
        seen.page.fill("#filter-text", "titans-c")
        assert seen.rows().count() == 2
        seen.page.evaluate(
            """addEventListener("beforeprint", () => {
                window.printed = document.querySelectorAll("tr[data-at]").length;
            })"""
        )
        paper = seen.page.pdf(prefer_css_page_size=True)
        assert seen.page.evaluate("window.printed") == 20
        assert seen.rows().count() == 2  # on screen all is as it was
        assert 2 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 4
        seen.page.emulate_media(media="print")
        for selector in ("#filters", "#zooms", "#board-status", "#legend-sets", "th[data-key='mse'] button"):
            assert not seen.page.locator(selector).is_visible()
        assert seen.text("th[data-key='mse'] .on-paper").startswith("MSE")
        assert seen.page.locator("#plot svg").is_visible()
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_thousands_of_rows_show_the_first_and_then_all(results: Results, tmp_path: Path, visit: Open) -> None:
    data = payload(results)
    board = data["board"]
    times = 1200 // len(board["rows"])
    board["rows"] *= times
    for column in board["columns"]:
        for key in ("values", "texts", "intervals"):
            column[key] *= times
    data["streams"]["plots"][0]["stretch"] = 8
    data["streams"]["left_out"] = ["2 lines left out."]
    path = tmp_path / "long.html"
    path.write_text(assemble("long", as_json(data)), encoding="utf-8")
    with visit(path) as seen:
        assert seen.rows().count() == 300
        assert "1,200 of 1,200 rows. Shown are the first 300." in seen.text("#board-status")
        seen.page.get_by_role("button", name="Show all rows").click()
        assert seen.rows().count() == 1200
        assert not seen.page.locator("#more-rows").is_visible()
        assert "each point is the mean of 8 origins of 60. 2 lines left out." in seen.text("#stream-caption")


def test_the_policy_stops_what_is_put_in_later(plain: Path, browser: Browser) -> None:
    """Were a name ever to become markup, it still could not run."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(plain.as_uri())
    stopped = page.evaluate(
        """() => new Promise((done) => {
            const found = [];
            addEventListener("securitypolicyviolation", (event) => {
                found.push(event.effectiveDirective);
                if (found.length === 4) done(found);
            });
            const script = document.createElement("script");
            script.textContent = "window.broken = 1";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<img src='x.png' onerror='window.broken = 2'>");
            fetch("https://example.org/").catch(() => {});
        })"""
    )
    assert sorted(stopped) == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]
    assert page.evaluate("window.broken") is None
    context.close()


def test_a_page_without_streams(results: Results, tmp_path: Path, visit: Open) -> None:
    data = payload(results)
    data["streams"]["plots"] = []
    path = tmp_path / "bare.html"
    path.write_text(assemble("bare", json.dumps(data).replace("<", "\\u003c")), encoding="utf-8")
    with visit(path) as seen:
        assert not seen.page.locator("#stream").is_visible()
