"""A Titans model's forward pass as compiled graphs, few of them: smaller batches are padded."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from bench.forecasters.titans.memory_state import MemoryCache

Run = Callable[[Tensor, MemoryCache | None, int | None], tuple[Tensor, MemoryCache | None]]

EXACT_WIDTHS = 2  # a stream has two: its first release, and a block
MOST_GRAPHS = 64  # of one model; torch gives up at 8, which may be far into a stream


class Compiled:
    """`TimeSeriesTitansTransformer.run`, compiled without a break in the graph.

    There is one graph for each kind of call: with and without gradients, from the learned initial memory, from one
    memory for all windows or from one for each, with and without the memory returned. A batch smaller than
    an earlier one of the same kind, such as the last block of a stream, is padded with copies of its last window,
    whose forecasts are dropped; so a stream compiles in its first steps and never again. Where batches keep growing,
    as releases of sparse labels may, the third width and each later one is at least twice the one before.

    Args:
        backend: One of torch's; tests take ``eager``, which finds the graph without compiling it.

    Attributes:
        graphs: Graphs compiled so far.
        seconds: Time for these, the first forward pass of each included.
    """

    def __init__(self, run: Run, backend: str = "inductor") -> None:
        torch.compiler.reset()  # all models share the code, and so its graphs: free them
        self._run: Run = torch.compile(run, fullgraph=True, dynamic=False, backend=backend)
        self._widths: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
        self.graphs, self.seconds = 0, 0.0

    def __call__(
        self, x: Tensor, cache: MemoryCache | None = None, after: int | None = None
    ) -> tuple[Tensor, MemoryCache | None]:
        """As `run`, on a padded batch."""
        batch = len(x)
        start = None if cache is None else "shared" if cache.batch == 1 else "own"
        widths = self._widths[torch.is_grad_enabled(), start, after, *x.shape[1:]]
        run, width = self._run, min((width for width in widths if width >= batch), default=0)
        if not width:
            run, width = self._first, batch if len(widths) < EXACT_WIDTHS else max(batch, 2 * max(widths))
            widths.append(width)
        if missing := width - batch:
            x = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])])
            if cache is not None and cache.batch > 1:
                cache = MemoryCache.stack([cache, cache.last().expand(missing)])
        forecast, state = run(x, cache, after)
        return forecast[:batch], None if state is None else state.first(batch)

    def _first(self, x: Tensor, cache: MemoryCache | None, after: int | None) -> tuple[Tensor, MemoryCache | None]:
        """The first call of its kind, which compiles."""
        begun = time.perf_counter()
        with torch._dynamo.config.patch(recompile_limit=MOST_GRAPHS):
            out = self._run(x, cache, after)
        self.graphs, self.seconds = self.graphs + 1, self.seconds + time.perf_counter() - begun
        return out
