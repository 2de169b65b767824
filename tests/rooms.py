"""``python -m tests.rooms``: sizes of the rooms of ``bench/``, who imports whom, and ``docs/images/rooms.svg``."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"

ROOMS = {
    "cli": "the command line",
    "execution": "experiments, sessions, engines, tuning",
    "report": "sections, figures, Markdown, LaTeX, HTML",
    "analysis": "intervals, tests, ranks, leaderboards",
    "testing": "the leak canary and contract checks",
    "evaluation": "one run: pre-training, stream, metrics, clocks",
    "adaptation": "parts that strategies share",
    "forecasters": "linear models, Titans",
    "data": "a user's files, downloads, synthetic drift",
    "results": "records, store, checksums, locks, audits",
    "contracts": "strategy, forecaster, dataset, series, protocol",
}
"""The rooms from the top down: each may import those below it, and none above it."""

TOP_LEVEL = {"__init__", "__main__"}
SUFFIXES = {".py", ".js", ".css", ".html"}

WIDTH, ROW, BOX = 860, 58, 330


@cache
def modules() -> Mapping[str, Path]:
    """Files of the package by their module's name."""
    found = {}
    for path in sorted((ROOT / "bench").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports() -> tuple[tuple[str, str], ...]:
    """Each module of the package with each that it imports, late imports and imports for types included."""
    return tuple(_imports())


def _imports() -> Iterator[tuple[str, str]]:
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    target = whole if whole in modules() else node.module
                    if target in modules():
                        yield name, target
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in modules():
                        yield name, alias.name


def room(module: str) -> str:
    """The room of a module; of the package itself and its ``__main__``, their own names."""
    return module.split(".")[1] if "." in module else module


def arrows() -> Counter[tuple[str, str]]:
    """How many imports lead from each room to each other one."""
    rooms = Counter((room(a), room(b)) for a, b in imports())
    return Counter({pair: count for pair, count in rooms.items() if pair[0] != pair[1]})


def lines(name: str) -> int:
    """Lines of a room, with its scripts, templates and style sheets."""
    files = [path for path in (ROOT / "bench" / name).rglob("*") if path.suffix in SUFFIXES]
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)


def picture() -> str:
    """The rooms as SVG, top down, each with the rooms that it imports."""
    found = arrows()
    height = ROW * len(ROOMS) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" role="img">',
        "<title>The rooms of bench/, from the command line down to the contracts</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for place, (name, what) in enumerate(ROOMS.items()):
        y = 10 + place * ROW
        below = [other for other in ROOMS if found[name, other]]
        parts += [
            f'<rect x="10" y="{y}" width="{BOX}" height="{ROW - 12}" rx="4" fill="#eef3f8" stroke="#35618f"/>',
            f'<text x="22" y="{y + 20}" font-size="14" font-weight="bold" fill="#16324f">{name}/</text>',
            f'<text x="22" y="{y + 37}" font-size="11" fill="#333">{escape(what)}</text>',
            f'<text x="{BOX + 28}" y="{y + 27}" font-size="12" fill="#333">'
            + (f"imports {', '.join(below)}" if below else "imports no other room")
            + "</text>",
        ]
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Print the sizes, and write the picture."""
    from tabulate import tabulate

    rows = [(name, sum(room(one) == name for one in modules()), lines(name)) for name in ROOMS]
    rows.append(("bench", len(modules()), lines("")))
    print(tabulate(rows, headers=["room", "modules", "lines"], intfmt=","))
    for (above, below), count in sorted(arrows().items()):
        print(f"{above} -> {below}: {count}")
    PICTURE.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
