"""Ten kills at random moments, here; a hundred with ``make torture``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_ten_kills_lose_nothing() -> None:
    words = [sys.executable, "-W", "ignore", "-m", "tests.torture", "10", "3"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "inline: 9 kills, 16 runs" in run.stdout
    assert "processes: 1 kills, 16 runs" in run.stdout
