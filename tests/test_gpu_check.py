"""``make gpu-check``, as far as a CPU can run it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from . import gpu_check
from .gpu_check import CLOSE, Deadline, main, parity, throughput

CPU = torch.device("cpu")
LATER = Deadline(time.monotonic() + 1e6)


def test_without_an_accelerator_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gpu_check, "resolve_device", lambda _: CPU)
    assert main(folder=tmp_path / "none") == 0
    assert capsys.readouterr().out == "No accelerator on this machine: there is nothing to check.\n"
    assert not (tmp_path / "none").exists()


def test_engines_agree() -> None:
    found = parity(CPU)
    assert [(name, batch) for name, batch, _ in found] == [
        (name, batch) for batch in (1, 32) for name in ("the library, same device", "the CPU")
    ]
    assert max(difference for *_, difference in found) <= CLOSE


def test_throughput_has_a_number_or_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = throughput(CPU, LATER, rounds=2, only=("eager",))
    assert [(how, batch) for how, batch, *_ in found] == [("eager", 1), ("eager", 32)]
    assert all(float(ms) > 0 and float(per_s.replace(",", "")) > 0 for *_, ms, per_s in found)
    late = throughput(CPU, Deadline(0.0))
    assert {ms for _, _, ms, _ in late} == {"left out: no time was left"}

    def fails(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(gpu_check, "titans", fails)
    assert {ms for _, _, ms, _ in throughput(CPU, LATER, only=("eager",))} == {"not possible: NotImplementedError"}


def test_the_report_names_the_device_and_what_went_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ("rls", "none", "ok", "passed", "same", "cpu", "1", "2", "3")
    monkeypatch.setattr(gpu_check, "parity", lambda _: [("the CPU", 1, 1e-6)])
    monkeypatch.setattr(gpu_check, "throughput", lambda *_: [("eager", 1, "0.5", "2,000")])
    for change, status in (({}, 0), ({3: "failed"}, 1), ({2: "failed"}, 1), ({4: "leaks"}, 1)):
        told = tuple(change.get(place, value) for place, value in enumerate(row))
        monkeypatch.setattr(gpu_check, "served", lambda *_, told=told: [told])
        assert main("cpu", tmp_path) == status
    text = (tmp_path / "README.md").read_text()
    assert "(cpu), adaptbench" in text
    assert "| eager" in text
    assert "| rls" in text
