"""One HTML file out of template, style, scripts, prose and numbers."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from importlib.resources import files

from bench.contracts.text import one_line
from bench.report.blocks import Block, Heading
from bench.report.document import in_html
from bench.report.figures.canvas import drawing_style
from bench.report.html.payload import as_json, payload
from bench.report.render.html import render
from bench.report.sections.accuracy import how_to_read
from bench.report.sections.problems import in_short
from bench.report.sections.summary import answer, question
from bench.report.view.loaded import Results

SCRIPTS = ("elements", "leaderboard", "scales", "curves", "plot", "legend", "zoom", "main")
"""In this order they make one script: each may use what those before it define."""

PLACES = ("question", "answer", "reading", "more", "problems")
"""Where blocks stand in the template; `more` are the sections that are made for the page, too."""

LINKS = {"#problems": "#problems", "#statistical-significance": "#leaderboard"}
"""Where links of the report lead here."""


def compose_page(results: Results) -> str:
    """The HTML of the whole page. The same records give the same bytes."""
    with drawing_style():
        blocks = (question(results), answer(results), how_to_read(results), in_html(results), in_short(results))
        texts = {
            place: render(found if place == "more" else _without_title(found), LINKS)
            for place, found in zip(PLACES, blocks, strict=True)
        }
    return assemble(results.name, as_json(payload(results)), texts)


def _without_title(blocks: list[Block]) -> list[Block]:
    """The page has titles of its own."""
    return [block for block in blocks if not isinstance(block, Heading)]


def assemble(name: str, data: str, texts: Mapping[str, str] | None = None) -> str:
    """Put a payload and rendered blocks into the page."""
    style, script = _read("style.css"), _script()
    parts = dict.fromkeys(PLACES, "") | dict(texts or {})
    images = "img-src data:; " if "<img " in parts["more"] else ""
    parts |= {
        "title": html.escape(f"Benchmark report: {one_line(name)}"),
        "policy": images + _policy(script, style),
        "style": style,
        "script": script,
        "payload": data,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _read("template.html"))


def _script() -> str:
    text = "\n".join(_read(f"script/{name}.js") for name in SCRIPTS)
    return f'\n"use strict";\n(() => {{\n{text}}})();\n'


def _policy(script: str, style: str) -> str:
    """Content security policy: nothing is loaded, and nothing runs but our own script."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    """As a content security policy names what stands between two tags."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _read(name: str) -> str:
    return files("bench.report.html").joinpath(name).read_text(encoding="utf-8")
