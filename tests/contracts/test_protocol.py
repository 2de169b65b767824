"""Protocol: presets, what a dataset decides, and what a series must have room for."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import BenchError, DriftSeries, Protocol, Split
from bench.contracts.protocol import PRESETS, ProtocolSpec
from bench.testing import small_series


def series(**changes: Any) -> DriftSeries:
    return replace(small_series(), **changes)


@pytest.mark.parametrize(("preset", "stride", "block"), [("day-ahead", 3, 1), ("online", 1, 1), ("dense", 1, 24)])
def test_presets(preset: str, stride: int, block: int) -> None:
    expected = Protocol(name=preset, lookback=12, horizon=3, stride=stride, block=block)
    assert ProtocolSpec.parse(preset).resolve(series()) == expected
    assert ProtocolSpec.parse({"preset": preset}).resolve(series()) == expected
    assert expected.label_every == 1
    assert expected.warm_start


def test_the_default_is_what_an_operator_does() -> None:
    assert ProtocolSpec().preset == "day-ahead"
    assert ProtocolSpec.parse({}).resolve(series()).stride == 3


def test_what_is_given_wins() -> None:
    given: dict[str, Any] = {
        "lookback": 6, "horizon": 2, "stride": 5, "block": 4, "label_every": 3, "warm_start": False
    }  # fmt: skip
    for preset in PRESETS:
        resolved = ProtocolSpec.parse({"preset": preset, **given}).resolve(series())
        assert resolved == Protocol(name=preset, **given)


def test_day_ahead_follows_the_horizon_that_is_given() -> None:
    assert ProtocolSpec.parse({"horizon": 2}).resolve(series()).stride == 2
    assert ProtocolSpec.parse({"horizon": 2}).resolve(series(horizon=9)).stride == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("day-ahed", "Unknown protocol preset 'day-ahed'. Did you mean 'day-ahead'? Available: day-ahead, dense, onl"),
        ({"preset": "batch"}, "Unknown protocol preset 'batch'"),
        ({"lokback": 3}, "protocol: unknown option 'lokback'. Did you mean 'lookback'?"),
        ({"horizon": 0}, "protocol: option 'horizon': input should be greater than 0"),
        ({"stride": -1}, "protocol: option 'stride': input should be greater than 0"),
        ({"block": 1.5}, "protocol: option 'block': input should be a whole number"),
        ({"labels": "early"}, "protocol: option 'labels': input should be 'matured', 'partial' or 'instant'"),
        ({"label_rate": 0}, "protocol: option 'label_rate': input should be greater than 0"),
        ({"label_rate": 1.5}, "protocol: option 'label_rate': input should be less than or equal to 1"),
        ({"delay": -1}, "protocol: option 'delay': input should be greater than or equal to 0"),
    ],
)
def test_mistakes(value: str | dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        ProtocolSpec.parse(value)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(14, 20, 30), "14 training rows, but lookback + horizon needs 15"),
        (Split(15, 17, 30), "2 validation rows, but horizon needs 3"),
        (Split(15, 18, 20), "2 stream rows, but horizon needs 3"),
    ],
)
def test_a_series_without_room_for_one_window_is_refused(split: Split, message: str) -> None:
    with pytest.raises(BenchError, match=re.escape(message)) as caught:
        ProtocolSpec().resolve(series(split=split))
    assert "dataset 'small'" in str(caught.value)
    assert "(lookback 12, horizon 3)" in str(caught.value)
    ProtocolSpec().resolve(series(split=Split(15, 18, 21)))  # room for exactly one in each part


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 50), st.integers(0, 200))
def test_every_origin_whose_truth_is_inside_counts(horizon: int, stride: int, start: int, rows: int) -> None:
    protocol = Protocol(lookback=1, horizon=horizon, stride=stride)
    end = start + rows
    expected = [t for t in range(start, end) if (t - start) % stride == 0 and t + horizon <= end]
    assert list(protocol.origins(start, end)) == expected


def test_labels_name_all_that_differs() -> None:
    plain = Protocol(lookback=96, horizon=24, stride=24)
    assert plain.label == "day-ahead (L=96, H=24, S=24, K=1)"
    sparse = plain.model_copy(update={"label_every": 7, "warm_start": False})
    assert sparse.label == "day-ahead (L=96, H=24, S=24, K=1, every 7th label, cold start)"


def test_a_label_that_is_late_cannot_be_instant() -> None:
    with pytest.raises(BenchError, match="exclude each other"):
        ProtocolSpec.parse({"labels": "instant", "delay": 1}).resolve(series())


@given(st.floats(0.01, 1), st.integers(0, 99), st.integers(0, 10_000))
def test_whether_a_pair_is_labelled_depends_on_nothing_but_the_pair(rate: float, seed: int, start: int) -> None:
    protocol = Protocol(lookback=1, horizon=1, stride=1, label_rate=rate, label_seed=seed)
    together = protocol.is_labelled(np.arange(start, start + 50))
    assert together.tolist() == [bool(protocol.is_labelled(np.array([i]))[0]) for i in range(start, start + 50)]
    denser = protocol.model_copy(update={"label_rate": min(1.0, 2 * rate)})
    assert not (together & ~denser.is_labelled(np.arange(start, start + 50))).any()


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_rate_is_kept_and_seeds_differ(rate: float) -> None:
    rows = np.arange(20_000)
    first, second = (
        Protocol(lookback=1, horizon=1, stride=1, label_rate=rate, label_seed=seed).is_labelled(rows) for seed in (0, 1)
    )
    assert abs(first.mean() - rate) < 0.01
    assert abs((first & second).mean() - rate**2) < 0.01  # as independent draws would have it
    assert abs((first[1:] & first[:-1]).mean() - rate**2) < 0.01


def test_labels_in_the_protocols_name() -> None:
    one = Protocol(lookback=4, horizon=2, stride=1, label_rate=0.1, label_seed=3, delay=5)
    assert one.label.endswith(", 10 % of labels, draw 3, labels 5 rows late)")
    assert "instant labels (leaky)" in Protocol(lookback=4, horizon=2, stride=1, labels="instant").label


@pytest.mark.parametrize(
    ("n", "word"), [(2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (113, "113th")]
)
def test_every_nth_label_is_named_by_its_ordinal(n: int, word: str) -> None:
    assert f"every {word} label" in Protocol(lookback=1, horizon=1, stride=1, label_every=n).label
