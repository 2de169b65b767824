"""How to get the same numbers again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.contracts.text import one_line
from bench.report.blocks import Block, Bullets, Code, Heading, Paragraph, Table, bullets, escape
from bench.report.render.numbers import NONE, words
from bench.report.section import register_section
from bench.report.view.loaded import Results
from bench.results.record import DatasetRecord


@register_section("provenance", after="problems", in_html=False)
def provenance(results: Results) -> list[Block]:
    """Command, versions, datasets and training; docs/protocol.md has the rules that every run keeps."""
    environments = [record.environment for record in results.records.values() if record.environment]
    commands = [Code(command) for command in _distinct(environments, "command")]
    lines = [*_machine(environments), *_packages(environments), *_code(environments), *_when(results, environments)]
    lines += [*_together(results), *_training(results)]
    return [Heading("How to reproduce"), *commands, *bullets(lines), *_datasets(results)]


def _distinct(environments: Iterable[dict[str, Any]], key: str) -> list[str]:
    return sorted({one_line(env[key]) for env in environments if env.get(key) not in (None, "")})


def _machine(environments: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for key, label in (
        ("python", "Python"),
        ("platform", "Platform"),
        ("device", "Device"),
        ("threads", "Threads a run"),
        ("engine", "Engine"),
    ):
        values = [escape(value) for value in _distinct(environments, key)]
        if key == "device":
            names = [escape(value) for value in _distinct(environments, "device_name")]
            values = [f"{words(values)} ({words(names)})"] if values and names else values
        if values:
            lines.append(f"{label}: {words(values)}")
    return lines


def _packages(environments: Sequence[dict[str, Any]]) -> list[str]:
    versions: dict[str, set[str]] = {}
    for env in environments:
        for name, version in (env.get("packages") or {}).items():
            versions.setdefault(str(name), set()).add(str(version))
    named = [f"{escape(name)} {escape(' or '.join(sorted(found)))}" for name, found in sorted(versions.items())]
    return [f"Packages: {', '.join(named)}"] if named else []


def _code(environments: Sequence[dict[str, Any]]) -> list[str]:
    states = set()
    for env in environments:
        git = env.get("git") or {}
        if commit := git.get("commit"):
            states.add(escape(str(commit)[:12]) + (" with uncommitted changes" if git.get("dirty") else ""))
    return [f"Code: git commit {words(sorted(states))}"] if states else []


def _when(results: Results, environments: Sequence[dict[str, Any]]) -> list[str]:
    started = _distinct(environments, "started")
    seconds = sum(record.seconds for record in results.records.values())
    spent = f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"
    lines = [f"Time: {spent} over all runs, training included"] if seconds > 0 else []
    if started:
        span = escape(started[0]) if len(started) == 1 else f"{escape(started[0])} to {escape(started[-1])}"
        lines.append(f"Runs started: {span}")
    return lines


def _together(results: Results) -> list[str]:
    """How many runs shared a pass over the stream with others."""
    sizes = [len(record.together) + 1 for record in results.records.values() if record.together]
    if not sizes:
        return []
    return [
        f"Served together: {len(sizes):,} of {len(results.records):,} runs, up to {max(sizes)} in one pass over the "
        "stream, which differ in seed or rates; their cost is that of the timing pass, each alone"
    ]


def _training(results: Results) -> list[str]:
    """The training budget of each forecaster: values on which its runs agree, ranges where they do not."""
    budgets: dict[str, dict[str, list[Any]]] = {}
    for record in results.records.values():
        if record.forecaster is None or not record.training:
            continue
        budget = budgets.setdefault(record.forecaster.name, {})
        for key, value in record.training.items():
            budget.setdefault(key, []).append(value)
    lines = []
    for name, budget in sorted(budgets.items()):
        values = ", ".join(f"{escape(key)} {escape(_range(found))}" for key, found in budget.items())
        lines.append(f"Pre-training of {escape(name)}: {values}")
    return lines


def _range(values: Sequence[Any]) -> str:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = (f"{value:.6g}" for value in (min(values), max(values)))
        return low if low == high else f"{low} to {high}"
    distinct = sorted({one_line(value) for value in values})
    return words(distinct[:3]) if len(distinct) <= 3 else f"{', '.join(distinct[:3])} and others"


def _datasets(results: Results) -> list[Block]:
    datasets: dict[str, DatasetRecord] = {}
    for scenario in results.scenarios:
        dataset = results.first(scenario).dataset
        datasets.setdefault(dataset.fingerprint, dataset)
    headers = ["Dataset", "licence", "inputs", "targets", "season", "rows", "training", "validation", "stream"]
    rows, lines = [], []
    for dataset in datasets.values():
        train, start, end = dataset.borders
        numbers = [len(dataset.inputs), len(dataset.targets)]
        season = f"{dataset.season:,}" if dataset.season else NONE
        spans = [f"0 to {train:,}", f"{train:,} to {start:,}", f"{start:,} to {end:,}"]
        cells = [*(str(number) for number in numbers), season, f"{dataset.rows:,}", *spans]
        rows.append([escape(dataset.name), escape(dataset.licence or NONE), *cells])
        lines.append(f"{escape(dataset.name)}: fingerprint {escape(dataset.fingerprint[:16])}{_about(dataset)}")
    note = "Rows are numbered from 0; the end of a range is not in it. Season in rows. Of a protocol: "
    note += "L rows read, H rows forecast, S rows between origins, K origins between two releases of labels."
    return [Table(headers, rows, text_columns=2), Paragraph(note), Bullets(lines)]


def _about(dataset: DatasetRecord) -> str:
    options = ", ".join(f"{key}={value}" for key, value in sorted(dataset.given.items()))
    parts = [f"options {escape(options)}"] if options else []
    parts += [f"source: {escape(dataset.source)}"] if dataset.source else []
    parts += [f"note: {escape(note)}" for note in dataset.notes]
    if dataset.filled:
        shares = sorted(dataset.filled.items(), key=lambda item: -item[1])
        parts.append(f"never measured, of the stream: {words([f'{escape(c)} {100 * s:.3g} %' for c, s in shares])}")
    if dataset.events:
        early = sum(event.row < dataset.borders[1] for event in dataset.events)
        parts.append(f"known drifts: {len(dataset.events)}{f' ({early} before the stream)' if early else ''}")
    return "".join(f"; {part}" for part in parts)
