"""``python -m tests.mutations``, or ``make mutations``: edit one place of the code at a time; do the tests notice?

Sixty edits of the modules that decide numbers, ten for each of six groups: another comparison, a number one larger, a
statement left out, operands swapped. Which they are follows from ``SEED`` and the edited text alone, so that an edit
stays in the list while other lines of its module change. Each is made in a copy of the repository and must be caught by
the fast tests named for its group; one that no test can catch is named in ``EQUIVALENT``, with the reason.

``python -m tests.mutations GROUP ...`` takes some groups only; ``--list`` prints the edits and runs nothing.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import hashlib
import importlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SEED = 16
PER_GROUP = 10
INSTALLED = ("matplotlib", "pandas", "pyarrow.parquet", "pydantic", "scipy.stats", "torch", "typer")
"""What takes long to import: once, for all runs of tests; nothing that brings a plug-in of pytest along."""

LIMIT_S = 600.0
PATIENCE = 3.0
"""Times what the tests take on the code as it is: a run that takes longer does not end, and the edit is caught."""


@dataclass(frozen=True)
class Group:
    """Modules that are edited, and the tests that must notice.

    Attributes:
        modules: Files, or patterns of files.
        tests: Fast ones; the likeliest to notice come first.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


GROUPS = {
    "stream": Group(
        ("bench/evaluation/stream.py",), ("tests/evaluation/test_stream.py", "tests/adapters/test_partial_labels.py")
    ),
    "metrics": Group(
        ("bench/evaluation/metrics.py",),
        ("tests/evaluation/test_metrics.py", "tests/contracts/test_metric.py", "tests/cli/test_user_metric.py"),
    ),
    "store": Group(
        ("bench/results/store.py",),
        ("tests/results/test_store.py", "tests/results/test_maintenance.py", "tests/results/test_lock.py"),
    ),
    "run_spec": Group(
        ("bench/evaluation/run_spec.py",), ("tests/execution/test_experiment.py", "tests/contracts/test_identity.py")
    ),
    "statistics": Group(
        ("bench/analysis/statistics/*.py",),
        tuple(
            f"tests/analysis/test_{name}.py"
            for name in ("skill_test", "verdicts", "drift_evidence", "ranks", "change_points")
        ),
    ),
    "carry": Group(
        ("bench/forecasters/titans/*carry*.py",), ("tests/forecasters/test_carry.py", "tests/forecasters/test_walk.py")
    ),
}

TOGETHER = "how many are computed at a time changes speed and memory, and no number"
EQUIVALENT = {
    "stream.py: if count >= SCORED_TOGETHER:  ->  if not (count >= SCORED_TOGETHER):": TOGETHER,
    "stream.py: if count >= SCORED_TOGETHER:  ->  if count > SCORED_TOGETHER:": TOGETHER,
    "stream.py: SCORED_TOGETHER = 50_000  ->  SCORED_TOGETHER = 50001": TOGETHER,
}
"""Edits that change nothing that a test could see: what `Edit` prints, and why it is so."""

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
SWAPPED = {ast.Sub: "-", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**"}


@dataclass(frozen=True)
class Edit:
    """One change of a file's text.

    Attributes:
        path: Of the file, from the root of the repository.
        start: Where the text that is replaced begins, in bytes.
        end: Where it ends.
        by: What stands there then.
        line: Its number.
        kind: Which of the kinds of edits it is.
        text: What the edited line reads, before and after.
    """

    path: str
    start: int
    end: int
    by: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{Path(self.path).name}: {self.text}"

    @property
    def rank(self) -> str:
        """Where it stands in a list that is shuffled by the seed."""
        return hashlib.sha256(f"{SEED} {self.kind} {self}".encode()).hexdigest()

    @contextmanager
    def made_in(self, folder: Path) -> Iterator[None]:
        """The file of a copy is changed meanwhile."""
        file = folder / self.path
        before, stamp = file.read_bytes(), file.stat().st_mtime
        file.write_bytes(before[: self.start] + self.by.encode() + before[self.end :])
        try:
            yield
        finally:
            file.write_bytes(before)
            os.utime(file, (stamp, stamp))  # so that what was compiled of it holds again


class Editor(ast.NodeVisitor):
    """All edits of one file that this module knows to make."""

    def __init__(self, path: str) -> None:
        self.path, self.found = path, list[Edit]()
        self._bytes = (ROOT / path).read_bytes()
        self._starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self.visit(ast.parse(self._bytes))

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _source(self, node: ast.expr | ast.stmt) -> str:
        start, end = self._span(node)
        return self._bytes[start:end].decode()

    def _add(self, kind: str, start: int, end: int, by: str) -> None:
        first = self._bytes.rfind(b"\n", 0, start) + 1
        last = self._bytes.find(b"\n", end)
        before = " ".join(self._bytes[first:last].decode().split())
        after = " ".join((self._bytes[first:start].decode() + by + self._bytes[end:last].decode()).split())
        line = self._bytes.count(b"\n", 0, start) + 1
        try:
            ast.parse(self._bytes[:start] + by.encode() + self._bytes[end:])
        except SyntaxError:  # such as a parenthesis that the tree does not show
            return
        self.found.append(Edit(self.path, start, end, by, line, kind, f"{before}  ->  {after}"))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults, *node.body):
            if part is not None:
                self.visit(part)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            self._add("comparison", self._span(left)[1], self._span(right)[0], f" {COMPARISONS[type(operator)]} ")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = " and " if isinstance(node.op, ast.Or) else " or "
        for left, right in zip(node.values, node.values[1:], strict=False):
            if self._bytes[self._span(left)[1] : self._span(right)[0]].strip() in (b"and", b"or"):
                self._add("logic", self._span(left)[1], self._span(right)[0], other)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        left, right = self._source(node.left), self._source(node.right)
        between = self._bytes[self._span(node.left)[1] : self._span(node.right)[0]].strip().decode()
        if SWAPPED.get(type(node.op)) == between:
            self._add("operands", *self._span(node), f"({right}) {between} ({left})")
        elif between in ("+", "*"):
            by = {"+": "-", "*": "/"}[between]
            self._add("operator", self._span(node.left)[1], self._span(node.right)[0], f" {by} ")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add("constant", *self._span(node), str(not node.value))
        elif isinstance(node.value, int):
            self._add("off by one", *self._span(node), str(node.value + 1))
        elif isinstance(node.value, float):
            self._add("constant", *self._span(node), repr(node.value * 2 + 0.5))

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        self._dropped(node)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._dropped(node)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._dropped(node)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        self._add("condition", *self._span(node.test), f"not ({self._source(node.test)})")
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        del node

    def visit_Raise(self, node: ast.Raise) -> None:
        self._dropped(node)

    def _dropped(self, node: ast.stmt) -> None:
        self._add("statement", *self._span(node), "pass")


def edits(group: Group) -> list[Edit]:
    """The group's share of the list: each kind and each file in turn, as the seed has them."""
    paths = sorted({path.relative_to(ROOT).as_posix() for one in group.modules for path in ROOT.glob(one)})
    waiting = sorted((edit for path in paths for edit in Editor(path).found), key=lambda edit: edit.rank)
    taken: list[Edit] = []
    while waiting and len(taken) < PER_GROUP:

        def crowd(edit: Edit) -> tuple[int, int]:
            return sum(one.kind == edit.kind for one in taken), sum(one.path == edit.path for one in taken)

        taken.append(min(waiting, key=crowd))  # of equals the first
        waiting.remove(taken[-1])
    return taken


def copy_of_repository(folder: Path) -> Path:
    """A copy of what tests need, compiled, in which files may be edited."""
    copy = folder / "repository"
    left = shutil.ignore_patterns("__pycache__", "_builtin")
    for name in ("bench", "adapters", "datasets", "experiments", "tests", "docs", "reports"):
        shutil.copytree(ROOT / name, copy / name, ignore=left)
    shutil.copy(ROOT / "pyproject.toml", copy)
    compileall.compile_dir(copy, quiet=2)
    return copy


def noticed(edit: Edit | None, tests: tuple[str, ...], copy: Path, limit: float = LIMIT_S) -> tuple[str, float]:
    """By which test an edit is caught, empty where by none; and seconds.

    Args:
        edit: None: the code as it is.
        tests: Files that are run.
        copy: Of the repository; afterwards as before.
        limit: Seconds after which the tests are ended.
    """
    log, begun = copy.with_name("log"), time.monotonic()
    with edit.made_in(copy) if edit else nullcontext():
        run = multiprocessing.get_context("fork").Process(target=_test, args=(copy, tests, log, edit is None))
        run.start()
        run.join(limit)
        if is_late := run.is_alive():
            os.killpg(run.pid or 0, signal.SIGKILL)
            run.join()
    failed = [line for line in log.read_text(errors="replace").splitlines() if line.startswith(("FAILED ", "ERROR "))]
    by = " ".join(failed[:1]).partition(" - ")[0] or "an error before any test"
    return "does not end" if is_late else by if run.exitcode else "", time.monotonic() - begun


def _test(copy: Path, tests: tuple[str, ...], log: Path, is_first: bool) -> None:
    """In a process that has imported what is installed, and nothing of the repository: run tests of its copy."""
    os.setpgrp()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(out, number)
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    sys.dont_write_bytecode = not is_first  # what is compiled stays that of the code as it is
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    sys.path[:] = [str(copy), *(place for place in sys.path if place not in ("", str(ROOT)))]
    status = pytest.main(["-x", "-q", "--no-header", "--tb=no", *tests])
    sys.stdout.flush()
    os._exit(status)


def examined(names: list[str]) -> Iterator[tuple[str, Edit, str, float]]:
    """Each edit of some groups with what caught it."""
    for name in INSTALLED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy, planned = copy_of_repository(Path(folder)), {name: edits(GROUPS[name]) for name in names}
        for name in names:
            by, seconds = noticed(None, GROUPS[name].tests, copy)
            if by:
                sys.exit(f"{name}: the tests fail on the code as it is: {by}")
            print(f"{name}: {len(GROUPS[name].tests)} files or folders of tests pass in {seconds:.0f} s", flush=True)
            for edit in planned[name]:
                yield name, edit, *noticed(edit, GROUPS[name].tests, copy, 10 + PATIENCE * seconds)


def main() -> int:
    """Make each edit, print what caught it, and fail where one survives that is not known to change nothing."""
    words = argparse.ArgumentParser(prog="python -m tests.mutations", description=(__doc__ or "").partition("\n")[0])
    words.add_argument("groups", nargs="*", choices=[*GROUPS, []], default=[])
    words.add_argument("--list", action="store_true", help="print the edits and run nothing")
    given = words.parse_args()
    names = given.groups or list(GROUPS)
    if given.list:
        for name in names:
            for edit in edits(GROUPS[name]):
                print(f"{name:10} {edit.kind:10} {edit.path}:{edit.line}  {edit.text}")
        return 0
    caught, equivalent, survived = 0, 0, list[Edit]()
    for name, edit, by, seconds in examined(names):
        if by:
            caught += 1
        elif str(edit) in EQUIVALENT:
            equivalent += 1
        else:
            survived.append(edit)
        outcome = by or ("EQUIVALENT: " + EQUIVALENT[str(edit)] if str(edit) in EQUIVALENT else "SURVIVED")
        print(f"{name:10} {seconds:4.0f} s  {edit.path}:{edit.line}  {edit.text}\n{'':18}{outcome}", flush=True)
    print(f"{caught} caught, {equivalent} change nothing, {len(survived)} survived.")
    return int(bool(survived))


if __name__ == "__main__":
    sys.exit(main())
