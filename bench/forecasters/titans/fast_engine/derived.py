"""Cache of what follows from parameters alone, such as position embeddings, so that service computes it once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

T = TypeVar("T")


class Derived:
    """Keeps what was made from a module's parameters until one of them changes.

    Only in inference mode: nothing is kept where a gradient may be needed, or a graph is compiled.

    Args:
        *modules: Whose parameters and buffers count, inner modules included; without any, nothing is kept.
    """

    def __init__(self, *modules: nn.Module) -> None:
        self._modules = modules
        within = [inner for module in modules for inner in module.modules()]
        self._holders: list[dict[str, Any]] = [d for m in within for d in (m._parameters, m._buffers) if d]
        self._sources: list[Tensor] = []
        self._stamps: list[tuple[int, int, int]] = []
        self._views: list[NDArray[np.uint8]] = []
        self._values: list[bytes] = []
        self._kept: dict[Hashable, Any] = {}

    def begin(self) -> None:
        """Forget all if a parameter has changed, in place or by replacement; called once before each pass.

        Torch numbers the versions of a tensor, but not those written through ``parameter.data`` or by numpy: on a CPU
        the values themselves are compared too, which takes some microseconds.
        """
        sources = [t for holder in self._holders for t in holder.values() if t is not None]
        stamps = [(id(t), t._version, t.data_ptr()) for t in sources]
        if stamps != self._stamps:
            self._kept.clear()
            self._sources, self._stamps = sources, stamps  # sources too: ids are unique among live objects
            self._views = [_bytes_of(t) for t in sources if _is_watched(t)]
        values = [view.tobytes() for view in self._views]
        if values != self._values:
            self._kept.clear()
            self._values = values

    def __call__(self, name: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returns, or returned since a parameter last changed; ``name`` covers all its other inputs."""
        if not self._holders or torch.compiler.is_compiling() or not torch.is_inference_mode_enabled():
            return make()
        if name not in self._kept:
            self._kept[name] = make()
        made: T = self._kept[name]
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Derived:
        return Derived(*copy.deepcopy(self._modules, memo))


def _is_watched(tensor: Tensor) -> bool:
    """Whether a tensor is a parameter whose memory can be read."""
    return isinstance(tensor, nn.Parameter) and tensor.device.type == "cpu" and tensor.is_contiguous()


def _bytes_of(tensor: Tensor) -> NDArray[np.uint8]:
    view: NDArray[np.uint8] = tensor.detach().reshape(-1).view(torch.uint8).numpy()
    return view
