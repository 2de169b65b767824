"""Every cheat that was thought of, by name: caught, harmless or out of scope; the table of the docs says the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from torch import Tensor

from bench import Feedback, Strategy, register_strategy
from bench.evaluation.profiling import clocks as timing
from bench.report.sections.timing_doubts import doubts
from bench.results.audit import audits_beside
from bench.results.record import StepTimes, tampering
from bench.testing import (
    CheckError,
    LeakError,
    NondeterministicError,
    OrderError,
    TamperingError,
    audit_strategy,
    check_forecaster,
)

from ..busy import Clock
from ..cheats import FromNumpy, Honest, LooksUpTheStack, RewritesTheTruth, canary, same_as_honest
from ..evaluation import test_blind_training as blind
from ..evaluation import test_plain_forecasts as plain
from ..evaluation import test_timing
from ..evaluation import test_timing_pass as again
from ..saboteurs import SABOTAGES, leaves
from ..served_runs import carried_out, place_in, replayed, run_of, timed
from . import test_audit_scope as scope
from . import test_canary_chance as chance
from . import test_canary_cheats as ahead
from . import test_canary_handed as handed

pytestmark = pytest.mark.usefixtures("registries", "young_heap")

DOCS = Path(__file__).parents[2] / "docs" / "protocol.md"
KINDS = ("future", "rewriting", "memory", "chance", "training", "options", "clock")
OUT_OF_SCOPE = "out of scope"

Proof = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A cheat, what becomes of it, and what shows that; nothing shows what is out of scope."""

    kind: str
    outcome: str
    proof: Proof | None = None


def caught(cheat: type[Strategy], error: type[CheckError], **changes: Any) -> Proof:
    """By the canary, with an error of this class."""

    def prove(_: Path) -> None:
        chance.RemembersTheStream.seen.clear()
        chance.KeepsTheStage.first.clear()
        with pytest.raises(error):
            canary(cheat, **changes)

    return prove


def harmless(cheat: type[Strategy]) -> Proof:
    """It forecasts as one that is honest does."""

    def prove(_: Path) -> None:
        assert same_as_honest(cheat)

    return prove


def by_the_pass(cheat: type[Strategy], verdict: str) -> Proof:
    """By the timing pass of its run."""

    def prove(folder: Path) -> None:
        assert replayed(cheat, folder).verdict == verdict

    return prove


def by_the_audit(cheat: type[Strategy]) -> Proof:
    """By an audit with a run's options."""

    def prove(_: Path) -> None:
        register_strategy("configured")(cheat)
        assert scope.audited(scope.run_of("configured", options={"rate": 0.7})).status == "failed"

    return prove


def in_training(look: str, *, is_caught: bool) -> Case:
    """The weights do not depend on what is found, and the check says that it was looked for."""
    outcome = "harmless, and caught: leaks" if is_caught else "harmless"

    def prove(_: Path) -> None:
        blind.test_no_row_of_the_stream_reaches_what_is_trained(blind.PeepsInItsFit, look)
        if is_caught:
            with pytest.raises(LeakError):
                check_forecaster("peeps")

    return Case("training", outcome, prove)


def taken_at_once(kind: str) -> Proof:
    def prove(_: Path) -> None:
        plain.test_a_forecast_is_taken_when_it_is_made(kind)

    return prove


class WorksInItsTrace(Honest):
    """Adapts when it is asked for numbers, which is off the clock."""

    waiting: Feedback | None = None

    def adapt(self, feedback: Feedback) -> None:
        self.waiting = feedback

    def trace(self) -> dict[str, float]:
        if self.waiting is not None:
            Honest.adapt(self, self.waiting)
        return {}


class KeepsNotes(Honest):
    """Writes what it has seen into a file, and reads there what a later run of the same stream is to come to."""

    file: ClassVar[Path]

    def setup(self) -> None:
        super().setup()
        self.known: dict[int, float] = dict(np.load(self.file, allow_pickle=True)[()]) if self.file.exists() else {}

    def observe(self, rows: Tensor) -> None:
        self.known.update(enumerate(rows.mean(dim=1).tolist(), start=self.origin))
        super().observe(rows)
        np.save(self.file, np.array(self.known, dtype=object))

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + self.known.get(self.origin + 1, 0.0)


def keeps_notes(folder: Path) -> None:
    KeepsNotes.file = folder / "notes.npy"
    assert replayed(KeepsNotes, folder).verdict == "differs"


def works_in_its_trace(_: Path) -> None:
    register_strategy("cheat")(WorksInItsTrace)
    audit = audit_strategy("cheat", quick=True)
    assert audit.status == "failed"
    assert "trace() changed the forecast" in audit.reason


def works_in_finalizers(_: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(timing, "time", clock)
        test_timing.test_work_put_off_into_finalizers_is_on_the_clock(clock)


SLOW = StepTimes(steps=9, total_ms=9e6, p50_ms=1e6, p95_ms=1e6, p99_ms=1e6)
RARE = StepTimes(steps=9, total_ms=1e9, p50_ms=0.0, p95_ms=1e9, p99_ms=1e9)


def draws_the_check_again(_: Path) -> None:
    scope.test_a_check_s_series_cannot_be_drawn_again()


def way(name: str) -> type[Strategy]:
    return type("Cheat", (again.Looks,), {"look": staticmethod(again.WAYS[name])})


def leaks(cheat: type[Strategy], kind: str = "future", **changes: Any) -> Case:
    return Case(kind, "caught: leaks", caught(cheat, LeakError, **changes))


def tampers(cheat: type[Strategy]) -> Case:
    return Case("rewriting", "caught: tampers", caught(cheat, TamperingError))


def remembers(cheat: type[Strategy], **changes: Any) -> Case:
    return Case("memory", "caught: depends on the order of runs", caught(cheat, OrderError, **changes))


def draws(cheat: type[Strategy]) -> Case:
    return Case("chance", "caught: not deterministic", caught(cheat, NondeterministicError))


def leaks_again(cheat: type[Strategy]) -> Case:
    return Case("future", "caught: leaks, in its timing pass", by_the_pass(cheat, "leaks"))


def leaks_as_run(cheat: type[Strategy]) -> Case:
    return Case("options", "caught: leaks, as run", by_the_audit(cheat))


def in_vain(cheat: type[Strategy], kind: str) -> Case:
    return Case(kind, "harmless", harmless(cheat))


def copied(kind: str) -> Case:
    return Case("rewriting", "harmless", taken_at_once(kind))


def marked(**changes: Any) -> Case:
    """A row of the table of cost that is to be taken with care, where a timing pass found this."""

    def prove(folder: Path) -> None:
        run = run_of(Honest)
        record = carried_out(run, folder)
        alone = timed(run, folder)
        honest = {"threads": 1, "own": 1.0, "replay": None}
        assert record.timing is not None
        alike = {"predict": alone.predict, "adapt": alone.adapt, "windows": alone.windows, "harness_us": USUAL_US}
        ours = {key.removeprefix("own_"): value for key, value in changes.items() if key.startswith("own_")}
        own = record.timing.model_copy(update=alike | {"trace_us": 0.0} | ours)
        update = honest | {key: value for key, value in changes.items() if not key.startswith("own_")}
        said = doubts(alone.model_copy(update=update), record.model_copy(update={"timing": own}), usual=USUAL_US)
        assert len(said) == 1

    return Case("clock", "marked in the table of cost", prove)


USUAL_US = 40.0


def replaces(kind: str, name: str, run: str) -> Case:
    """Something of the harness: its audit fails, and its run says what it was."""

    def prove(folder: Path) -> None:
        sabotage, said = SABOTAGES[name]
        record = carried_out(run_of(leaves(sabotage)), folder)
        assert said in tampering(record.left)
        (audit,) = audits_beside(place_in(folder).results, {run: record}, {}).values()
        assert (audit.status, audit.reason) == ("failed", f"tampers: it replaced {said} (on small)")

    return Case(kind, "caught: tampers", prove)


def said_of(kind: str, name: str, outcome: str) -> Case:
    """Something that other runs use, too: it is put back, and the run says what it was."""

    def prove(folder: Path) -> None:
        sabotage, said = SABOTAGES[name]
        record = carried_out(run_of(leaves(sabotage)), folder)
        assert any(said in what for what in record.left)
        assert not tampering(record.left)

    return Case(kind, outcome, prove)


NAMED = "harmless to other runs, and named"

CASES: dict[str, Case] = {
    "reads the stage in its callers' frames": leaks(LooksUpTheStack),
    "reads the stream that calls it": leaks(ahead.LooksAtItsCaller),
    "reads the series in the outermost frame": leaks(ahead.LooksForTheSeries),
    "reads what the scorer closes over": leaks(ahead.LooksThroughTheScorer),
    "finds the stage by the garbage collector": leaks(ahead.LooksThroughTheHeap),
    "finds any long array by the garbage collector": leaks(ahead.LooksForArrays),
    "reads a later window of its block": leaks(ahead.PeeksIntoTheBlock),
    "normalises by all windows of its block": leaks(ahead.NormalisesByTheBlock),
    "gives up before a value is missing": leaks(ahead.ForeseesNaN, preset="online"),
    "reads the cache of loaded series, in a run only": leaks_again(way("the cache of series")),
    "reads what a made series had been without drift": leaks_again(way("what a made series would have been")),
    "behaves where service begins cold": leaks_again(again.TellsByTheWarmStart),
    "fails where the future is out of reach": leaks_again(again.NeedsTheFuture),
    "behaves while it is served again": Case(
        "future", "caught: cannot be repeated", by_the_pass(again.KnowsItsRepetition, "differs")
    ),
    "looks into the memory behind what it is handed": in_vain(handed.LooksBehind, "future"),
    "reads again what it was handed before": in_vain(handed.KeepsWhatItIsGiven, "future"),
    "draws the series of a check again": Case("future", "harmless", draws_the_check_again),
    "reads its data from disk, or has its dataset load again": Case("future", OUT_OF_SCOPE),
    "reads the file that hidden rows are kept in, by its descriptor": Case("future", OUT_OF_SCOPE),
    "rewrites forecasts that wait to be scored": leaks(ahead.RewritesThePast, "rewriting"),
    "rewrites the truth": tampers(RewritesTheTruth),
    "puts another truth in its place": tampers(handed.SwapsTheTruth),
    "rewrites the series": tampers(handed.RewritesTheSeries),
    "rewrites the harness's protocol, for early labels": tampers(handed.ReadsLabelsEarly),
    "replaces a function of the harness": replaces("rewriting", "a scorer's add", "id"),
    "registers another class in the place of a rival": replaces("rewriting", "a registered class", "id"),
    "rewrites its own protocol": in_vain(handed.RewritesTheProtocol, "rewriting"),
    "writes to all that it is handed": in_vain(handed.Vandal, "rewriting"),
    "lends its memory as a forecast": copied("an object with __array__"),
    "returns a class of arrays that will not be copied": copied("an array of a class of its own"),
    "returns a class of tensors that shows other memory": copied("a tensor that shows another memory"),
    "returns numbers that decide late": copied("an array of numbers that decide late"),
    "counts runs on its class": remembers(chance.CountsRuns),
    "remembers the stream on its class": remembers(chance.RemembersTheStream, preset="online"),
    "keeps the harness's stage": remembers(chance.KeepsTheStage),
    "keeps for one seed what another saw": Case(
        "memory",
        "caught: depends on the order of runs",
        lambda _: scope.test_what_one_seed_keeps_for_another_is_found(),
    ),
    "keeps notes on disk from run to run": Case("memory", "caught: cannot be repeated", keeps_notes),
    "replaces functions of numpy or torch for the runs after it": said_of("memory", "mse_loss", NAMED),
    "leaves a hook or a mode of torch for the runs after it": said_of("memory", "a function mode", NAMED),
    "leaves something where nothing looks: in other libraries, closures, caches": Case("memory", OUT_OF_SCOPE),
    "keeps notes, and uses them in no run that is served again": Case("memory", OUT_OF_SCOPE),
    "draws from numpy's shared generator": draws(FromNumpy),
    "draws from the system's entropy": draws(chance.FromTheSystem),
    "goes by the clock": draws(chance.FromTheClock),
    "trains on the stage of its callers": in_training("by_the_stage_of_its_callers", is_caught=True),
    "trains on a series found by the garbage collector": in_training("by_the_heap", is_caught=True),
    "trains on the memory behind its pairs": in_training("behind_the_pairs", is_caught=False),
    "behaves with the options that make a check cheap": leaks_as_run(scope.BehavesInItsTinyForm),
    "behaves with its default options": leaks_as_run(scope.BehavesByDefault),
    "behaves on short windows": leaks_as_run(scope.BehavesOnShortWindows),
    "behaves for the generator of a check": leaks_as_run(scope.BehavesForSmallGenerators),
    "a forecaster that behaves in its tiny form": Case(
        "options", "caught: leaks, as run", lambda _: scope.test_a_forecaster_that_behaves_in_its_tiny_form_is_found()
    ),
    "knows a check by the names of its callers, in a run that is never timed": Case("options", OUT_OF_SCOPE),
    "refuses in audits what it serves in runs": Case(
        "options",
        "unaudited",
        lambda _: scope.test_who_refuses_its_run_s_own_service_in_an_audit_is_unaudited_though_it_serves_others(),
    ),
    "puts work off into finalizers of what passes through": Case("clock", "harmless", works_in_finalizers),
    "puts work off into its trace": Case("clock", "caught: trace() changed the forecast", works_in_its_trace),
    "puts work off into what runs between its steps": marked(own_harness_us=1e7),
    "works in threads of its own": marked(own=1.9),
    "takes more threads than it was given": marked(threads=4),
    "is quick while it is timed": marked(own_predict=SLOW),
    "works after the blocks that are timed": marked(own_adapt=RARE),
    "replaces the clock": replaces("clock", "time.perf_counter", "id"),
    "leaves a thread that works while others are timed": said_of("clock", "a thread", NAMED),
    "works in threads while the harness scores, and no longer": Case("clock", OUT_OF_SCOPE),
}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.proof])
def test_a_cheat_comes_to_what_the_table_says(name: str, tmp_path: Path) -> None:
    proof = CASES[name].proof
    assert proof is not None
    proof(tmp_path)


def test_the_table_of_the_docs_is_this_one() -> None:
    text = DOCS.read_text(encoding="utf-8").partition("### Cheats that were tried")[2]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", text.partition("\n## ")[0], flags=re.M)[
        1:
    ]  # behind the header
    told = {name: (kind, outcome) for name, kind, outcome in rows}
    assert len(told) == len(rows)
    for name, case in CASES.items():
        kind, outcome = told.pop(name)
        assert kind == case.kind
        assert outcome.startswith(case.outcome) if case.outcome == OUT_OF_SCOPE else outcome == case.outcome
        if case.outcome == OUT_OF_SCOPE:
            assert len(outcome) > len(OUT_OF_SCOPE) + 20, "the reason is missing"
    assert not told
    assert len(CASES) >= 50
    assert {case.kind for case in CASES.values()} == set(KINDS)
