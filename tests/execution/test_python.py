"""``bench.run``: an experiment from Python, in a script and in a notebook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench import BenchError, Experiment, ExperimentResults

from ..conftest import Write, forgetting

FIELDS = {"protocol": {"lookback": 12, "horizon": 3}, "engine": "inline", "timing_blocks": 0}


@pytest.fixture
def here(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tiny.parent)
    return tiny.parent


def quick(**fields: object) -> Experiment:
    given = {"name": "quick", "strategies": ["persistence", "rls"], "datasets": ["csv:waves.csv"]}
    return Experiment(**(given | FIELDS | fields))


def test_an_experiment_from_python(here: Path, registries: None, capsys: pytest.CaptureFixture[str]) -> None:
    found = bench.run(quick())
    assert "Now: 2 ok; 0 kept from before" in capsys.readouterr().err
    assert sorted(found.runs["strategy"]) == ["persistence", "rls"]
    assert set(found.runs["status"]) == {"ok"}
    assert found.leaderboard["entry"].tolist()[0] == "rls"
    assert found.leaderboard["mse"].is_monotonic_increasing
    assert found.pairs[["one", "other"]].to_numpy().tolist() == [["rls", "persistence"]]
    assert found.pairs["p_adjusted"].notna().all()
    assert "2 ok" in repr(found)
    assert "persistence" in repr(found)
    again = bench.run(quick(strategies=["persistence"]), progress=False)
    assert capsys.readouterr().err == ""
    assert again.runs["run_id"].tolist() == found.runs.query("strategy == 'persistence'")["run_id"].tolist()
    assert ExperimentResults("results/quick").runs.equals(again.runs)


def test_a_notebook_shows_a_table_and_pictures(here: Path, registries: None) -> None:
    found = bench.run(quick(name="shown"), progress=False)
    shown = found._repr_html_()
    assert "<td>rls</td>" in shown
    assert "data:image/png;base64," in shown
    (figure,) = found.figures(1)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert figure.title in shown
    assert figure.figure.axes
    page = found.write_report(here / "page")
    assert "rls" in page.read_text()


def test_a_file_or_a_mapping_is_an_experiment_too(here: Path, registries: None, write: Write) -> None:
    plugin = write("mine.py", STRATEGY)
    found = bench.run("tiny.toml", plugins=[plugin], progress=False)
    assert sorted(found.runs["strategy"]) == ["mine", "persistence", "rls"]
    fields = {"name": "mapped", "strategies": ["persistence"], "datasets": ["csv:waves.csv"]} | FIELDS
    assert bench.run(fields, progress=False).runs["strategy"].tolist() == ["persistence"]
    with pytest.raises(BenchError, match="Unknown experiment 'smok'"):
        bench.run("smok")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strategie": ["rls"]}, "experiment: unknown option 'strategie'. Did you mean 'strategies'?"),
        ({"strategies": []}, "experiment: option 'strategies': list should have at least 1 item"),
        ({"seeds": [-1]}, "experiment: option 'seeds.0': input should be greater than or equal to 0"),
        ({"name": "Not A Name"}, "name 'Not A Name' must be lower-case letters, digits"),
    ],
)
def test_mistakes_in_an_experiment(fields: dict[str, object], message: str) -> None:
    with pytest.raises(BenchError, match=re.escape(message)):
        quick(**fields)


STRATEGY = '''
    from bench import Strategy, register_strategy


    @register_strategy("mine")
    class Mine(Strategy):
        """The window's last row."""

        def predict(self, windows):
            return windows[:, -1:, :].expand(-1, self.protocol.horizon, -1)
'''

CALL = """
import bench
bench.run(
    {"name": "own", "strategies": ["mine"], "datasets": ["csv:waves.csv"], "engine": "serial", "timing_blocks": 0,
     "protocol": {"lookback": 12, "horizon": 3}}
)
"""


def run_script(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(path)],
        cwd=path.parent,
        env=os.environ | {"PYTHONPATH": str(Path(bench.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_script_may_hold_plug_ins_where_it_is_guarded(here: Path, write: Write) -> None:
    body = "\n".join(f"    {line}" for line in CALL.splitlines())
    script = write("script.py", STRATEGY)
    script.write_text(f'{script.read_text()}\n\nif __name__ == "__main__":\n{body}\n')
    ran = run_script(script)
    assert ran.returncode == 0, ran.stderr
    assert "Now: 1 ok" in ran.stderr
    script.write_text(write("bare.py", STRATEGY).read_text() + CALL)
    ran = run_script(script)
    assert ran.returncode == 1
    assert "each worker loads this file for the plug-ins in it, and would run it" in ran.stderr
    assert "if __name__ ==" in ran.stderr.splitlines()[-1]


def test_a_plug_in_that_runs_experiments_when_it_is_loaded(here: Path, registries: None, write: Write) -> None:
    path = write("mine.py", STRATEGY)
    path.write_text(path.read_text() + CALL)
    with pytest.raises(BenchError, match=r"mine\.py: this file is loaded as a plug-in, and calls bench\.run"):
        bench.run(quick(), plugins=[path], progress=False)


def test_the_page_on_python_works(here: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    example = example.replace('"realistic-drift"', '"csv:waves.csv"')
    example = example.replace("timing_blocks=0", 'timing_blocks=0, engine="inline"')
    with forgetting():
        names: dict[str, object] = {"__name__": "__main__"}
        exec(compile(example, "example", "exec"), names)
        found = names["found"]
    assert isinstance(found, ExperimentResults)
    assert len(found.leaderboard) == 2
