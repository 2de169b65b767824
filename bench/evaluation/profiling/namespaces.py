"""Functions, classes and constants that every run relies on: whatever is replaced is found, and restored."""

from __future__ import annotations

import builtins
import operator
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from types import FunctionType, ModuleType
from typing import Any

_WITH_PARTS = """
bench bench_plugins numpy._core numpy.fft numpy.lib numpy.linalg numpy.random torch.autograd torch.fft torch.linalg
torch.nn torch.optim torch.special
"""
_ALONE = """
_random builtins collections contextlib copy dataclasses decimal functools gc hashlib heapq inspect itertools json math
numpy operator os pandas pandas.core.frame pandas.core.series pathlib pickle posix psutil random re resource signal
statistics string struct sys tempfile threading time torch torch._C torch._C._autograd torch._C._fft torch._C._linalg
torch._C._nn torch._C._special torch._VF torch._ops torch._tensor torch._utils torch.functional torch.library
torch.overrides torch.random torch.serialization torch.storage torch.utils._device torch.utils._python_dispatch
torch.utils.flop_counter types typing warnings weakref zlib
"""
FOLLOWED = frozenset(f"{_WITH_PARTS} {_ALONE}".split())
"""Modules that are checked if imported: those that compute in a run, as checking takes time."""

BELOW = tuple(f"{name}." for name in _WITH_PARTS.split())
"""Beginnings of the names of others that are checked."""

CONSTANT = frozenset({"bench", "math", "numpy"})
"""Packages whose constants are checked too; those of others are often caches."""

KEPT = frozenset({"warnings.showwarning", "warnings._showwarnmsg_impl", "torch.Storage"})
"""Names that `isolated` restores."""

IMMUTABLE = 1 << 8
"""CPython's flag of a class whose attributes cannot be set."""

_ABSENT = object()
_BUILTINS = dict(vars(builtins))
_OF_FUNCTIONS = ("__code__", "__defaults__", "__kwdefaults__")
_PLUGINS = "bench_plugins."
_PLAIN = (bool, int, float, complex, str, bytes, tuple, frozenset)


@dataclass
class Namespace:
    """A module or a class, and the values of its names before."""

    label: str
    owner: Any
    before: dict[str, Any]

    @classmethod
    def of(cls, owner: Any) -> Namespace:
        """The current state."""
        is_class = isinstance(owner, type)
        return cls(f"{owner.__module__}.{owner.__qualname__}" if is_class else owner.__name__, owner, dict(vars(owner)))

    @property
    def package(self) -> str:
        """The first part of its name."""
        return _package(self.label)

    @property
    def is_own(self) -> bool:
        """Whether it is the harness's."""
        return self.package == "bench"

    @property
    def is_as_before(self) -> bool:
        """Whether each name refers to the same object."""
        now = vars(self.owner)
        return len(now) == len(self.before) and all(map(operator.is_, now.values(), self.before.values()))

    def changed(self) -> Iterator[str]:
        """Names of changed functions, classes, modules and, of some packages, constants."""
        now = vars(self.owner)
        for name in [*self.before, *(name for name in now if name not in self.before)]:
            old, new = self.before.get(name, _ABSENT), now.get(name, _ABSENT)
            if old is not new and self._counts(name, old, new):
                yield name

    def put_back(self, name: str) -> None:
        """Restore the value of a name."""
        is_there, value = name in self.before, self.before.get(name)
        if isinstance(self.owner, type):
            type.__setattr__(self.owner, name, value) if is_there else type.__delattr__(self.owner, name)
        elif is_there:
            vars(self.owner)[name] = value
        else:
            vars(self.owner).pop(name, None)

    def _counts(self, name: str, old: Any, new: Any) -> bool:
        if old is _ABSENT:
            old = self._hidden(name)
        if callable(old) or isinstance(old, ModuleType) or hasattr(type(old), "__get__"):
            label = f"{self.label}.{name}"
            return label not in KEPT and not _is_lazily_wrapped(label, old, new)
        if self.package not in CONSTANT or _is_special(name) or not isinstance(old, _PLAIN):
            return False
        return not (type(old) is type(new) and old == new)

    def _hidden(self, name: str) -> Any:
        """The earlier value of a new name: a builtin, or what a class inherits."""
        if isinstance(self.owner, type):
            return next((vars(base)[name] for base in self.owner.__mro__[1:] if name in vars(base)), _ABSENT)
        return _ABSENT if self.owner is builtins else _BUILTINS.get(name, _ABSENT)


def _package(name: str) -> str:
    return name.partition(".")[0]


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_lazily_wrapped(label: str, old: Any, new: Any) -> bool:
    """Torch wraps some of its own functions when an optimizer is made, or something compiled, for the first time."""
    if type(new) is not FunctionType:
        return False
    file = new.__code__.co_filename
    if label.startswith("torch.nn.modules.module.Module.") and file.endswith("/torch/_dynamo/mutation_guard.py"):
        return True
    may_be = label.startswith("torch.optim.") or label.endswith((".step", "torch.manual_seed"))
    return may_be and file.endswith(_WRAPPERS) and _innermost(new) is _innermost(old)


_WRAPPERS = ("/torch/_compile.py", "/torch/_dynamo/eval_frame.py", "/torch/optim/optimizer.py")


def _innermost(function: Any) -> Any:
    """The function that a wrapper, or a wrapper of a wrapper, calls."""
    for _ in range(8):
        inner = getattr(function, "__wrapped__", None)
        if inner is None:
            break
        function = inner
    return function


@dataclass
class Namespaces:
    """All that are followed in this process, as they were at the last `renew`.

    Besides the names: the code of functions, the defaults of the harness's own functions, and the contents of its
    containers and registries.
    """

    _spaces: list[Namespace] = field(default_factory=list)
    _now: list[Any] = field(default_factory=list)
    _before: list[Any] = field(default_factory=list)
    _modules: dict[str, ModuleType] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _known: dict[int, Any] = field(default_factory=dict)
    _functions: dict[str, list[FunctionType]] = field(default_factory=lambda: {part: [] for part in _OF_FUNCTIONS})
    _parts: dict[str, list[Any]] = field(default_factory=lambda: {part: [] for part in _OF_FUNCTIONS})
    _containers: list[tuple[str, Any]] = field(default_factory=list)
    _held: list[tuple[str, Any, Any]] = field(default_factory=list)

    def renew(self) -> list[str]:
        """Accept the current state, newly imported modules included, and return names of what was replaced since."""
        changed = self._changed()
        found = [f"{space.label}.{name}" for space in changed for name in space.changed()]
        for function, part, _ in self._rewritten():
            found.append(_title(function))
            self._note_parts(part)
        found += [label for label, held, before in self._held if not _holds(held, before)]
        for space in changed:
            space.before = dict(vars(space.owner))
            self._follow_contents(space)
        known = len(self._spaces)
        for module in self._new_modules():
            self._follow(module)
        if changed or len(self._spaces) > known:
            self._before = [value for space in self._spaces for value in space.before.values()]
        self._held = [held for label, value in self._containers for held in _contents_of(label, value)]
        return found

    def put_back(self) -> list[str]:
        """Restore everything, and return names of what was replaced."""
        found = _put_builtins_back()
        for name, module in self._modules.items():
            if sys.modules.get(name) is not module and not name.startswith(_PLUGINS):
                sys.modules[name] = module
                found.append(f"the module {name}")
        for space in self._changed():
            for name in list(space.changed()):
                found.append(f"{space.label}.{name}")
                space.put_back(name)
        for function, part, before in self._rewritten():
            found.append(_title(function))
            setattr(function, part, before)
        for label, held, before in self._held:
            if not _holds(held, before):
                found.append(label)
                _refill(held, before)
        return found

    def _changed(self) -> list[Namespace]:
        """Where a name refers to another object."""
        if sum(map(len, self._now)) == len(self._before) and all(
            map(operator.is_, chain.from_iterable(self._now), self._before)
        ):
            return []
        return [space for space in self._spaces if not space.is_as_before]

    def _new_modules(self) -> Iterator[ModuleType]:
        for name in sorted(sys.modules.keys() - self._seen):
            self._seen.add(name)
            module = sys.modules[name]
            if _is_followed(name) and isinstance(module, ModuleType):
                self._modules[name] = module
                yield module

    def _follow(self, owner: Any) -> None:
        """A module or class, and the classes that are defined in it."""
        if id(owner) not in self._known:
            self._known[id(owner)] = owner
            space = Namespace.of(owner)
            self._spaces.append(space)
            self._now.append(vars(owner).values())
            self._follow_contents(space)

    def _follow_contents(self, space: Namespace) -> None:
        for name, value in space.before.items():
            for function in _functions_of(value):
                if id(function) not in self._known:
                    self._known[id(function)] = function
                    for part in _OF_FUNCTIONS if space.is_own else _OF_FUNCTIONS[:1]:
                        self._functions[part].append(function)
                        self._parts[part].append(getattr(function, part))
            if issubclass(type(value), type):
                if not value.__flags__ & IMMUTABLE and _is_followed(str(value.__module__)):
                    self._follow(value)
            elif space.is_own and not _is_special(name) and id(value) not in self._known and _can_be_filled(value):
                self._known[id(value)] = value
                self._containers.append((f"{space.label}.{name}", value))

    def _rewritten(self) -> list[tuple[FunctionType, str, Any]]:
        """Functions with other code or defaults, which of both, and the earlier value."""
        found = []
        for part, functions in self._functions.items():
            before = self._parts[part]
            if not all(map(operator.is_, map(operator.attrgetter(part), functions), before)):
                pairs = zip(functions, before, strict=True)
                found += [(function, part, old) for function, old in pairs if getattr(function, part) is not old]
        return found

    def _note_parts(self, part: str) -> None:
        self._parts[part] = [getattr(function, part) for function in self._functions[part]]


def _put_builtins_back() -> list[str]:
    """In plain syntax: no function can be trusted before."""
    now = builtins.__dict__
    found = ["builtins." + name for name in _BUILTINS if name not in now or now[name] is not _BUILTINS[name]]
    found = [name for name in found if name != "builtins._"]  # the last value of an interactive session
    if found:
        now.update(_BUILTINS)
    return found


def _is_followed(name: str) -> bool:
    return name in FOLLOWED or name.startswith(BELOW)


def _functions_of(value: Any) -> Iterator[FunctionType]:
    """The plain functions behind a value, wrapped ones too."""
    kind = type(value)
    if kind is FunctionType:
        while type(value) is FunctionType:
            yield value
            value = value.__dict__.get("__wrapped__")
    elif kind in (staticmethod, classmethod):
        yield from _functions_of(value.__func__)
    elif kind is property:
        for function in (value.fget, value.fset):
            yield from _functions_of(function)


def _title(function: FunctionType) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _can_be_filled(value: Any) -> bool:
    return type(value) in (dict, list, set) or type(value).__name__ == "Registry"


def _contents_of(label: str, value: Any) -> Iterator[tuple[str, Any, Any]]:
    """Containers that can be written to, with their contents; of a registry, its entries and their classes."""
    if type(value) is dict:
        yield label, value, value.copy()
        for key, inner in value.items():
            yield from _contents_of(f"{label}[{key!r}]", inner)
    elif type(value) in (list, set):
        yield label, value, value.copy()
    elif _can_be_filled(value):
        entries = vars(value)["_entries"]
        yield f"the list of each {vars(value)['kind']}", entries, entries.copy()
        for entry in entries.values():
            yield f"the {entry.kind} {entry.name!r}", vars(entry), {"cls": entry.cls}


def _holds(held: Any, before: Any) -> bool:
    """Whether a container has its earlier contents; a table may have more."""
    if type(held) is dict:
        return all(held.get(key, _ABSENT) is value for key, value in before.items())
    if type(held) is set:
        return bool(held == before)
    return len(held) == len(before) and all(map(operator.is_, held, before))


def _refill(held: Any, before: Any) -> None:
    if type(held) is dict:
        held.update(before)
        return
    held.clear()
    held.update(before) if type(held) is set else held.extend(before)
