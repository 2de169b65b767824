"""What commands print for other programs: ``--json``, and plain lines where no terminal is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..conftest import Bench, Write

BAD = """
from bench import Metric, register_metric

@register_metric("bad")
class Bad(Metric):
    "Never the same."
    calls = 0

    def add(self, scored):
        Bad.calls += 1
        return scored.errors.mean(dim=(1, 2)) + Bad.calls
"""


def read(text: str) -> Any:
    """JSON by its standard, which has no NaN."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.usefixtures("without_report")
def test_what_a_run_leaves_is_read_as_json(tiny: Path, bench: Bench) -> None:
    ahead = read(bench("run", tiny, "--dry-run", "--json").out)
    assert {key: ahead[key] for key in ("runs", "to_do", "to_train", "seconds")} == {
        "runs": 2,
        "to_do": 2,
        "to_train": 0,
        "seconds": None,
    }
    assert [row["strategy"] for row in ahead["rows"]] == ["persistence", "rls"]
    assert ahead["rows"][0]["found"] == {"absent": 1}
    assert bench("run", tiny).status == 0
    ahead = read(bench("run", tiny, "--dry-run", "--json").out)
    assert (ahead["to_do"], ahead["seconds"]) == (0, 0.0)

    found = read(bench("leaderboard", "--json").out)
    assert [entry["entry"] for entry in found["entries"]] == ["rls", "persistence"]
    assert found["entries"][0]["rank"] == 1
    assert found["sources"][0]["runs"] == 2

    ran = bench("compare", "results", "results", "--json")
    assert ran.status == 0
    compared = read(ran.out)
    assert compared["unreadable"] == [0, 0]
    assert {change["verdict"] for change in compared["changes"]} <= {"same", "no significant difference"}


def test_json_is_of_a_dry_run(tiny: Path, bench: Bench) -> None:
    ran = bench("run", tiny, "--json")
    assert ran.status == 2
    assert "--json is for --dry-run. What a run left is read by bench leaderboard --json." in ran.err


def test_a_check_as_json(bench: Bench, write: Write) -> None:
    (said,) = read(bench("check", "rls", "--quick", "--engine", "inline", "--json").out)
    assert (said["name"], said["kind"], said["passes"], said["quick"]) == ("rls", "strategy", True, True)
    assert any("no leak" in line for line in said["passed"])
    ran = bench("check", "bad", "--engine", "inline", "--json", "--plugins", write("bad.py", BAD))
    assert ran.status == 1
    (said,) = read(ran.out)
    assert not said["passes"]
    assert said["found"]
    assert {"why_it_matters", "what_to_do"} <= {*said}


@pytest.mark.parametrize("words", ["list metrics", "doctor", "run tiny.toml --dry-run", "run gone.toml", "--help"])
def test_without_a_terminal_lines_are_plain(
    tiny: Path, bench: Bench, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    ran = bench(*words.split())
    assert "\x1b" not in ran.out + ran.err
    assert "\r" not in ran.out + ran.err
