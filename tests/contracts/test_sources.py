"""What decides what a class computes: all the code that it imports and the data that it names, and no more."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import BenchError
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.outcomes import harness
from bench.contracts.sources import Sources, _parsed
from bench.contracts.strategy import STRATEGIES

from ..conftest import Write, forgetting

pytestmark = pytest.mark.usefixtures("registries")

PLUGIN = """
from bench import Strategy, register_strategy
{top}

@register_strategy("{name}")
class Mine(Strategy):
    "One of mine."
    {body}

    def predict(self, windows):
        {inside}
        return windows
"""


def plugin(name: str = "mine", top: str = "", body: str = "", inside: str = "pass") -> str:
    return PLUGIN.format(name=name, top=top, body=body, inside=inside)


def sha(path: Path, name: str = "mine") -> str:
    with forgetting():
        load_plugins([path])
        return STRATEGIES[name].sha


def test_what_built_in_plug_ins_are_computed_by() -> None:
    code = {entry.name: entry.code for registry in (STRATEGIES, FORECASTERS) for entry in registry}
    assert set(code["persistence"].files) == {"adapters/baselines.py", "bench/adaptation/stack.py"}
    assert {"adapters/rls.py", "bench/forecasters/linear.py"} <= set(code["rls"].files)
    assert {"adapters/titans.py", "bench/forecasters/titans/carry.py"} <= set(code["titans-b"].files)
    fast, core = "bench/forecasters/titans/fast_engine/memory.py", "bench/evaluation/stream.py"
    assert {name for name in code if fast in code[name].files} == {name for name in code if name.startswith("titans")}
    assert core in harness().files
    assert not [name for name in code if core in code[name].files]  # it is in all ids already
    assert not [file for file in harness().files if file.startswith(("bench/report", "bench/cli", "bench/store"))]
    assert {name for name in code if "scipy" in code[name].packages} == {"hedge", "rls"}
    assert {"torch", "titans-pytorch"} <= set(code["titans"].packages)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, dict[str, str]]:
    """Two plug-ins, modules and a package: for each, what it imports, and in which way. Some imports go in circles."""
    names = ["p0", "p1", *(f"m{i}" for i in range(draw(st.integers(1, 4)))), "pack.deep"]
    graph: dict[str, dict[str, str]] = {name: {} for name in [*names, "pack"]}
    for place, name in enumerate(names):
        for later, other in enumerate(names[2:], 2):
            if name != other and draw(st.integers(0, 2)) == 0:
                graph[name][other] = draw(st.sampled_from(["inside"] if later < place else ["inside", *FORMS]))
    return graph


FORMS = {
    "member": "from {dots}{module} import VALUE",
    "star": "from {dots}{module} import *",
    "module": "from {dots}{package} import {leaf}",
}


def statement(form: str, importer: str, module: str) -> str:
    package, _, leaf = module.rpartition(".")
    return FORMS[form].format(dots="." * (1 + importer.count(".")), module=module, package=package, leaf=leaf)


def text_of(name: str, imports: dict[str, str], number: int) -> str:
    """Source of a plug-in or of another module, with a number in it."""
    top = "\n".join(statement(way, name, to) for to, way in imports.items() if way != "inside")
    inside = [statement("member", name, to) for to, way in imports.items() if way == "inside"]
    inside.append(f"number = {number}")
    if name in ("p0", "p1"):
        return plugin(name, top, inside="; ".join(inside))
    return f"{top}\nVALUE = 0\ndef function():\n    {'; '.join(inside)}\n"


def reached(graph: dict[str, dict[str, str]], start: str) -> set[str]:
    found, waiting = set[str](), [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [*graph[name], *(["pack"] if name == "pack.deep" else [])]
    return found


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=graphs(), data=st.data())
def test_an_edit_renews_exactly_the_plug_ins_that_import_the_file(
    graph: dict[str, dict[str, str]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "pack").mkdir()
    files = {name: folder / (name.replace(".", "/") + ("/__init__.py" if name == "pack" else ".py")) for name in graph}
    for name, file in files.items():
        file.write_text(text_of(name, graph[name], 1))
    before = {name: sha(folder, name) for name in ("p0", "p1")}
    edited = data.draw(st.sampled_from(sorted(graph)))
    files[edited].write_text("# a comment\n\n" + text_of(edited, graph[edited], 1) + '\n"""A remark."""\n')
    assert {name: sha(folder, name) for name in before} == before
    files[edited].write_text(text_of(edited, graph[edited], 2))
    assert {name for name in before if sha(folder, name) != before[name]} == {
        name for name in before if edited in reached(graph, name)
    }


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 1", "x = 1  # one", True),
        ("x = 1\ny = 2", "x = 1\r\n\r\n\ty = 2".replace("\t", ""), True),
        ("def f():\n    return 1", 'def f():\n    """Say 1."""\n    return 1', True),
        ("x = 1", '"""\n\nlong\n"""\nx = 1\n"""Of x."""', True),
        ("x = '# one'", "x = '# two'", False),
        ('x = """a\n\nb"""', 'x = """a\nb"""', False),
        ('x = """a \nb"""', 'x = """a\nb"""', False),
        ('x = f"""a\n\n{1}"""', 'x = f"""a\n{1}"""', False),
        ("if x:\n    y = 1\nz = 1", "if x:\n    y = 1\n    z = 1", False),
        ("x = 'é'  # é\ny = 1", "x = 'é'  # è\ny = 1", True),
        ("# coding: latin-1\nx = 1", "# coding: utf-8\nx = 1", True),
        ("no python (", "no python  (", False),
        ("class A:\n    x = 1\n    labels_from_rows = True", "class A:\n    x = 1", True),
        ("class A:\n    x = 1\n    takes_issued = True", "class A:\n    x = 1", False),
    ],
)
def test_what_of_a_text_counts(one: str, other: str, same: bool) -> None:
    assert (_parsed(one.encode())[0] == _parsed(other.encode())[0]) == same


def test_data_files_that_a_plug_in_names_count(write: Write, tmp_path: Path) -> None:
    path = write("mine.py", plugin(body='depends_on = ("weights/table.bin",)'))
    with pytest.raises(BenchError, match=r"Mine depends on 'weights/table\.bin' \(depends_on\), which cannot"):
        sha(path)
    write("weights/table.bin", "1")
    first = sha(path)
    write("weights/table.bin", "2")
    assert sha(path) != first
    child = write(
        "child.py", "from .mine import Mine\n" + plugin("child").replace("class Mine(Strategy)", "class C(Mine)")
    )
    before = sha(tmp_path, "child")
    write("weights/table.bin", "3")
    assert child.is_file()
    assert sha(tmp_path, "child") != before  # what a parent depends on, its children do


def test_a_model_of_the_user_s_own_counts_wherever_it_lies(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "library")
    write("library/model_of_mine/__init__.py", "")
    write("library/model_of_mine/layers.py", "WIDTH = 1")
    write("library/model_of_mine/unused.py", "WIDTH = 1")
    path = write("mine.py", plugin(inside="from model_of_mine.layers import WIDTH"))

    def found() -> str:
        importlib.invalidate_caches()
        return sha(path)

    first = found()
    write("library/model_of_mine/unused.py", "WIDTH = 2")
    assert found() == first
    write("library/model_of_mine/layers.py", "WIDTH = 2")
    assert found() != first
    assert not [name for name in sys.modules if name.startswith("model_of_mine")]  # it is read, not run


def test_what_only_type_checkers_import_does_not_count(write: Write) -> None:
    path = write(
        "mine.py", plugin(top="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .helper import Thing")
    )
    write("helper.py", "Thing = 1")
    first = sha(path)
    write("helper.py", "Thing = 2")
    assert sha(path) == first


def test_what_changed_is_named() -> None:
    before = Sources({"a.py": "1", "b.py": "1", "gone.py": "1"}, {"torch": "2.0"})
    after = Sources({"a.py": "1", "b.py": "2", "new.py": "1"}, {"torch": "2.1"})
    assert after.changed_since(before) == ["b.py", "gone.py", "new.py", "torch"]
    assert before.changed_since(before) == []
