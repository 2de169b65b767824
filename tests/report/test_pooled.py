"""`bench leaderboard`: several folders of results, one table."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import BenchError
from bench.analysis.verdicts import SURE
from bench.report.pooled.loading import read_pooled
from bench.report.pooled.text import pooled_leaderboard
from bench.report.render.markdown import render
from bench.report.sections.verdict_cells import marked_skill
from bench.report.view.comparisons import skill_table
from bench.report.view.loading import read_results
from bench.report.view.places import opened
from bench.report.view.rankings import skill_over_datasets
from bench.results.store import Store

from .test_compare import git

OTHER = {"device": "cuda:0", "device_name": "Some GPU", "platform": "Linux-aarch64", "started": "2026-03-01T00:00:00"}


@pytest.fixture
def machines(tmp_path: Path, fakes: Any) -> Path:
    """Two machines: seeds 0 and 1 here, seed 2 there, where there is a second dataset, too."""
    scenario, other = fakes.Scenario(origins=20), fakes.Scenario("etth2", ("HUFL",), (), origins=20)
    for strategy in fakes.strategies[:4]:
        for seed in (0, 1):
            fakes.write_run(Store(tmp_path / "here" / "default"), strategy, scenario, seed)
        there = Store(tmp_path / "there" / "default")
        environment = fakes.record(strategy, scenario, 2).environment | {"platform": "Linux-aarch64"}
        fakes.write_run(there, strategy, scenario, 2, environment=environment)
        fakes.write_run(there, strategy, other, 2, environment=environment)
    return tmp_path


def text_of(*places: Path) -> str:
    return render(pooled_leaderboard(read_pooled([str(place) for place in places])))


def cells(text: str, heading: str) -> list[list[str]]:
    lines = re.search(r"(?:^\|.*\n?)+", text.partition(f"{heading}\n")[2], flags=re.MULTILINE)
    assert lines is not None
    plain = lines[0].replace("\\", "").strip().split("\n")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in plain]
    return [rows[0], *rows[2:]]


def test_two_machines_in_one_table(machines: Path) -> None:
    text = text_of(machines / "here", machines / "there")
    header, *rows = cells(text, "## akl-pedestrians")
    table = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert table["frozen"]["seeds"] == "3"
    assert table["frozen"]["from"] == "1, 2"
    assert "±" in table["frozen"]["MSE ↓"]
    assert table["persistence"]["MSE below persistence, % ↑"] == "reference"
    assert {row[0]: row[-1] for row in cells(text, "## etth2")}["frozen"] == "2"
    assert all(row[-1] == "2 of 2" for row in cells(text, "## All datasets")[1:])
    sources = cells(text, "## Where it comes from")
    assert [row[1] for row in sources[1:]] == ["here/default", "there/default"]
    assert [row[2] for row in sources[1:]] == [
        "Some CPU @ 2.0 GHz, Linux-x86_64",
        "Some CPU @ 2.0 GHz, Linux-aarch64",
    ]
    assert "adaptbench 0.1.0, torch 2.13.0, git 01234567" in sources[1][4]


def test_verdicts_are_those_of_a_report_on_all_runs(tmp_path: Path, fakes: Any) -> None:
    strategies = [one for one in fakes.strategies if one.name in ("persistence", "rls", "frozen", "titans-c")]
    scenarios = [fakes.Scenario(f"d{i}", events=(), origins=100 + i) for i in range(5)]
    whole = fakes.write_results(tmp_path / "whole" / "default", scenarios, strategies, 2)
    for scenario in scenarios:
        for strategy in strategies:
            for seed in (0, 1):
                fakes.write_run(Store(tmp_path / f"machine-{seed}" / "default"), strategy, scenario, seed)
    found = read_pooled([str(tmp_path / f"machine-{seed}") for seed in (0, 1)])
    expected = skill_table(read_results(whole.folder))
    expected = expected[expected["reference"] == "frozen"].set_index(["scenario", "entry"])[SURE].sort_index()
    told = found.board[found.board["verdict"].notna()].set_index(["scenario", "entry"])[SURE].sort_index()
    pd.testing.assert_frame_equal(told, expected, check_index_type=False)
    over = skill_over_datasets(read_results(whole.folder)).set_index("entry")
    header, *rows = cells(render(pooled_leaderboard(found)), "## All datasets")
    for line in rows:
        row = dict(zip(header, line, strict=True))
        if row["Strategy"] == "frozen":
            assert row["skill against frozen, % ↑"] == "reference"
        else:
            known = over.loc[[row["Strategy"]]].iloc[0]
            assert row["skill against frozen, % ↑"] == marked_skill(known)
            assert row["better than frozen on, of 5"] == str(known["better"])


def test_a_copy_changes_nothing_but_is_said(machines: Path) -> None:
    shutil.copytree(machines / "here", machines / "copy")
    once, twice = (text_of(*(machines / name for name in names)) for names in (("here",), ("here", "copy")))
    assert cells(once, "## akl-pedestrians") == cells(twice, "## akl-pedestrians")
    assert "8 runs in more than one folder" in twice
    assert "more than one folder" not in once


def test_another_kind_of_device_is_another_entry(machines: Path, fakes: Any) -> None:
    strategy, scenario = fakes.strategies[3], fakes.Scenario(origins=20)
    record = fakes.record(strategy, scenario, 0)
    store = Store(machines / "gpu" / "default")
    fakes.write_run(store, strategy, scenario, 0, run_id="gpu", environment=record.environment | OTHER)
    text = text_of(machines / "here", machines / "gpu")
    names = [row[0] for row in cells(text, "## akl-pedestrians")]
    assert {"frozen [1]", "frozen [2]", "rls"} <= set(names)
    assert "Numbers in brackets behind a name" in text


def test_another_recipe_of_training_is_another_entry(machines: Path, fakes: Any) -> None:
    strategy, scenario = fakes.strategies[3], fakes.Scenario(origins=20)
    fakes.write_run(Store(machines / "long" / "default"), strategy, scenario, 7, training={"steps": 900, "batch": 32})
    names = [row[0] for row in cells(text_of(machines / "here", machines / "long"), "## akl-pedestrians")]
    assert {"frozen [1]", "frozen [2]"} <= set(names)


def test_the_command(machines: Path) -> None:
    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-c",
            "import sys; sys.modules['torch'] = None; from bench.cli.main import main; main()",
        ]
        return subprocess.run([*command, "leaderboard", *map(str, words)], capture_output=True, text=True, check=False)

    ran = run(machines / "here", machines / "there", "--csv", machines / "new" / "all.csv")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("## All datasets\n\n| Strategy ")
    frame = pd.read_csv(machines / "new" / "all.csv")
    assert {"scenario", "entry", "rank", "mse", "mse_sd", "sources", "fingerprint"} <= set(frame)
    assert len(frame) == 8
    ran = run(machines / "nowhere")
    assert ran.returncode == 2
    assert "nowhere: no such folder" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_folder_without_results_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="No results in"):
        read_pooled([str(tmp_path / "empty")])


def test_it_says_which_data_and_protocols_differ(tmp_path: Path, fakes: Any) -> None:
    scenario = fakes.Scenario(origins=20)
    strategy = fakes.strategies[0]
    fakes.write_run(Store(tmp_path / "here" / "default"), strategy, scenario, 0)
    one = fakes.record(strategy, scenario, 0)
    other = one.dataset.model_copy(update={"fingerprint": "f" * 16})
    fakes.write_run(Store(tmp_path / "there" / "default"), strategy, scenario, 1, dataset=other)
    text = text_of(tmp_path / "here", tmp_path / "there")
    assert (
        f"The data of akl-pedestrians differ: {one.dataset.fingerprint[:8]} in 1 and {'f' * 8} in 2."
        in text.replace("\\", "")
    )
    alone = text_of(tmp_path / "here")
    assert "differ" not in alone.partition("Where it comes from")[2]
    protocol = one.protocol.model_copy(update={"delay": one.protocol.delay + 1})
    fakes.write_run(Store(tmp_path / "third" / "default"), strategy, scenario, 2, protocol=protocol)
    assert "The protocol of akl-pedestrians differ" in text_of(tmp_path / "here", tmp_path / "third")


def test_it_says_what_differs_between_versions(machines: Path, fakes: Any) -> None:
    there = Store(machines / "there" / "default")
    for strategy in fakes.strategies[:4]:
        fakes.write_run(there, strategy, fakes.Scenario(origins=20), 2, harness="f" * 64)
    text = text_of(machines / "here", machines / "there")
    assert re.search(r"Versions of \S+, \S+, \S+ and \S+ differ in: harness\.", text)
    assert "Versions of" not in text_of(machines / "here")


def test_committed_results_beside_ones_own(machines: Path, bench: Any) -> None:
    repository = machines / "here"
    assert list((repository / ".audits").iterdir())
    git(machines, "init", "-q")
    git(machines, "add", "--all", "--force")
    git(machines, "commit", "-q", "-m", "Results")
    shutil.rmtree(repository)
    ran = bench("leaderboard", "HEAD:here", "there")
    assert ran.status == 0
    assert ran.err == ""
    table = {row[0]: row for row in cells(ran.out, "## akl-pedestrians")}
    assert table["frozen"][-1] == "1, 2"
    assert [row[1] for row in cells(ran.out, "## Where it comes from")[1:]] == ["HEAD:here/default", "there/default"]
    assert bench("leaderboard", "HEAD:here/default").status == 0
    with opened("HEAD:here/default", "") as folder:
        assert list((folder.parent / ".audits").iterdir())  # of an experiment they are beside it
    assert not folder.exists()
    for place, said in (
        ("HEAD:gone", "commit 'HEAD' has no 'gone'"),
        ("x:y", "no commit 'x'"),
        ("gone", "COMMIT:PATH"),
    ):
        ran = bench("leaderboard", place)
        assert ran.status == 2
        assert said in ran.err
