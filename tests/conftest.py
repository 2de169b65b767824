"""What the tests of the harness share: registries that forget, a tiny experiment, the command line in this process."""

from __future__ import annotations

import gc
import os
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent
from typing import Any

import hypothesis
import numpy as np
import pytest
import typer.main
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench import DriftSeries, Protocol
from bench.cli.main import main
from bench.contracts.discovery import REGISTRIES, home, load_plugins
from bench.contracts.forecaster import FORECASTERS, Pairs, TrainingConfig
from bench.contracts.protocol import ProtocolSpec
from bench.contracts.strategy import STRATEGIES, has_parts
from bench.evaluation.pretraining import TrainingCurve, train_by_gradients
from bench.evaluation.run import _loaded
from bench.execution import audits
from bench.report.figures import canvas
from bench.results.audit import Audit
from bench.testing import AsRun, checks, small_series
from bench.testing.tiny import SHORT

from .forked import forked_workers

os.environ.setdefault("RAY_AUTH_TOKEN", uuid.uuid4().hex)  # otherwise ray leaves one in the user's home
hypothesis.settings.register_profile("no wall time", deadline=None)
hypothesis.settings.load_profile("no wall time")

Write = Callable[[str, str], Path]
SAVE = canvas.save


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit status, and what it printed."""

    status: int
    out: str
    err: str


Bench = Callable[..., Ran]


@pytest.fixture
def young_heap() -> Iterator[None]:
    """A walk over all objects meets only those that the test makes, and takes milliseconds instead of a second."""
    gc.freeze()
    yield
    gc.unfreeze()


@cache
def built_in() -> None:
    """Register what is built in, sections of reports too; it is never forgotten."""
    with chdir(home()):  # without those of the test's folder
        load_plugins()
    import_module("bench.report.document")


@contextmanager
def forgetting() -> Iterator[None]:
    """Built-in plug-ins are there; whatever else is registered or loaded meanwhile is forgotten at the end."""
    built_in()
    _loaded.cache_clear()
    entries = [registry._entries.copy() for registry in REGISTRIES]
    modules = set(sys.modules)
    try:
        yield
    finally:
        for registry, before in zip(REGISTRIES, entries, strict=True):
            registry._entries = before
        for name in set(sys.modules) - modules:
            if name.startswith("bench_plugins."):
                del sys.modules[name]
        _loaded.cache_clear()


@pytest.fixture(autouse=True, scope="session")
def _once_in_a_process() -> Iterator[None]:
    """Building a command of its functions, looking through installed packages, and auditing what is built in.

    What is imported by now stays, and the garbage collector need not walk over it again and again.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traceback, "format_stack", lambda *_, **__: [])  # torch formats it 3 times for each manual_seed
        patch.setattr(typer.main, "get_command", cache(typer.main.get_command))
        patch.setattr("bench.contracts.discovery.entry_points", cache(entry_points))
        patch.setattr(audits, "_audit", audited_once(audits._audit))
        patch.setattr(canvas, "save", keep_words)
        yield


def keep_words(figure: Figure, stem: Path) -> None:
    """A figure's files, with its words but no lines: to draw both takes half of the time of a report."""
    stem.with_name(f"{stem.name}.svg").write_text("\n".join(words_in(figure)), encoding="utf-8")
    stem.with_name(f"{stem.name}.png").touch()


def words_in(artist: Artist) -> Iterator[str]:
    """All text; of an axis that which is there already: to ask it for ticks makes them, which takes long."""
    if isinstance(artist, Text):
        yield str(artist.get_text())
    for child in [artist.label, *artist.majorTicks] if isinstance(artist, Axis) else artist.get_children():
        yield from words_in(child)


@contextmanager
def pictures() -> Iterator[None]:
    """Reports draw their figures, as a user's do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canvas, "save", SAVE)
        yield


def audited_once(audit: Callable[[audits.Subject, audits.Asked], Audit]) -> Callable[..., Audit]:
    """``audit``, which of built-in code remembers what it found: an audit takes a second, and most sessions make two.

    What is remembered is of the same code and options, served alike; what the user's own files hold is always audited.
    """
    known: dict[object, Audit] = {}

    @wraps(audit)
    def remembered(subject: audits.Subject, asked: audits.Asked) -> Audit:
        entries = [STRATEGIES[subject.strategy], *([FORECASTERS[subject.forecaster]] if subject.forecaster else [])]
        if not all(entry.file.is_relative_to(home()) for entry in entries):
            return audit(subject, asked)
        code = [vars(module)["code_sha"]() for module in (audits, checks)]  # as they have it in this test
        served = repr(list(map(AsRun.of, subject.runs)))
        asks = asked.quick, asked.threads, asked.seconds
        key = subject, subject.sha, served, asks, *code, *(entry.cls for entry in entries)
        if key not in known:
            known[key] = audit(subject, asked)
        return known[key]

    return remembered


@pytest.fixture(scope="module")
def short_parts() -> Iterator[None]:
    """What strategies train beside the forecaster is trained for a few steps."""

    def few(model: Any, pairs: Pairs, validation: Pairs, config: TrainingConfig, seed: int) -> TrainingCurve:
        return train_by_gradients(model, pairs, validation, config.model_copy(update=SHORT), seed)

    load_plugins()
    with pytest.MonkeyPatch.context() as patch:
        for cls in (entry.cls for entry in STRATEGIES if has_parts(entry.cls)):
            patch.setattr(sys.modules[cls.__module__], "train_by_gradients", few)
        yield


@pytest.fixture
def registries() -> Iterator[None]:
    """The built-in plug-ins; what the test registers is forgotten after it."""
    with forgetting():
        yield


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text file into the test's folder."""

    def write_text(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    return write_text


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Run ``bench WORDS...`` in the test's folder, as if in a process of its own; its workers are forked."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, words)])
        capsys.readouterr()
        with forgetting(), forked_workers(), pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ran(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """``bench run`` writes no report: drawing one takes seconds."""
    monkeypatch.setattr("bench.report.write_report", lambda _, report, **__: report / "README.md")


@pytest.fixture
def tiny(tmp_path: Path, write: Write) -> Path:
    """An experiment on 400 rows of noisy waves: two strategies, no forecaster, inline; its series is ``waves.csv``."""
    t = np.arange(400)
    waves = np.stack([np.sin(t / 4), np.cos(t / 3)], axis=1) + 0.1 * np.random.default_rng(0).normal(size=(400, 2))
    rows = ["a,b", *(f"{a:.4f},{b:.4f}" for a, b in waves)]
    write("waves.csv", "\n".join(rows) + "\n")
    return write(
        "tiny.toml",
        """
        protocol = { lookback = 12, horizon = 3 }
        strategies = ["persistence", "rls"]
        forecasters = []
        datasets = ["csv:waves.csv"]
        engine = "inline"
        training = { steps = 6, batch = 8, evaluations = 2 }
        timing_blocks = 2
        """,
    )


def tiny_series(hidden: bool = False) -> DriftSeries:
    """Ninety rows for a canary."""
    return small_series(hidden_targets=hidden, rows=90)


def resolved(series: DriftSeries, preset: str = "dense", **changes: Any) -> Protocol:
    """A preset; ``dense`` in blocks of five, so that cuts fall inside a block."""
    block = 5 if preset == "dense" else None
    return ProtocolSpec.model_validate({"preset": preset, "block": block} | changes).resolve(series)
