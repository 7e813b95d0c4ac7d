"""What stands in for modules that take seconds to import, where only an answer of theirs is asked.

torchvision asks dynamo, torch's shape rules ask the module of symbolic shapes, which brings sympy,
and its FlopCounterMode asks triton for a class. Whoever asks more gets the real module, and no
stand-in is a module any more after its block.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_DYNAMO = "torch._dynamo"
_ASKS_DYNAMO = "torchvision.ops.roi_align"
_SYMBOLIC = "torch.fx.experimental.symbolic_shapes"
_TRITON = ("triton", "triton.runtime", "triton.runtime.jit")


def _itself(value: int) -> int:
    return value


def _equal(left: Any, right: Any) -> bool:
    sequences = isinstance(left, (tuple, list)) and isinstance(right, (tuple, list))
    return bool(list(left) == list(right) if sequences else left == right)


_OF_NUMBERS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("expect_true", "guard_or_false", "guard_or_true"), _itself),
    **dict.fromkeys(("guard_size_oblivious", "statically_known_true"), _itself),
    **dict.fromkeys(("guard_int", "guarding_hint_or_throw"), _itself),
    "has_guarding_hint": lambda _size: True,
    "is_nested_int": lambda _size: False,
    "sym_and": lambda *conditions: all(conditions),
    "sym_or": lambda *conditions: any(conditions),
    "sym_eq": _equal,
}
"""Answers on symbolic shapes, of sizes that are numbers."""


@contextmanager
def plain_numbers() -> Iterator[None]:
    """Answer questions on symbolic shapes without sympy: here sizes are numbers."""
    if _SYMBOLIC in sys.modules:
        yield
        return
    stand_in = _Plain(_SYMBOLIC)
    vars(stand_in).update((name, _answering(name)) for name in _OF_NUMBERS)
    with _in_place({_SYMBOLIC: stand_in}):
        yield


class _Plain(ModuleType):
    """Answers what needs no symbols."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_symbolic(), name)


def _answering(name: str) -> Callable[..., Any]:
    plain = _OF_NUMBERS[name]

    def answer(*values: Any) -> Any:
        for value in values:
            if type(value) is not bool and not _is_plain(value):
                return getattr(_symbolic(), name)(*values)
        return plain(*values)

    return answer


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return type(value) in {bool, int}


def _symbolic() -> ModuleType:
    if isinstance(sys.modules.get(_SYMBOLIC), _Plain):
        del sys.modules[_SYMBOLIC]
    return import_module(_SYMBOLIC)


@contextmanager
def _in_place(stand_ins: dict[str, ModuleType]) -> Iterator[None]:
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _KindOfKernel(type):
    def __instancecheck__(cls, value: object) -> bool:
        real = vars(sys.modules.get(_TRITON[-1], object)).get("JITFunction")
        return real not in (None, cls) and isinstance(value, real)


class _JITFunction(metaclass=_KindOfKernel):
    """Has the instances of triton's class of this name: none before triton is imported."""


def import_flop_counter() -> None:
    """Import FlopCounterMode's module without triton, whose kernels it tells from operators."""
    if "triton" in sys.modules or find_spec("triton") is None:
        return
    stand_ins = {name: ModuleType(name) for name in _TRITON}
    vars(stand_ins[_TRITON[-1]])["JITFunction"] = _JITFunction
    with _in_place(stand_ins):
        import_module("torch.utils.flop_counter")


@contextmanager
def late_dynamo() -> Iterator[None]:
    """Let torchvision be imported without dynamo, by whatever is imported inside."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Finds the file of torchvision that asks dynamo for a function, which it may never call."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _ASKS_DYNAMO or _DYNAMO in sys.modules:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            vars(spec.loader)["exec_module"] = partial(_run, spec.loader.exec_module)
        return spec


def _run(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    """Execute a module where dynamo has that one function; where it asks for more, with dynamo."""
    stand_ins = {name: ModuleType(name) for name in (_DYNAMO, f"{_DYNAMO}.utils")}
    vars(stand_ins[f"{_DYNAMO}.utils"])["is_compile_supported"] = _is_compile_supported
    try:
        with _in_place(stand_ins):
            execute(module)
    except (ImportError, AttributeError):
        execute(module)


def _is_compile_supported(device: str) -> bool:
    """Ask dynamo whether ``torch.compile`` works on a kind of device."""
    from torch._dynamo.utils import is_compile_supported

    return bool(is_compile_supported(device))
