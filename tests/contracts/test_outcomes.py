"""Identities of code: which of this package's own have a number, and what a number is worth."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contracts.discovery import home
from bench.contracts.outcomes import Known, identity, known_subjects
from bench.contracts.sources import Sources

from ..outcomes_file import contents

TITANS_D = {"titans-cd", "titans-d", "titans-d-shuffled", "titans-d-stale"}
ERROR_MEMORIES = {"error-memory", "ridge-d", *TITANS_D}
STRATEGIES = {*TITANS_D, "titans-a", "titans-b", "titans-b-shuffled", "titans-b-stale", "titans-b-window", "titans-c"}
TITANS = {"titans", *STRATEGIES}
LINEAR = {"dlinear", "nlinear", "ols", "ridge"}
REPLAY = {"der-pp", "dsof-slow", "er", "mir"}
CALIBRATION = {"dynatta", "petsa", "tafas", "tafas-as-published"}
DETECTION = {"d3a", "detect-retrain"}
TWO_SPEED = {"dsof", "onenet"}
OTHERS = {"cep", "fsnet", "norm-affine", "norm-stats", "ogd", "proceed", "solid", "solid-pp"}
GRADIENT = {*OTHERS, *REPLAY, *CALIBRATION, *DETECTION, *TWO_SPEED}
BLACK_BOX = {"cosa", "elf", "fac", "orca"}
LITERATURE = {"hedge", *GRADIENT, *BLACK_BOX}
NETWORKS = {"fsnet-tcn", "gru", "itransformer", "patchtst", "tcn"}


def test_the_file_of_outcomes_is_of_today_s_code() -> None:
    """If this fails: ``make outcomes`` if no number changes, otherwise name what changes; see its docstring."""
    assert {subject: entry.content for subject, entry in known_subjects().items()} == contents()


def test_a_number_stands_for_the_code_that_the_file_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = Sources({"a.py": "1"}, {"torch": "2"}), Sources({"a.py": "2"}, {"torch": "2"})
    file: dict[str, Known] = {}
    monkeypatch.setattr("bench.contracts.outcomes.known_subjects", lambda: file)

    def sha(code: Sources) -> str:
        return identity("strategy mine", code)

    assert sha(before) != sha(after)  # unknown: by its content
    file["strategy mine"] = Known(1, before.content)
    first = sha(before)
    file["strategy mine"] = Known(1, after.content)
    assert sha(after) == first  # the numbers stay, by the author's word
    assert sha(before) != first  # and what the file does not know is another
    file["strategy mine"] = Known(2, after.content)
    assert sha(after) != first
    assert sha(Sources(after.files, {"torch": "3"})) != sha(after)


EDITS = {
    "bench/evaluation/stream.py": {"harness"},
    "bench/evaluation/metrics.py": {"harness"},
    "bench/evaluation/isolation.py": {"harness"},
    "bench/contracts/metric.py": {"harness"},
    "bench/forecasters/linear.py": {
        "rls",
        *LINEAR,
        *NETWORKS,
        *TITANS,
        *ERROR_MEMORIES,
        *GRADIENT,
        *BLACK_BOX,
        "hedge",
    },
    "bench/forecasters/dlinear.py": {"dlinear", "nlinear"},
    "bench/forecasters/normalized.py": NETWORKS,
    "bench/forecasters/tcn.py": {"fsnet-tcn", "tcn"},
    "bench/forecasters/titans/carry.py": STRATEGIES,
    "bench/forecasters/titans/fast_engine/memory.py": TITANS,
    "bench/adaptation/error_memory.py": ERROR_MEMORIES,
    "bench/adaptation/online_optimizer.py": {*STRATEGIES, *TITANS_D, *GRADIENT, *BLACK_BOX},
    "bench/adaptation/calibration_layers.py": {"orca", "proceed", *CALIBRATION, *TWO_SPEED},
    "bench/adaptation/drift_detectors.py": DETECTION,
    "bench/adaptation/layer_modulation.py": {"proceed"},
    "bench/adaptation/replay_buffers.py": {"solid", "solid-pp", *REPLAY, *CALIBRATION, *DETECTION, *TWO_SPEED, "orca"},
    "bench/adaptation/waiting_forecasts.py": {"hedge", *BLACK_BOX},
    "bench/adaptation/exponential_weights.py": {"hedge", *ERROR_MEMORIES, *BLACK_BOX},
    "bench/adaptation/shuffled.py": STRATEGIES,
    "bench/report/sections/accuracy.py": set(),
    "bench/analysis/statistics/ranks.py": set(),
    "bench/execution/session.py": set(),
    "bench/results/store.py": set(),
    "bench/data/user_files/csv_table.py": set(),
}
"""Whose identity an edit of a module of this package changes."""

LOOK = """
import json, sys
from pathlib import Path
from bench.contracts import outcomes
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.discovery import load_plugins
from bench.contracts.strategy import STRATEGIES

load_plugins()

def identities():
    for cached in (outcomes.harness, outcomes._harness_modules):
        cached.cache_clear()
    found = {e.name: outcomes.code_of(e.cls).content for registry in (STRATEGIES, FORECASTERS) for e in registry}
    return found | {"harness": outcomes.harness().content}

before, changed = identities(), {}
for name in json.loads(sys.argv[1]):
    file = Path(name)
    text = file.read_text()
    file.write_text(text + "# a comment\\n")
    assert identities() == before, name
    file.write_text(text + "EDITED = True\\n")
    changed[name] = sorted(one for one, content in identities().items() if content != before[one])
    file.write_text(text)
print(json.dumps(changed))
"""


def test_an_edit_of_this_package_renews_what_it_decides_and_nothing_else(tmp_path: Path) -> None:
    for part in ("bench", "adapters", "datasets"):
        shutil.copytree(home() / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(home() / "pyproject.toml", tmp_path)
    command = [sys.executable, "-W", "ignore", "-c", LOOK, json.dumps(list(EDITS))]
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert {name: set(changed) for name, changed in json.loads(ran.stdout).items()} == EDITS
