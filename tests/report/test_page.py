"""The page of a report: what it is given, that no name can break it, and that nothing else may run in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from bench.contracts.text import one_line, shown_lines
from bench.report import PAGE, write_report
from bench.report.blocks import Block, Bullets, Heading, Paragraph, escape, runs
from bench.report.figures.palette import SPARE
from bench.report.html.cells import number, podium
from bench.report.html.document import assemble, compose_page
from bench.report.html.payload import as_json, payload
from bench.report.html.streams import BYTES_A_POINT, all_looks, last_of, limits_for, means_over, stretch_origins
from bench.report.html.theme import CONTRAST, DARK_PAPER, contrast, on_dark
from bench.report.render.html import inline, render
from bench.report.sections.problems import in_short
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.results.store import Store

from ..conftest import Bench
from .conftest import KNOWN

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)  # half surrogate pairs too
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script>", "<!--", "]]>", "a\u2028b\u202ec")


class Elements(HTMLParser):
    """The raw texts of a page's elements, and its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[tuple[str, dict[str, str | None], str]] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append((tag, dict(attrs)))
        self.texts.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.texts.append(("", {}, ""))  # what follows is not the element's

    def handle_data(self, data: str) -> None:
        if self.texts:
            tag, attributes, text = self.texts[-1]
            self.texts[-1] = tag, attributes, text + data

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, text) for name, attributes, text in self.texts if name == tag]


def payload_of(page: str) -> Any:
    (data,) = [text for attributes, text in Elements(page).of("script") if attributes.get("id") == "payload"]
    return json.loads(data)


@pytest.fixture(scope="module")
def results(two_datasets: Path) -> Results:
    return read_results(two_datasets)


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return compose_page(results)


def test_golden(page: str, results: Results, snapshot: SnapshotAssertion) -> None:
    assert json.dumps(payload(results), indent=1, ensure_ascii=False) == snapshot(name="payload")
    skeleton = re.sub(r"(<(?:style|script)[^>]*>).*?(</(?:style|script)>)", r"\1\2", page, flags=re.DOTALL)
    skeleton = re.sub(r"sha256-[^']+", "sha256-", skeleton)
    assert skeleton == snapshot(name="skeleton")


def test_the_same_records_give_the_same_bytes(page: str, two_datasets: Path) -> None:
    assert compose_page(read_results(two_datasets)) == page


def test_the_page_says_what_the_markdown_says(page: str, readme: Path) -> None:
    found = payload_of(page)
    text = readme.read_text(encoding="utf-8")
    answer = page.partition('<div id="answer" class="prose">')[2].partition("</div>")[0]
    said = [unescape(re.sub("<.*?>", "", line)) for line in re.findall("<(?:p|li)>(.*?)</(?:p|li)>", answer)]
    assert len(said) > 3
    for plain in said:
        assert re.sub(r"\*\*|\]\(#[^)]*\)|\[(?=Stat|Prob)", "", text).count(plain) == 1, plain
    mse = next(column for column in found["board"]["columns"] if column["key"] == "mse")
    assert all(f" {cell} |" in text or f"**{cell}** |" in text for cell in mse["texts"])


@given(name=ANY_TEXT)
def test_any_name_survives(name: str) -> None:
    data = as_json({"name": name, name: [name]})
    assert data.isascii()
    assert not set("<>&\u2028\u2029") & set(data)
    said = shown_lines(name)
    assert json.loads(data) == {"name": said, said: [said]}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_out(name: str) -> None:
    page = assemble(name, as_json({"name": name}))
    assert payload_of(page) == {"name": shown_lines(name)}
    elements = Elements(page)
    assert len(elements.of("script")) == 2
    assert not elements.of("img")
    assert elements.of("title")[0][1] == f"Benchmark report: {one_line(name)}"


@given(name=ANY_TEXT)
def test_what_is_escaped_is_read_back(name: str) -> None:
    line = one_line(name)
    assert runs(escape(name)) == ([(line, "", "")] if line else [])
    assert runs(f"**{escape('a' + name)}** b") == [(one_line("a" + name), "strong", ""), (" b", "", "")]
    assert Elements(f"<title>{inline(escape(name), {})}</title>").of("title")[0][1] == line


def test_paragraphs() -> None:
    blocks: list[Block] = [Heading("Title", 3), Paragraph("one *two*"), Bullets(["**a**: `b c`", "[d](#d), [e](#e)"])]
    assert render(blocks, {"#d": "#here"}) == (
        '<h3>Title</h3>\n<p>one <em><bdi dir="auto">two</bdi></em></p>\n'
        '<ul><li><strong><bdi dir="auto">a</bdi></strong>: <code><bdi dir="auto">b c</bdi></code></li>'
        '<li><a href="#here">d</a>, e</li></ul>'
    )


def test_a_page_without_problems_says_so(tmp_path: Path, fakes: Any) -> None:
    store = fakes.write_results(tmp_path / "r", strategies=fakes.strategies[:1], seeds=1)
    assert in_short(read_results(store.folder)) == [Paragraph("Every run ended well.")]


def test_nothing_runs_but_what_the_policy_names(page: str) -> None:
    elements = Elements(page)
    policy = next(a["content"] for a, _ in elements.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    (style,) = [text for _, text in elements.of("style")]
    (script,) = [text for attributes, text in elements.of("script") if "type" not in attributes]
    for kind, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"
    assert {kind: rule for kind, rule in rules.items() if "sha256" not in rule} == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not [a for _, a in elements.open if {"src", "style", "onclick", "onload"} & set(a) or a.get("rel")]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(", script)
    assert set(re.findall(r"\w+://[^\s\"']+", script + style)) == {"http://www.w3.org/2000/svg"}


@given(value=st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_can_be_json(value: float) -> None:
    found = json.loads(as_json(number(value)))
    if np.isfinite(value):
        assert found == pytest.approx(value, rel=1e-5)
    else:
        assert found == ("inf" if np.isinf(value) else None)


@settings(deadline=None)  # other work may share the machine
@given(
    values=st.lists(st.sampled_from([0.1, 0.2, 0.3, np.nan, np.inf]), min_size=1, max_size=8),
    ranked=st.lists(st.booleans(), min_size=8, max_size=8),
    better=st.sampled_from(["lower", "higher"]),
)
def test_the_best_and_the_second(values: list[float], ranked: list[bool], better: Any) -> None:
    board = pd.DataFrame({"scenario": "a", "rank": [1.0 if r else np.nan for r in ranked[: len(values)]]})
    best, second = podium(board, pd.Series(values), better)
    able = [v for v, r in zip(values, ranked, strict=False) if r and np.isfinite(v)]
    order = sorted(set(able), reverse=better == "higher")
    assert {values[row] for row in best} == set(order[:1])
    assert {values[row] for row in second} == set(order[1:2])
    assert all(ranked[row] for row in [*best, *second])
    assert len(best) == sum(value == order[0] for value in able) if order else not best


@pytest.mark.parametrize("colour", [*KNOWN.values(), *SPARE])
def test_colours_stand_out_from_dark_paper(colour: str) -> None:
    assert contrast(on_dark(colour), DARK_PAPER) >= CONTRAST
    if contrast(colour, DARK_PAPER) >= CONTRAST:
        assert on_dark(colour) == colour


def test_the_dark_paper_is_that_of_the_style_sheet(page: str) -> None:
    (style,) = [text for _, text in Elements(page).of("style")]
    assert f"--paper: {DARK_PAPER};" in style
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@settings(deadline=None)
@given(origins=st.integers(2, 5000), window=st.integers(1, 400), points=st.integers(1, 600))
def test_stretches(origins: int, window: int, points: int) -> None:
    stretch = stretch_origins(origins, window, points)
    assert 1 <= -(-origins // stretch) <= points
    assert stretch < 2 * -(-origins // points)  # no coarser than need be
    last = last_of(origins, stretch)
    assert last[-1] == origins - 1
    values = pd.Series(np.arange(origins, dtype=float))
    means = means_over(values, stretch)
    lengths = np.diff([-1, *last])
    assert len(means) == len(last)
    assert np.average(means, weights=lengths) == pytest.approx(values.mean())  # nothing is left out or counted twice


@given(each=st.integers(1, 60), scenarios=st.integers(1, 400), room=st.integers(100_000, 4_500_000))
def test_lines_keep_within_their_room(each: int, scenarios: int, room: int) -> None:
    limits = limits_for(each * scenarios, scenarios, room)
    kept = min(each, limits.lines) * limits.scenarios
    assert 1 <= limits.points <= 600
    assert kept * limits.points * BYTES_A_POINT <= room
    if each * scenarios * 600 * BYTES_A_POINT <= room:
        assert (limits.points, kept) == (600, each * scenarios)  # nothing is given up that there is room for


def test_a_long_stream_is_thinned_and_that_is_counted(tmp_path: Path, fakes: Any) -> None:
    scenario = fakes.Scenario(origins=20_000, events=())
    store = fakes.write_results(tmp_path / "long", [scenario], fakes.strategies[:3], seeds=1)
    found = payload(read_results(store.folder))
    (plot,) = found["streams"]["plots"]
    assert plot["origins"] == 20_000
    assert 300 <= len(plot["x"]) <= 600
    assert {len(line["y"]) for line in plot["lines"]} == {len(plot["x"])}
    assert plot["stretch"] * len(plot["x"]) >= 20_000
    assert len(as_json(found)) < 200_000


def test_where_room_is_short_the_worst_lines_go_and_are_counted(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.report.html.payload.LEAST_ROOM", 150 * 14 * BYTES_A_POINT)
    monkeypatch.setattr("bench.report.html.payload.MOST_BYTES", 0)
    streams = payload(results)["streams"]
    assert [len(plot["lines"]) for plot in streams["plots"]] == [7, 7]
    assert streams["left_out"] == ["4 lines of the lowest ranks left out, to keep this page small."]
    ranked = results.board_of(results.scenarios[0])["entry"].tolist()
    assert [line["entry"] for line in streams["plots"][0]["lines"]] == ranked[:7]


def test_drifts_and_their_bands(results: Results) -> None:
    plot = payload(results)["streams"]["plots"][0]
    assert [drift["name"] for drift in plot["drifts"]] == ["lockdown", "reopening"]
    first = results.first("akl-pedestrians")
    rows = [event.row for event in first.dataset.events]
    for drift, row in zip(plot["drifts"], rows, strict=True):
        at = pd.Timestamp("2020-01-01") + pd.Timedelta(hours=row)
        assert drift["at"] == at.timestamp()
        assert drift["at"] - drift["begin"] == 3600 * first.protocol.horizon
        assert drift["end"] == drift["at"]
        assert plot["x"][0] <= drift["from"] < drift["begin"] < drift["to"] <= plot["x"][-1]


def test_lines_look_as_in_the_figures(results: Results) -> None:
    plot = payload(results)["streams"]["plots"][0]
    by_entry = {line["entry"]: line for line in plot["lines"]}
    assert by_entry["titans-b"]["light"] == KNOWN["titans-b"]
    assert by_entry["persistence"]["dash"]
    assert not by_entry["frozen"]["dash"]
    assert sum(line["on"] for line in plot["lines"]) == 6
    board = pd.DataFrame({"entry": [f"rls ({i})" for i in range(30)], "strategy": "rls", "seeds": 1, "rank": 1.0})
    drawn = all_looks(board, {"rls": "#e69f00"})
    assert [look.entry for look in drawn] == board["entry"].tolist()


def test_an_error_without_bound_and_a_barred_entry(tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "odd")
    for fake in fakes.strategies[:3]:
        fakes.write_run(store, fake, fakes.Scenario(), 0)
    odd = fakes.Strategy("odd", 0.1, group="user")
    errors = fakes.errors(odd, fakes.Scenario(), pd.DataFrame({"mse": [1.0], "mae": [1.0]}))
    fakes.write_run(store, odd, fakes.Scenario(), 0, errors=errors.model_copy(update={"mse": float("inf")}))
    cheat = fakes.Strategy("cheat", 0.01, group="user")
    fakes.write_verdict(store, fakes.write_run(store, cheat, fakes.Scenario(), 0), "failed", "it looks ahead")
    results = read_results(store.folder)
    found = payload(results)
    rows = {row["entry"]: at for at, row in enumerate(found["board"]["rows"])}
    mse = next(column for column in found["board"]["columns"] if column["key"] == "mse")
    assert (mse["values"][rows["odd"]], mse["texts"][rows["odd"]]) == ("inf", "∞")
    assert mse["best"] == [rows["rls"]]
    assert found["board"]["rows"][rows["cheat"]]["marks"] == ["user", "FAILED the leak canary, not ranked"]
    assert render(in_short(results), {}).count("FAILED the leak canary</bdi></td>") == 1
    as_json(found)


def test_the_page_is_written_where_it_was_asked_for_and_never_grows_old(tmp_path: Path, fakes: Any) -> None:
    store = fakes.write_results(tmp_path / "small", strategies=fakes.strategies[:2], seeds=1)
    target = tmp_path / "report"
    report = write_report(store.folder, target)
    assert not (target / PAGE).exists()
    write_report(store.folder, target, page=True)
    first = (target / PAGE).read_text(encoding="utf-8")
    assert first == compose_page(read_results(store.folder))
    assert PAGE not in report.read_text(encoding="utf-8")
    fakes.write_run(store, fakes.strategies[2], fakes.Scenario(), 0)
    write_report(store.folder, target)
    assert len(payload_of((target / PAGE).read_text(encoding="utf-8"))["board"]["rows"]) == 3


def test_the_command(bench: Bench, tmp_path: Path, fakes: Any) -> None:
    fakes.write_results(tmp_path / "results" / "small", strategies=fakes.strategies[:2], seeds=1)
    ran = bench("report", "--html")
    assert (ran.status, ran.out.split()) == (0, ["reports/small/README.md", "reports/small/report.html"])
    assert (tmp_path / "reports" / "small" / PAGE).is_file()


def test_the_command_says_where_there_is_nothing_to_show(
    bench: Bench, tmp_path: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.write_results(tmp_path / "results" / "swept", strategies=fakes.strategies[:1], seeds=1)
    monkeypatch.setattr("bench.report.write_report", lambda _, report, **__: report / "README.md")
    ran = bench("report", "--html")
    assert ran.out.split() == ["reports/swept/README.md"]
    assert "No reports/swept/report.html: nothing has been served yet" in ran.err
