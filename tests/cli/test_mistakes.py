"""What users get wrong, and what they are told: exit status 2, one line that names the mistake and the way out.

Mistakes within a file of data or within a plug-in's file stand in ``test_cli.py``, one by one.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ..conftest import Bench, Write

OPTIONS = """\
--strategy rsl | Unknown strategy 'rsl'. Did you mean 'rls'? Available:
--strategy frozen | adapts a forecaster, but the experiment names none (forecasters). Name one: --forecaster
--strategy @cor | Unknown group of strategies '@cor'. Did you mean '@core'?
--forecaster dlinaer | Unknown forecaster 'dlinaer'. Did you mean 'dlinear'? Available:
--dataset akl-pedestrian | Unknown dataset 'akl-pedestrian'. Did you mean 'akl-pedestrians'?
--dataset csv | dataset 'csv' needs a path: write 'csv:PATH'
--dataset csv:none.csv | csv:none.csv: there is no such file. Write 'csv:PATH' with the path
--dataset csv:empty | csv:empty: is a folder. Write 'csv:PATH' with the path of a CSV file.
--dataset waves.csv | Unknown dataset 'waves.csv'. It is a file: write 'csv:waves.csv'
--dataset taken.parquet | Unknown dataset 'taken.parquet'. It is a file: write 'parquet:taken.parquet'
--dataset parquet:taken.parquet | taken.parquet: not a whole Parquet file
--seed -1 | command line: option 'seeds.0': input should be greater than or equal to 0 (got -1)
--engine processs | Unknown engine 'processs'. Did you mean 'processes'? Available: inline, proces
--device gpu | Unknown device 'gpu': use auto, cpu, cuda or mps
--device hpu | Device 'hpu' is not available here; this machine has
--timeout 0 | command line: option 'timeout': input should be greater than 0 (got 0.0)
--threads 100000 | command line: option 'threads': input should be less than or equal to 1024
--shard 5/4 | --shard 5/4: give I/N with I from 1 to N, such as 2/8
--shard half | --shard half: give I/N with I from 1 to N, such as 2/8
--set rls.ridge | 'rls.ridge' is not an option of a plug-in: write NAME.FIELD=VALUE, such as
--set rls.rigde=1 | strategy 'rls': unknown option 'rigde'. Did you mean 'ridge'? Options:
--set rsl.ridge=1 | Unknown plug-in of this experiment 'rsl'. Did you mean 'rls'? Available:
--set rls.ridge=x | strategy 'rls': option 'ridge': input should be a valid number
--set rls.ridge=-1 | strategy 'rls': option 'ridge': input should be greater than or equal to 0 (got -1)
--address localhost:1 | --address is of a cluster, and the engine 'inline' uses none: add --engine ray
--plugins none.py | plugins none.py: no such file or folder
--plugins empty | plugins empty: no plug-in files (*.py) in this folder
--plugins waves.csv | plugins waves.csv: not a Python file. Name files that end in .py, or folders of them.
"""
"""Options after ``bench run tiny.toml``, and what the message holds."""

LINES = """\
strategie = ["rls"] | unknown option 'strategie'. Did you mean 'strategies'?
strategies = [] | option 'strategies': list should have at least 1 item
strategies = "rls" | option 'strategies': input should be a valid list (got 'rls')
strategies = ["rls", 3] | option 'strategies.1': input should be text or a table (got 3)
strategies = [{ name = "rls", forgeting = 0.9 }] | unknown option 'forgeting'. Did you mean 'forgetting'?
strategies = [{ name = "rls", forgetting = 1.5 }] | option 'forgetting': input should be less than or equal to 1
strategies = [{ forgetting = 0.9 }] | a strategy given as a table needs a name
forecasters = ["titan"] | Unknown forecaster 'titan'. Did you mean 'titans'?
forecasters = [{ name = "titans", dims = 8 }] | 'titans': unknown option 'dims'. Did you mean 'dim'
datasets = [] | option 'datasets': list should have at least 1 item
datasets = [{ path = "waves.csv" }] | a dataset given as a table needs a name
datasets = [{ name = "csv:waves.csv", lokback = 8 }] | unknown option 'lokback'. Did you mean 'lookback'
datasets = [{ name = "csv:waves.csv", time = "t" }] | Unknown column 't'. Available: a, b
datasets = [{ name = "csv:waves.csv", targets = ["c"] }] | waves.csv: Unknown column 'c'. Available: a, b
datasets = [{ name = "csv:waves.csv", season = -4 }] | option 'season': input should be greater than 0 (got -4)
datasets = [{ name = "csv:waves.csv", missing = "linear" }] | option 'missing': input should be 'refuse', 'ffill' or
datasets = [{ name = "csv:waves.csv", drop = ["a", "b"] }] | waves.csv: no column is left. Leave a column to forecast
protocol = "day-ahaed" | Unknown protocol preset 'day-ahaed'. Did you mean 'day-ahead'?
protocol = [] | experiment 'tiny' lists no protocol. Name one, or leave the key out.
protocol = { lokback = 12 } | protocol: unknown option 'lokback'. Did you mean 'lookback'?
protocol = { lookback = 78, horizon = 3 } | 80 training rows, but lookback + horizon needs 81
protocol = { lookback = 3, horizon = 21 } | 20 validation rows, but horizon needs 21
protocol = { horizon = 0 } | protocol: option 'horizon': input should be greater than 0
protocol = { preset = "online", block = 0 } | protocol: option 'block': input should be greater than 0
protocol = { labels = "never" } | option 'labels': input should be 'matured', 'partial' or 'instant'
protocol = { label_rate = 2.0 } | option 'label_rate': input should be less than or equal to 1
seeds = [ | not a TOML file
seeds = [] | option 'seeds': list should have at least 1 item (got [])
seeds = 3 | option 'seeds': input should be a valid list (got 3)
seeds = ["a"] | option 'seeds.0': input should be a valid integer
name = "My Experiment" | must be lower-case letters, digits, '-', '_' and '.'
device = "tpu" | Unknown device 'tpu': use auto, cpu, cuda or mps
engine = 3 | option 'engine': input should be a valid string (got 3)
serial = { x = 1 } | engine 'serial': unknown option 'x'. Options:
training = { stpes = 3 } | training: unknown option 'stpes'. Did you mean 'steps'?
timing_blocks = -1 | option 'timing_blocks': input should be greater than or equal to 0
tune = { trials = 0 } | option 'tune.trials': input should be greater than 0 (got 0)
plugins = "mine.py" | option 'plugins': input should be a valid list (got 'mine.py')
plugins = ["mine.py"] | plugins names 'mine.py': no such file or folder. Its path is relative to
"""
"""Lines that replace those of their key in ``tiny.toml``, and what ``bench run`` says of them."""

COMMANDS = """\
run none.toml | none.toml: no such experiment file
run smok | Unknown experiment 'smok'. Did you mean 'smoke'? Available:
run tiny | Unknown experiment 'tiny'. Did you mean 'tiny.toml'? Available:
run waves.csv | waves.csv is no experiment, which is a TOML file: a file of data becomes one by bench init data
tune tiny.toml --grid rls.ridge | expected PLUGIN.OPTION=VALUE,VALUE,... such as titans-c.online_lr=1e-5,1e-4
tune tiny.toml --grid rls.ridge= | expected PLUGIN.OPTION=VALUE,VALUE,... such as titans-c.online_lr=1e-5,1e-4
tune tiny.toml --grid rls.rigde=1,2 | grid 'rls.rigde': Unknown option 'rigde'. Did you mean 'ridge'?
tune tiny.toml --grid rls.ridge=a,b | grid 'rls.ridge': option 'ridge': input should be a valid number
tune tiny.toml --grid ridge=1 | 'ridge' is not in this experiment. Add it (--strategy adds one), or take one of
report | No results in results. Run an experiment first (bench run), or name its folder.
report --results nowhere | No results in nowhere. Run an experiment first (bench run), or name its folder.
compare empty empty | empty: no results of runs and no benchmarks here. Name an experiment's results, a
compare nowhere empty | nowhere: no such file or folder. Name an experiment's results, a folder of several,
compare waves.csv waves.csv | waves.csv: not a file of pytest-benchmark, or one without a benchmark. Name an
leaderboard nowhere | nowhere: no such folder. Name folders of results, such as results or results/default
leaderboard taken | taken: not a folder. Name folders of results, such as results or results/default
leaderboard empty | No results in empty. Run an experiment first (bench run), or name its folder.
leaderboard taken.tar.xz | taken.tar.xz: cannot be unpacked
leaderboard HEAD:x | HEAD:x: not in a git repository. Go into one, or name a folder.
results check nowhere | No results in nowhere. Run an experiment first (bench run), or name its folder.
results merge empty --to merged | No results in empty. Run an experiment first (bench run), or name its folder.
results prune nowhere | No results in nowhere. Run an experiment first (bench run), or name its folder.
results publish public nowhere | No results in nowhere. Run an experiment first (bench run), or name its folder.
results export file.txt | file.txt: the name must end in .parquet or .csv
results export frame.csv --results nowhere | No results in nowhere. Run an experiment first (bench run), or name its
data describe realistic | Unknown dataset 'realistic'. Did you mean 'realistic-drift'?
data describe csv | dataset 'csv' needs a path: write 'csv:PATH'
data describe csv:none.csv | csv:none.csv: there is no such file
data describe csv:waves.csv --set horizon | 'horizon' is not an option of a dataset: write FIELD=VALUE, such as
data describe csv:waves.csv --set horizn=3 | dataset 'csv:waves.csv': unknown option 'horizn'. Did you mean 'horizon'?
data describe csv:waves.csv --set season=x | option 'season': input should be a valid integer
data card csv | csv has no page: it is a file of the user's own. bench data describe csv:PATH shows it.
data card nothing | Unknown dataset 'nothing'. Available:
data fetch eth2 | Unknown dataset 'eth2'. Did you mean 'etth2'?
init data none.csv | csv:none.csv: there is no such file. Write 'csv:PATH' with the path of a CSV file.
init data empty | csv:empty: is a folder.
init data waves.csv --to out.txt | --to out.txt: an experiment is a TOML file; name one that ends in .toml
init data waves.csv --to tiny.toml | tiny.toml is there already. Remove it, or name another file: --to other.toml
init data waves.csv --event 3 | --event '3': write TIME=NAME, such as --event '2024-05-01=Labour Day'
init data waves.csv --event 2024=x | waves.csv: the drift 'x': its time 2024 is not within the rows, 0 to 399.
new strategies mine | Unknown kind of file 'strategies'. Did you mean 'strategy'? Available:
new strategy My | 'My' cannot name a strategy: use lower-case letters, digits, '-', '_' and '.'
new strategy rls | Choose another name.
new experiment smoke | Choose another name.
check titan-a | Unknown plug-in 'titan-a'. Did you mean 'titans-a'?
check rls --forecaster nothing | Unknown forecaster 'nothing'. Available:
check rls --engine nothing | Unknown engine 'nothing'. Available:
list strategie | Unknown kind to list 'strategie'. Did you mean 'strategies'?
list --plugins nowhere | plugins nowhere: no such file or folder
"""
"""Commands, and what their message holds."""

USAGE = """\
rnu | No such command 'rnu'. Did you mean 'run'?
--verion | No such option: --verion (Possible options: --version)
run --no-such-option | No such option: --no-such-option
run --strategy | Option '--strategy' requires an argument.
run --seed x | Invalid value for '--seed': Input should be a valid integer
run --workers 0 | Invalid value for '--workers': Input should be greater than or equal to 1
run tiny.toml default | Got unexpected extra argument(s) (default)
run tiny.toml --results taken | Invalid value for '--results': dir 'taken' is a file.
report --reports taken | Invalid value for '--reports': dir 'taken' is a file.
tune tiny.toml --trials 0 | Invalid value for '--trials': Input should be greater than or equal to 1
compare empty | Missing argument 'B'.
compare a b --worse -1 | Invalid value for '--worse': Input should be greater than or equal to 0
results merge empty | Missing option '--to'.
results merge nowhere --to x | dir 'nowhere' does not exist.
data describe | Missing argument 'name'.
init data waves.csv --target c | No such option: --target
new strategy | Missing argument 'name'.
check | Missing argument 'name'.
verify --publishd | No such option: --publishd (Possible options: --published)
"""
"""Commands that are not of their form: the message stands in a frame."""


def rows(table: str) -> list[tuple[str, str]]:
    """Left and right side of each line."""
    parts = (line.partition(" | ") for line in table.splitlines())
    return [(left.strip(), right.strip()) for left, _, right in parts]


@pytest.fixture
def folder(tiny: Path, write: Write) -> Path:
    """What the commands find: an experiment, its data, an empty folder, and files that are not what they are called."""
    for name in ("taken", "taken.parquet", "taken.tar.xz"):
        write(name, "x")
    (tiny.parent / "empty").mkdir()
    return tiny.parent


def said(bench: Bench, folder: Path, words: str) -> str:
    """The one line that a mistake is answered with; nothing was run or written."""
    before = {*folder.iterdir()}
    ran = bench(*shlex.split(words))
    assert ran.status == 2, ran
    assert ran.out == ""
    (line,) = ran.err.strip().splitlines()
    assert line.startswith("Error: ")
    assert {*folder.iterdir()} == before
    return line


@pytest.mark.parametrize(("words", "message"), rows(OPTIONS))
def test_mistakes_in_options(folder: Path, bench: Bench, words: str, message: str) -> None:
    assert message in said(bench, folder, f"run tiny.toml {words}")


@pytest.mark.parametrize(("line", "message"), rows(LINES))
def test_mistakes_in_an_experiment(folder: Path, bench: Bench, line: str, message: str) -> None:
    file, key = folder / "tiny.toml", line.partition(" =")[0]
    kept = [other for other in file.read_text().splitlines() if not other.startswith(f"{key} =")]
    file.write_text("\n".join([*kept, line]))
    assert message in said(bench, folder, "run tiny.toml")


@pytest.mark.parametrize(("words", "message"), rows(COMMANDS))
def test_mistakes_in_commands(folder: Path, bench: Bench, words: str, message: str) -> None:
    assert message in said(bench, folder, words)


@pytest.mark.parametrize(("words", "message"), rows(USAGE))
def test_mistakes_in_usage(
    folder: Path, bench: Bench, words: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    before = {*folder.iterdir()}
    ran = bench(*words.split())
    assert ran.status == 2
    assert "─ Error ─" in ran.err
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert {*folder.iterdir()} == before


def test_there_are_eighty_of_them_and_each_once() -> None:
    found = [left for table in (OPTIONS, LINES, COMMANDS, USAGE) for left, _ in rows(table)]
    assert len(found) == len(set(found)) >= 80
