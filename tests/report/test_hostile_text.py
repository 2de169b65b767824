"""Text from files is text: no header, name, message or word of a server steers a terminal, a page or a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import unicodedata
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.main import main
from bench.contracts.text import FORMULA, NUMBER, STEERS, in_cell, in_json, in_log, one_line, shown, shown_lines
from bench.report.blocks import Code, escape
from bench.report.render.markdown import inline, render
from bench.results.audit import AUDITS, Audit, write_audit
from bench.results.record import PluginRecord
from bench.results.store import LOG, RECORD, TIMING, Store

from ..conftest import Bench, Write
from ..sessions import change, mine, store_of

ANY = st.text(alphabet=st.characters(exclude_categories=()), max_size=40)  # half surrogate pairs too
CONTROLS = {
    "colour": "\x1b[31mred",
    "title of the window": "\x1b]0;owned\x07",
    "clear": "\x1b[2J\x1b[H",
    "C1": "\x9b31m\x90q\x9c",
    "return": "real\rfake",
    "line": "a\nError: b",
    "backspace": "abc\x08\x08\x08",
    "nothing": "\x00\x7f",
    "order": "\u202egpj.exe",
    "isolate": "\u2066a\u2069\u200f",
    "separators": "a\u2028b\u2029c\x85d",
    "invisible": "\ufeff\u200b\u00ad\U000e0041",
}
FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", '=HYPERLINK("http://x","y")')
HOSTILE = [*CONTROLS.values(), *FORMULAS]


def steering(text: str) -> list[str]:
    """Characters that steer, but for ends of lines."""
    return sorted({repr(c) for c in text if c != "\n" and unicodedata.category(c) in STEERS})


@given(ANY)
def test_text_that_goes_out_holds_nothing_that_steers(text: str) -> None:
    for said in (shown(text), one_line(text), inline(escape(text)), in_cell(text)):
        assert not steering(said)
        assert "\n" not in said
        said.encode()  # any file takes it
    assert not steering(shown_lines(text))
    assert shown_lines(text).count("\n") == text.count("\n")
    assert not steering(in_log(text.encode("utf-8", "surrogatepass")))
    assert not FORMULA.match(in_cell(text)) or NUMBER.fullmatch(in_cell(text))
    if all(c.isprintable() for c in text):
        assert shown(text) == text


@given(ANY)
def test_json_is_the_same_json(text: str) -> None:
    value = {text: [text]}
    for as_it_is in (True, False):
        written = in_json(json.dumps(value, ensure_ascii=as_it_is, indent=1))
        assert json.loads(written) == value
        assert not steering(written)


@pytest.mark.parametrize("number", ["-0.5", "+3", "1e-5", "-1.5E+3", "-.5", "inf", "-inf", "12"])
def test_numbers_stay_numbers(number: str) -> None:
    assert in_cell(number) == number


def test_a_block_of_code_ends_where_it_ends() -> None:
    assert render([Code("a\n```\n<b>\x1b", "toml")]) == "````toml\na\n```\n<b>\\x1b\n````\n"


def hostile_record(fakes: Any, scenario: Any, strategy: Any, text: str, seed: int) -> dict[str, Any]:
    """What a record says, hostile wherever it says something that is not of a closed alphabet."""
    made = fakes.record(strategy, scenario, seed)
    environment = dict.fromkeys(("command", "python", "platform", "device_name"), text) | {"packages": {text: text}}
    dataset = made.dataset.model_copy(
        update={"notes": [text], "source": text, "licence": text, "given": {text: text}, "filled": {text: 0.3}}
    )
    plugin = PluginRecord(name=strategy.name, summary=text, given={text: text}, sha="s0", group=text or "user")
    return {"environment": made.environment | environment, "dataset": dataset, "strategy": plugin}


@pytest.mark.parametrize("controls", [list(CONTROLS)[:4], list(CONTROLS)[4:8], list(CONTROLS)[8:]])
def test_no_output_of_hostile_results_holds_what_steers(
    tmp_path: Path, fakes: Any, bench: Bench, controls: list[str]
) -> None:
    store = Store(tmp_path / "results" / "default")
    for i, text in enumerate([*(CONTROLS[name] for name in controls), *FORMULAS[:3]]):
        formula = FORMULAS[i % len(FORMULAS)]
        scenario = fakes.Scenario(name=f"{formula}{text}", targets=(text, formula), events=((0.4, text),), origins=12)
        for strategy in fakes.strategies[:2]:
            what = hostile_record(fakes, scenario, strategy, text, 0)
            record = fakes.write_run(store, strategy, scenario, 0, experiment=f"{text}{formula}", **what)
        fakes.write_failure(store, fakes.strategies[2], scenario, 0, reason=f"{formula}{text}", traceback=text, **what)
        audit = Audit(
            strategy=record.strategy.name,
            sha=f"s{i}",
            status="failed",
            reason=text,
            quick=True,
            code="",
            packages={text: text},
            date=text,
            seconds=0.0,
        )
        write_audit(store.folder.parent / AUDITS, audit)
        (store.folder / text.replace("/", "|").replace("\x00", "")).mkdir()  # a stray folder of that name
        store.write(record.model_copy(update={"run_id": f"r{i}"}), {})
        (store.folder / f"r{i}" / RECORD).write_text(text)
    for words in (
        ("report", "--html"),
        ("leaderboard", "--csv", "board.csv"),
        ("compare", "results", "results", "--all"),
        ("results", "check"),
        ("results", "merge", "results", "--to", "merged"),
        ("results", "export", "all.csv"),
        ("results", "prune", "--dry-run"),
    ):
        ran = bench(*words)
        assert not steering(ran.out + ran.err), words
    assert "\\x1b" in bench("results", "check").out or "\\" in bench("results", "check").out
    written = [path for folder in ("reports", "results") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    texts = [path for path in written if path.suffix in (".md", ".csv", ".tex", ".html", ".json")]
    assert {path.suffix for path in texts} == {".md", ".csv", ".tex", ".html", ".json"}
    for path in [*texts, tmp_path / "all.csv", tmp_path / "board.csv"]:
        if path.name != RECORD or not path.parent.name.startswith("r"):
            assert not steering(path.read_bytes().decode()), path
    for path in (tmp_path).rglob("*.csv"):
        with path.open(newline="") as file:
            for cell in (cell for row in csv.reader(file) for cell in row):
                assert not FORMULA.match(cell) or NUMBER.fullmatch(cell), (path, cell)


LOUD = """
    import sys
    from bench import Strategy, register_strategy

    @register_strategy("loud")
    class Loud(Strategy):
        "Prints, and raises, what steers."

        def predict(self, windows):
            text = {text!r}
            print(text.encode("utf-8", "surrogatepass"), text.encode("utf-8", "replace").decode())
            sys.stderr.write(text.encode("utf-8", "replace").decode())
            raise RuntimeError(text)
"""


def test_what_a_run_prints_and_raises_and_its_file_s_names_are_text(tiny: Path, bench: Bench, write: Write) -> None:
    text = "".join(CONTROLS.values()) + "\udcff\ud800"
    path = write("loud.py", LOUD.format(text=text))
    name = "\x1b[31m\u202e=1\x9b.csv"
    header = ",".join(f'"{c}{i}"' for i, c in enumerate(("\x1b[31ma\u202e", "=1+1\x9b")))
    body = (tiny.parent / "waves.csv").read_text().partition("\n")[2]
    (tiny.parent / name).write_text(f"{header}\n{body}")
    change(tiny, strategies='["persistence", "loud"]', datasets=json.dumps([f"csv:{name}"]), timing_blocks="1")
    ran = bench("run", tiny, "--plugins", path)
    assert ran.status == 1
    assert not steering(ran.out + ran.err)
    assert "failed: loud on csv:\\x1b[31m\\u202e=1\\x9b.csv" in ran.err
    written = [path for folder in ("results", "reports") for path in (tiny.parent / folder).rglob("*")]
    files = [file for file in written if file.suffix not in ("", ".parquet", ".png", ".safetensors")]
    assert {LOG, RECORD, TIMING, "README.md"} <= {file.name for file in files}
    for file in files:
        assert not steering(file.read_bytes().decode()), file
    assert "\\x1b]0;owned" in next(file for file in files if file.name == LOG).read_text()
    for words in (("data", "describe", f"csv:{name}"), ("run", tiny, "--plugins", path, "--dry-run")):
        ran = bench(*words)
        assert (ran.status, steering(ran.out + ran.err)) == (0, [])
    assert store_of(tiny).read_timing(next(r.run_id for r in store_of(tiny).records() if r.status == "ok"))


def test_words_of_a_server_are_text(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*_: object) -> Path:
        raise OSError("HTTP 500 " + "".join(CONTROLS.values()))

    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("bench.data.download.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr("bench.data.download._download", refused)
    for name in ("etth2", "all"):
        ran = bench("data", "fetch", name)
        assert (ran.status, steering(ran.out + ran.err)) == (2, [])
        assert "HTTP 500 \\x1b[31mred" in ran.err


def test_a_terminal_of_another_encoding_is_written_to(
    tmp_path: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.write_results(tmp_path / "results" / "default", [fakes.Scenario(origins=12)], fakes.strategies[:2], 1)
    written = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench", "leaderboard"])
    monkeypatch.setattr(sys, "stdout", written)
    with pytest.raises(SystemExit) as ended:
        main()
    written.flush()
    assert (ended.value.code or 0, rb"MSE \u2193" in written.buffer.getvalue()) == (0, True)


def test_names_of_any_bytes_are_names(tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(os.fsdecode(os.fsencode(tiny.parent) + b"/\xff\x1b[31m\xe9"))
    here.mkdir()
    for name in ("tiny.toml", "waves.csv"):
        (here / name).write_bytes((tiny.parent / name).read_bytes())
    plain, odd = here / "mine.py", os.fsdecode(b"\xfe.toml")
    plain.write_text(dedent(mine()))
    change(here / "tiny.toml", timing_blocks="1", strategies='["persistence"]')
    (here / odd).write_bytes((here / "tiny.toml").read_bytes())
    table = os.fsdecode(b"\xff.csv")
    (here / table).write_bytes((here / "waves.csv").read_bytes())
    for words, status in (
        (("run", here / "tiny.toml", "--results", here / "r", "--reports", here / "reports", "--plugins", plain), 0),
        (("report", "--results", here / "r", "--reports", here / "reports", "--html"), 0),
        (("results", "check", here / "r"), 0),
        (("results", "export", here / "all.csv", "--results", here / "r"), 0),
        (("results", "merge", here / "r", "--to", here / "m"), 0),
        (("leaderboard", here / "r"), 0),
        (("compare", here / "r", here / "m"), 0),
        (("data", "describe", f"csv:{here / table}"), 0),
        (("run", here / odd), 2),
        (("run", here / "no such.toml"), 2),
        (("results", "check", here / "none"), 2),
    ):
        ran = bench(*words)
        assert (ran.status, steering(ran.out + ran.err)) == (status, []), (words, ran.err)
