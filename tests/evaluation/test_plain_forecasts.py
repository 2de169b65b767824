"""A forecast is a true copy of plain numbers, taken when it is made, whatever object comes."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import shared_memory
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.evaluation.stream import StreamError, plain_array

SHAPE = (2, 3, 2)
Buffer = NDArray[np.float32]


class Lends:
    """Answers with its own memory, whatever is asked for."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Buffer:
        return self.buffer


class LendsASubclass(Lends):
    """The same, as an array of a class of its own."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Buffer:
        return self.buffer.view(Untouchable)


class Interface:
    """Tells where its numbers lie."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.__array_interface__ = buffer.__array_interface__


class Untouchable(np.ndarray[Any, Any]):
    """An array that answers each operation, and each way to copy it, with itself."""

    def __array_ufunc__(self, *_: Any, **__: Any) -> Any:
        return self

    def __array_function__(self, *_: Any, **__: Any) -> Any:
        return self

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self

    def copy(self, *_: Any, **__: Any) -> Any:
        return self

    def astype(self, *_: Any, **__: Any) -> Any:
        return self


class UntouchableTensor(torch.Tensor):
    """A tensor that is not to be copied: it answers each operation but those that show its values with itself."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("detach", "cpu", "clone", "to", "float", "contiguous"):
            return args[0]
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]


class LendingTensor(torch.Tensor):
    """A tensor that shows another memory than its own."""

    memory: Buffer

    def numpy(self, *, force: bool = False) -> Any:
        return Lends(self.memory)


class Numbers:
    """A sequence whose numbers are objects that decide late."""

    def __init__(self, buffer: Buffer, place: int) -> None:
        self.buffer, self.place = buffer, place

    def __float__(self) -> float:
        return float(self.buffer.flat[self.place])


def lending_tensor(buffer: Buffer) -> LendingTensor:
    made = torch.from_numpy(buffer).as_subclass(LendingTensor)
    made.memory = buffer
    return made


def of_numbers(buffer: Buffer) -> NDArray[Any]:
    return np.array([Numbers(buffer, place) for place in range(buffer.size)], dtype=object).reshape(buffer.shape)


KINDS: dict[str, Callable[[Buffer], Any]] = {
    "an array": lambda b: b,
    "a view of an array": lambda b: b[:],
    "a transposed array": lambda b: b.transpose(2, 1, 0).T,
    "an array that is read-only": lambda b: np.lib.stride_tricks.as_strided(b, writeable=False),
    "an array of a class of its own": lambda b: b.view(Untouchable),
    "a masked array": lambda b: np.ma.masked_array(b),
    "an array of numbers that decide late": of_numbers,
    "a tensor": torch.from_numpy,
    "a tensor that carries gradients": lambda b: torch.from_numpy(b).requires_grad_(),
    "a parameter": lambda b: torch.nn.Parameter(torch.from_numpy(b)),
    "a tensor of a class of its own": lambda b: torch.from_numpy(b).as_subclass(UntouchableTensor),
    "a tensor that shows another memory": lending_tensor,
    "a negated view": lambda b: torch._neg_view(torch.from_numpy(b)).neg(),
    "an object with __array__": Lends,
    "an object whose __array__ has a class of its own": LendsASubclass,
    "an object with __array_interface__": Interface,
    "a memoryview": lambda b: b.data,
    "a buffer of bytes": lambda b: b.data.cast("B").cast("f", SHAPE),
    "a list of arrays": list,
    "a list of tensors": lambda b: list(torch.from_numpy(b)),
    "a list of lists of tensors": lambda b: [list(part) for part in torch.from_numpy(b)],
    "a list of objects with __array__": lambda b: [Lends(part) for part in b],
    "a tuple of memoryviews": lambda b: tuple(part.data for part in b),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_forecast_is_taken_when_it_is_made(kind: str) -> None:
    buffer = np.arange(12, dtype=np.float32).reshape(SHAPE)
    expected = buffer.copy()
    taken = plain_array(KINDS[kind](buffer))
    buffer[:] = -7
    assert type(taken) is np.ndarray
    assert taken.dtype == np.float32
    assert taken.flags.owndata
    assert not np.shares_memory(taken, buffer)
    assert np.array_equal(taken, expected)


def test_shared_memory_is_copied_out_of() -> None:
    memory = shared_memory.SharedMemory(create=True, size=48)
    try:
        buffer: Buffer = np.ndarray(SHAPE, np.float32, buffer=memory.buf)
        buffer[:] = 1
        taken = plain_array(buffer)
        buffer[:] = -7
        del buffer
    finally:
        memory.close()
        memory.unlink()
    assert (taken == 1).all()


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool], ids=str
)
def test_numbers_of_any_real_type_are_taken(dtype: torch.dtype) -> None:
    taken = plain_array(torch.ones(SHAPE).to(dtype))
    assert taken.dtype == np.float32
    assert (taken == 1).all()


def test_a_mode_that_answers_for_tensors_decides_nothing_later() -> None:
    buffer = np.ones(SHAPE, dtype=np.float32)

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return Lends(buffer)

    with Mode():
        taken = plain_array(torch.zeros(SHAPE))
    buffer[:] = -7
    assert (taken == 1).all()


@pytest.mark.parametrize(
    "made", ["ab", ["x"], object(), {"a": 1}, [[1.0], [1.0, 2.0]]], ids=lambda made: type(made).__name__
)
def test_what_is_no_array_of_numbers_is_an_error(made: object) -> None:
    with pytest.raises(StreamError, match=r"predict returned .*, expected an array or a tensor \(K, H, C_out\)"):
        plain_array(made)
