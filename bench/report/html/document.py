"""One HTML file out of template, style, scripts and numbers."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib.resources import files

from bench.contracts.text import one_line
from bench.report.html.payload import as_json, payload
from bench.report.view.loaded import Results

SCRIPTS = ("elements", "prose", "leaderboard", "scales", "curves", "plot", "legend", "zoom", "main")
"""In this order they make one script: each may use what those before it define."""


def compose_page(results: Results) -> str:
    """The HTML of the whole page. The same records give the same bytes."""
    return assemble(results.name, as_json(payload(results)))


def assemble(name: str, data: str) -> str:
    """Put a payload into the page.

    Args:
        name: Of the experiment; any text.
        data: From `as_json`.
    """
    style, script = _read("style.css"), _script()
    parts = {
        "title": html.escape(f"Benchmark report: {one_line(name)}"),
        "policy": _policy(script, style),
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
