"""Tasks that options of the Titans forecaster cannot serve, and changes of options that can."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, combinations, product
from typing import Any

from bench.contracts.forecaster import Task
from bench.forecasters.titans.channels import HIDDEN_TARGETS
from bench.forecasters.titans.config import TitansConfig, option_refusals
from bench.forecasters.titans.units import no_unit, smallest_unit

Change = dict[str, Any]
"""New values of options."""

OFF = {
    "sliding_window_attn": False,
    "gated_transition": False,
    "attn_pool_chunks": False,
    "store_with_lookahead_value": False,
    "max_grad_norm": None,
    "use_accelerated_scan": False,
    "channels": "mixed",
}
"""Options that not every task allows, and the value that all do."""

WHOLE = {
    "segment_len": None,
    "num_longterm_mem_tokens": 0,
    "neural_memory_segment_len": None,
    "neural_memory_batch_size": None,
}
"""Options that cut a window, and values that allow any window."""

MOST_WAYS, NEAREST = 3, 12
"""Ways out in a message, and values of each of two options that are tried together."""


def task_refusals(
    config: TitansConfig, task: Task, device: str | None = None, *, carried: bool = False
) -> Iterator[str]:
    """Why valid options cannot serve a task: one sentence each.

    Args:
        device: Kind of device; None if not known yet.
        carried: Whether a strategy carries the memory; training does if ``walk_share`` is above 0.
    """
    rows = config.token_rows(task)
    if task.lookback % rows:
        yield f"a window of {task.lookback} rows is not whole tokens of patch_len={rows} rows."
        return
    chunk, segment = config.window_sizes(task)
    patches = task.lookback // rows
    tokens = patches + (patches - 1) // segment * config.num_longterm_mem_tokens
    batch = config.neural_memory_batch_size
    if chunk > tokens:
        yield (f"a window of {tokens} tokens holds no memory chunk of {chunk}, so nothing would be written.")
    elif batch is not None and batch % chunk:
        yield f"neural_memory_batch_size={batch} must be a multiple of the memory chunk ({chunk})."
    elif batch is not None and batch > tokens:
        yield (
            f"neural_memory_batch_size={batch} is more than the {tokens} tokens of a window, whose end it would never "
            "reach."
        )
    elif config.gated_transition and batch is not None and batch >= tokens:
        yield (
            f"gated_transition eases the memory from one batch of writes to the next, and a window of {tokens} tokens "
            f"holds only one batch of {batch}."
        )
    for name in ("attn_pool_chunks", "store_with_lookahead_value"):
        if getattr(config, name) and chunk == 1:
            yield f"{name} needs a memory chunk of more than one row."
    keys = chunk * config.num_kv_per_token - config.store_with_lookahead_value
    if config.memory_model == "attention" and config.max_grad_norm is not None and keys == 1:
        yield (
            "max_grad_norm divides by the norm of a surprise, which is zero where attention sees one key in a chunk."
        )
    if segment >= patches:
        if config.num_longterm_mem_tokens:
            yield (
                f"long-term tokens stand between segments, and a window of {patches} tokens is one segment of "
                f"{segment}."
            )
        if config.sliding_window_attn:
            yield (
                f"sliding_window_attn slides over segments, and a window of {patches} tokens is one segment of "
                f"{segment}."
            )
    elif carried or config.walk_share:
        unit, _ = smallest_unit(segment, config.num_longterm_mem_tokens, chunk)
        if reason := no_unit(unit, config.num_longterm_mem_tokens, chunk, patches):
            yield reason
    if config.channels == "independent" and not task.target_index:
        yield HIDDEN_TARGETS
    if config.use_accelerated_scan and device not in (None, "cuda"):
        yield (
            f"use_accelerated_scan is a CUDA kernel, and the device is {device!r}. "
            "The scan used instead computes the same."
        )


def ways_out(config: TitansConfig, task: Task, device: str | None = None, *, carried: bool = False) -> list[Change]:
    """Changes of options that let them serve a task, with the values nearest to the present ones.

    Some that change one option each; if none does, the first found that changes several; empty if nothing works.
    """

    def refusals(change: Change) -> Iterator[str]:
        other = config.model_copy(update=change)
        yield from option_refusals(other)
        yield from task_refusals(other, task, device, carried=carried)

    def works(change: Change) -> bool:
        return not any(refusals(change))

    switches = {name: off for name, off in OFF.items() if getattr(config, name) != off}
    sizes = _sizes(config, task)
    singles: list[list[Change]] = [[{name: value} for value in values] for name, values in sizes.items()]
    singles += [[dict([switch])] for switch in switches.items()]
    firsts = [_first(changes, works) for changes in singles]
    if found := [change for change in firsts if change]:
        return found[:MOST_WAYS]
    beside: list[Change] = [{}, *(change for changes in singles[: len(sizes)] for change in changes)]
    for one, other in combinations(sizes, 2):
        both = product(_nearest(sizes[one]), _nearest(sizes[other]))
        beside += [{one: value, other: another} for value, another in both]
    reasons = len([*task_refusals(config, task, device, carried=carried)])
    needed = {name: off for name, off in switches.items() if len([*refusals({name: off})]) < reasons}
    several = (off | size for off in ({}, needed, switches) for size in beside)
    change = _first(chain(several, [switches | WHOLE]), works)
    return [change] if change else []


def _first(changes: Iterable[Change], works: Callable[[Change], bool]) -> Change:
    """The first that helps; empty if none does."""
    return next((change for change in changes if works(change)), {})


def as_sentence(ways: Iterable[Change]) -> str:
    """Ways out as the end of a message; empty if there is none."""
    texts = [" and ".join(_setting(name, value) for name, value in way.items()) for way in ways]
    return f" It can with {', or '.join(texts)}." if texts else ""


def _setting(name: str, value: object) -> str:
    return f"no {name}" if value is None else f"{name} = {json.dumps(value)}"


def _sizes(config: TitansConfig, task: Task) -> dict[str, list[int | None]]:
    """Other values of each option that cuts a window, nearest to the present one first, the larger of two first."""
    chunk, segment = config.window_sizes(task)
    rows, tokens = config.token_rows(task), task.lookback // config.token_rows(task)
    batch, longterm = config.neural_memory_batch_size, config.num_longterm_mem_tokens
    found: dict[str, list[int | None]] = {
        "segment_len": _near(segment, range(1, tokens)),
        "num_longterm_mem_tokens": _near(longterm, range(longterm)),
        "neural_memory_segment_len": _near(chunk, range(1, tokens + 1)),
    }
    if config.patch_len is not None:
        found["patch_len"] = _near(rows, range(1, task.lookback + 1))
    if batch is not None:
        most = tokens * (1 + longterm)
        return {"neural_memory_batch_size": [*_near(batch, range(chunk, most + 1, chunk)), None]} | found
    return found


def _nearest(values: list[int | None]) -> list[int | None]:
    """The first few, and the last."""
    return [*values[:NEAREST], *values[NEAREST:][-1:]]


def _near(present: int, values: range) -> list[int | None]:
    return [*sorted({*values} - {present}, key=lambda value: (abs(value - present), -value))]
