"""What one run leaves behind in its process must not reach the next one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated(seed: int, threads: int) -> Iterator[None]:
    """Global state as every run finds it, whatever ran before in this process; put back afterwards.

    Gradients are on, the default type is float32, torch has its threads, and the global generators of torch, numpy and
    Python are seeded: whoever draws from them draws the same, in whatever order runs are carried out.

    Args:
        seed: Of the generators.
        threads: For torch; these are left as they are.
    """
    dtype, python_state = torch.get_default_dtype(), random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002
    torch.set_num_threads(threads)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False), torch.enable_grad():
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the generator that plug-ins may draw from
        random.seed(seed)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)
