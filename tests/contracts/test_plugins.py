"""Finding plug-ins: by file, by folder, by entry point; once each, and all of a file or nothing."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

from bench import BenchError
from bench.contracts import discovery as plugins
from bench.contracts.dataset import DATASETS
from bench.contracts.discovery import LISTED, REGISTRIES, home, load_plugins, user_plugin_names
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.strategy import STRATEGIES
from bench.execution.experiment import Experiment, expand

from ..conftest import Bench, Write, forgetting
from ..sessions import change

pytestmark = pytest.mark.usefixtures("registries")

STRATEGY = """
    from bench import Strategy, register_strategy

    LOADED = []

    @register_strategy("{name}")
    class Mine(Strategy):
        "One of mine."

        def predict(self, windows):
            return windows[:, -1:].expand(-1, self.protocol.horizon, -1)
"""


def strategy(name: str) -> str:
    return STRATEGY.format(name=name)


def modules() -> list[str]:
    return sorted(name for name in sys.modules if name.startswith("bench_plugins.plugins") and "." in name[14:])


def test_what_is_built_in_is_found() -> None:
    assert {"persistence", "rls", "frozen", "retrain", "titans-a"} <= {entry.name for entry in STRATEGIES}
    assert {"ridge", "dlinear", "titans"} <= {entry.name for entry in FORECASTERS}
    assert {"csv", "realistic-drift", "etth2"} <= {entry.name for entry in DATASETS}
    assert all(entry.summary for registry in REGISTRIES for entry in registry)


def test_the_repository_s_own_folders_count_where_they_stand_beside_the_package(tmp_path: Path) -> None:
    assert home() == Path(plugins.__file__).parents[2]
    installed = tmp_path / "site-packages" / "bench"
    (installed / "_builtin").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "PACKAGE", installed)
        assert home() == installed / "_builtin"
        (tmp_path / "site-packages" / "adapters").mkdir()  # somebody else's
        assert home() == installed / "_builtin"


def test_by_file(write: Write) -> None:
    path = write("mine.py", strategy("mine"))
    load_plugins([path])
    assert STRATEGIES["mine"].file == path
    assert STRATEGIES["mine"].cls.__module__ == "bench_plugins.plugins.mine"
    assert user_plugin_names([path]) == (["mine"], [], [])


def test_by_folder_without_the_files_that_start_with_an_underscore(write: Write, tmp_path: Path) -> None:
    write("folder/one.py", strategy("one"))
    write("folder/two.py", strategy("two"))
    write("folder/_shared.py", "raise RuntimeError('not a plug-in')")
    write("folder/notes.txt", "nor is this")
    write("folder/deeper/three.py", "raise RuntimeError('nor this')")
    load_plugins([tmp_path / "folder"])
    assert user_plugin_names([tmp_path / "folder"]) == (["one", "two"], [], [])


def test_a_file_is_loaded_once_by_whatever_path(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("folder/mine.py", strategy("mine"))
    (tmp_path / "link.py").symlink_to(path)
    (tmp_path / "linked").symlink_to(tmp_path / "folder")
    monkeypatch.chdir(tmp_path)
    ways: list[Path | str] = [
        path,
        "folder/mine.py",
        Path("folder") / ".." / "folder" / "mine.py",
        "link.py",
        "linked",
        str(tmp_path / "folder") + os.sep,
    ]
    load_plugins(ways)
    load_plugins(reversed(ways))
    assert modules() == ["bench_plugins.plugins.mine"]
    assert user_plugin_names(["link.py"]) == (["mine"], [], [])


PACKAGE = {
    "mine/__init__.py": "from .strategies import Mine",
    "mine/strategies.py": strategy("mine") + "\n    from .replay.buffer import SIZE\n    from ._names import NAME\n",
    "mine/_names.py": "NAME = 'n'",
    "mine/replay/__init__.py": "",
    "mine/replay/buffer.py": "SIZE = 1",
    "_hidden/__init__.py": "raise RuntimeError('not a plug-in')",
    "notes/notes.py": "raise RuntimeError('no package')",
}


@pytest.mark.parametrize("named", ["folder", "folder/mine", "folder/mine/__init__.py"])
def test_a_plug_in_may_be_a_package(write: Write, tmp_path: Path, named: str) -> None:
    for name, text in PACKAGE.items():
        write(f"folder/{name}", text)
    load_plugins([tmp_path / named])
    load_plugins([tmp_path / named])
    assert user_plugin_names([tmp_path / named]) == (["mine"], [], [])
    assert set(STRATEGIES["mine"].code.files) == {name for name in PACKAGE if name.startswith("mine/")}
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.parametrize("package", [True, False])
def test_the_files_of_a_folder_import_each_other(write: Write, tmp_path: Path, package: bool) -> None:
    if package:
        write("folder/__init__.py", "")
    write("folder/one.py", strategy("one") + "\n    from .replay import SIZE\n")
    write("folder/two.py", strategy("two") + "\n    from .one import Mine as Other\n")
    write("folder/replay.py", "SIZE = 1")
    load_plugins([tmp_path / "folder" / "two.py"])
    assert {"one", "two"} <= {entry.name for entry in STRATEGIES}
    load_plugins([tmp_path / "folder"])
    assert user_plugin_names([tmp_path / "folder"]) == (["one", "two"], [], [])
    assert sys.modules[STRATEGIES["two"].cls.__module__].Other is STRATEGIES["one"].cls


def test_a_sibling_that_fails_is_named_and_is_read_again(write: Write) -> None:
    path = write("mine.py", "from .helper import SIZE\n" + dedent(strategy("mine")))
    helper = write("helper.py", "\n1 / 0")
    with pytest.raises(BenchError) as caught:
        load_plugins([path])
    assert str(caught.value) == f"{path} failed to load: ZeroDivisionError: division by zero (helper.py, line 2)"
    assert modules() == []
    helper.write_text("SIZE = 1")
    load_plugins([path])
    assert "mine" in STRATEGIES


def test_two_files_of_one_stem_both_stay(write: Write) -> None:
    first, second = write("a/mine.py", strategy("one")), write("b/mine.py", strategy("two"))
    load_plugins([first, second])
    load_plugins([second, first])
    assert (STRATEGIES["one"].file, STRATEGIES["two"].file) == (first, second)
    assert len(modules()) == 2
    assert STRATEGIES["one"].sha != STRATEGIES["two"].sha


def test_a_name_registered_twice_names_both_files_and_takes_the_second_file_out(write: Write) -> None:
    path = write("mine.py", strategy("fine") + strategy("rls").replace("Mine", "Other"))
    with pytest.raises(BenchError, match="The strategy name 'rls' is registered twice") as caught:
        load_plugins([path])
    assert str(STRATEGIES["rls"].file) in str(caught.value)
    assert str(path) in str(caught.value)
    assert "fine" not in STRATEGIES
    assert modules() == []


def test_what_a_file_registers_is_told_by_kind(write: Write) -> None:
    text = (
        strategy("one")
        + """
    from bench import Dataset, register_dataset, register_forecaster

    @register_forecaster("two")
    class Two:
        "A forecaster."

    @register_dataset("three")
    class Three(Dataset):
        "A dataset."
    """
    )
    path = write("all.py", text)
    load_plugins([path])
    assert user_plugin_names([path]) == (["one"], ["two"], ["three"])


def test_a_file_runs_as_it_is_now_and_as_it_would_by_itself(write: Write) -> None:
    """No cached bytecode of an earlier text, and none of this project's own ``__future__`` imports."""
    for number in (1, 2):  # as long as each other, within one second
        with forgetting():
            path = write("mine.py", strategy("mine") + f"\n    NUMBER: int = {number}\n")
            load_plugins([path])
            module = sys.modules[STRATEGIES["mine"].cls.__module__]
            assert number == module.NUMBER
            assert module.__annotations__ == {"NUMBER": int}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("import not_a_module_of_anyone", "ModuleNotFoundError: No module named 'not_a_module_of_anyone'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError: invalid syntax"),
    ],
)
def test_a_file_that_fails_leaves_nothing_behind(write: Write, fault: str, message: str) -> None:
    before = [[entry.name for entry in registry] for registry in REGISTRIES]
    text = """
    import numpy as np
    from bench import Dataset, Metric, Strategy
    from bench import register_dataset, register_forecaster, register_metric, register_strategy

    register_strategy("half")(type("S", (Strategy,), {"__module__": __name__}))
    register_metric("half")(type("M", (Metric,), {"__module__": __name__, "value": lambda metric, means: 0.0}))
    register_forecaster("half")(type("F", (), {"__module__": __name__}))
    register_dataset("half")(type("D", (Dataset,), {"__module__": __name__}))
    """
    path = write("half.py", text + "\n    " + fault + "\n")
    with pytest.raises(BenchError) as caught:
        load_plugins([path])
    assert str(caught.value).startswith(f"{path} failed to load: {message}")
    assert [[entry.name for entry in registry] for registry in REGISTRIES] == before
    assert modules() == []
    write("half.py", text)  # mended: it loads without a new process
    load_plugins([path])
    assert all("half" in registry for registry in LISTED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "{file} failed to load: ZeroDivisionError: division by zero (line 4)"),
        ("import sys; sys.exit(4)", "{file} failed to load: SystemExit: 4 (line 4)"),
        ("@register_strategy\nclass S(Strategy): ...", "{file}: @register_strategy takes a name: write @register_str"),
        ("@register_strategy('A b')\nclass S(Strategy): ...", "{file}: 'A b' cannot name a strategy: use lower-case"),
        ("@register_strategy('s')\nclass S: ...", "{file}: strategy 's' must be a class that inherits from bench.Str"),
        ("@register_strategy('s')\ndef s(): ...", "{file}: strategy 's' must be a class that inherits from bench.Str"),
        ("@register_dataset('d')\nclass D: ...", "{file}: dataset 'd' must be a class that inherits from bench.Datas"),
        ("@register_forecaster('f')\ndef f(): ...", "{file}: forecaster 'f' must be a class"),
        (
            "@register_strategy('s')\nclass S(Strategy):\n    class Config:\n        rate = 0.1",
            "{file}: strategy 's' has a Config of its own: it must be a class that inherits from bench.StrategyConfig",
        ),
        (
            "@register_forecaster('f')\nclass F:\n    class Config:\n        rate = 0.1",
            "{file}: forecaster 'f' has a Config of its own: it must be a class that inherits from bench.Forecaster",
        ),
        (
            "@register_strategy('s')\nclass S(Strategy):\n    group = 'mine'",
            "{file}: strategy 's' has the group 'mine', which is none of core, control, leaky, literature, user",
        ),
        (
            "@register_strategy('s')\nclass S(Strategy):\n    needs = frozenset({'gradients'})",
            "{file}: strategy 's' needs gradients of a forecaster: say uses_forecaster = True, too",
        ),
        ("x = 1", "plugins {file}: registers nothing. Put one of @register_strategy, @register_forecaster, @regis"),
    ],
)
def test_a_plug_in_that_cannot_be_one_says_where_and_why(write: Write, tmp_path: Path, text: str, message: str) -> None:
    start = "\nfrom bench import Dataset, Strategy, register_dataset, register_forecaster, register_strategy\n\n"
    path = tmp_path / "half.py"
    path.write_text(start + text)
    with pytest.raises(BenchError) as caught:
        load_plugins([path])
    assert str(caught.value).startswith(message.format(file=path))
    assert modules() == []
    write("half.py", strategy("half"))  # mended: it loads without a new process
    load_plugins([path])
    assert user_plugin_names([path]) == (["half"], [], [])


def test_what_a_plug_in_imports_may_register_in_its_place(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("library_of_mine.py", strategy("from-library"))
    monkeypatch.syspath_prepend(tmp_path)
    path = write("mine.py", "import library_of_mine")
    load_plugins([path])
    load_plugins([path])
    assert "from-library" in STRATEGIES
    del sys.modules["library_of_mine"]


def test_a_forecaster_inherits_the_options_of_its_parent(write: Write) -> None:
    text = """
    import torch
    from bench import ForecasterConfig, register_forecaster

    @register_forecaster("parent")
    class Parent(torch.nn.Module):
        "Has options."

        class Config(ForecasterConfig):
            width: int = 3

    @register_forecaster("child")
    class Child(Parent):
        "Has the same."
    """
    load_plugins([write("family.py", text)])
    assert FORECASTERS["child"].cls.Config().width == 3


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"plugins .*nothing\.py: no such file or folder"):
        load_plugins([tmp_path / "nothing.py"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match=r"plugins .*empty: no plug-in files \(\*\.py\) in this folder"):
        load_plugins([tmp_path / "empty"])


def test_blocked_modules_are_no_obstacle(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blocked", None)  # how an import is forbidden
    load_plugins([write("mine.py", strategy("mine"))])
    assert "mine" in STRATEGIES


def test_entry_points(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("installed_plugin.py", strategy("installed"))
    monkeypatch.syspath_prepend(tmp_path)
    asked = []

    def entry_points(group: str) -> list[EntryPoint]:
        asked.append(group)
        return [EntryPoint("theirs", "installed_plugin", group)]

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    load_plugins()
    load_plugins()
    assert set(asked) == {"bench.plugins"}
    assert STRATEGIES["installed"].file == tmp_path / "installed_plugin.py"
    del sys.modules["installed_plugin"]


def test_an_entry_point_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("theirs", "no_such_module_here:Thing", "bench.plugins")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    with pytest.raises(BenchError, match=r"plug-in 'theirs' \(no_such_module_here:Thing\) failed to load: ModuleNot"):
        load_plugins()


def test_an_entry_point_s_own_mistake_is_passed_on(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("colliding_plugin.py", strategy("rls"))
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("theirs", "colliding_plugin", "bench.plugins")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    with pytest.raises(BenchError, match="The strategy name 'rls' is registered twice"):
        load_plugins()


def test_a_file_dropped_into_adapters_is_a_row_of_the_next_experiment(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for registry in REGISTRIES:
        if registry in (STRATEGIES, DATASETS):
            monkeypatch.setattr(registry, "_entries", {})
    for name in [name for name in sys.modules if name.startswith("bench_plugins.")]:
        monkeypatch.delitem(sys.modules, name)
    for kind in ("adapters", "datasets"):
        shutil.copytree(home() / kind, tmp_path / kind)
    write("adapters/mine.py", strategy("dropped-in"))
    monkeypatch.setattr(plugins, "home", lambda: tmp_path)
    load_plugins()
    assert STRATEGIES["rls"].file == tmp_path / "adapters" / "rls.py"
    experiment = Experiment(name="e", strategies=["@user", "persistence"], datasets=["realistic-drift"])
    assert [run.strategy.name for run in expand(experiment, "cpu")] == ["dropped-in", "persistence"]


BROKEN = {
    "raises": "import nothing_of_the_kind",
    "no-python": "def (",
    "leaves": "import sys; sys.exit(0)",
    "is-no-text": "text = '\udcff'",
    "a-name-twice": "register_strategy('rls')(Mine)",
}


@pytest.fixture
def broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a folder of adapters where there is nothing else."""
    file = tmp_path / "home" / "adapters" / "aaa.py"
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(plugins, "home", lambda: tmp_path / "home")
    return file


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_in_adapters_is_named_with_what_it_holds(how: str, broken_file: Path) -> None:
    broken_file.write_bytes(dedent(f"{strategy('mine')}\n    {BROKEN[how]}\n").encode(errors="surrogateescape"))
    (broken,) = load_plugins()
    assert str(broken_file) in broken.reason
    assert broken.names == (("mine",), (), ())
    assert "mine" not in STRATEGIES


def test_a_broken_file_in_adapters_breaks_its_own_rows_only(broken_file: Path, tiny: Path, bench: Bench) -> None:
    """Other rows are run, and their report is written."""
    broken_file.write_text(dedent(strategy("mine")) + "\nimport nothing_of_the_kind\n")
    change(tiny, strategies='["persistence", "mine", "rls"]', timing_blocks="0")
    ran = bench("run", tiny)
    assert ran.status == 1
    assert "Traceback" not in ran.err
    said = f"{broken_file} failed to load: ModuleNotFoundError: No module named 'nothing_of_the_kind' (line 13). "
    assert f"{said}Left out: mine." in ran.err
    assert "Now: 2 ok; 0 kept" in ran.err
    assert (tiny.parent / "reports" / "tiny" / "README.md").is_file()
    listed = bench("list")
    assert (listed.status, said in listed.err) == (0, True)
    alone = bench("run", tiny, "--strategy", "mine")
    assert (alone.status, "no strategy is left" in alone.err) == (2, True)
    assert bench("run", tiny, "--strategy", "rls").status == 0


def test_the_working_folder_s_plug_ins_are_read_and_told(tiny: Path, write: Write, bench: Bench) -> None:
    """Whoever has the package as a wheel has no checkout to put a file into."""
    write("adapters/mine.py", strategy("mine-here"))
    write("adapters/pack/__init__.py", "from .inner import Mine")
    write("adapters/pack/inner.py", strategy("packed-here"))
    write("adapters/_helper.py", "raise RuntimeError('no plug-in')")
    write("adapters/lora.py", "raise RuntimeError('of another tool')")
    write("datasets/loader.py", "raise RuntimeError('of another tool')")
    write(
        "datasets/walk.py",
        """
        import numpy as np
        from bench import Dataset, DriftSeries, Split, register_dataset

        @register_dataset("walk-here")
        class Walk(Dataset):
            "A walk."

            def load(self):
                values = np.random.default_rng(0).normal(size=(200, 1)).cumsum(axis=0)
                return DriftSeries(self.name, values, ("x",), np.arange(200), Split.by_fraction(200), ("x",), ("x",))
        """,
    )
    told = "Plug-ins of this folder: adapters/mine.py, adapters/pack/__init__.py, datasets/walk.py\n"
    listed = bench("list")
    assert listed.err == told
    assert all(name in listed.out for name in ("mine-here", "packed-here", "walk-here"))
    change(tiny, strategies='["@user", "persistence"]', datasets='["walk-here"]', timing_blocks="0")
    ran = bench("run", tiny, "--dry-run")
    assert ran.err.startswith(told)
    assert "3 runs: 0 kept, 3 to do" in ran.out
    ran = bench("run", tiny, "--engine", "processes", "--workers", "1", "--strategy", "packed-here")
    assert "Now: 1 ok" in ran.err
