"""The state in which counters run: silent, no gradients, attention as plain operators."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from types import GeneratorType
from typing import Any

import torch

from flopbench.core.errors import InputError

Name = tuple[Any, str]
"""A namespace and a function in it."""

Names = Iterable[Name]

ADDRESSES = tuple(
    (owner, "data_ptr")
    for owner in (torch.Tensor, torch.UntypedStorage, torch.storage.TypedStorage)
)
"""What gives the address of data, at which foreign code may read."""

SEED = 0
"""Seed of random weights, inputs and draws, so that value-dependent costs are reproducible."""


@contextlib.contextmanager
def counting_state() -> Iterator[Callable[[], bool]]:
    """Silence libraries, disable gradients and the fused multi-head attention fast path.

    The fast path hides whole encoder layers behind one operator that no counter prices, so the
    plain path, which does the same arithmetic, is counted instead. A single thread computes: on
    a busy machine idle threads spin for longer than the arithmetic takes. Random numbers come
    from a fixed seed, and tensors are made on the CPU, whatever the caller's default is.
    Compiled modules run as they were written, and a module that returns a generator is refused.
    Everything is restored on exit, also after an exception.

    Yields what tells whether random numbers were drawn so far.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    threads = torch.get_num_threads()
    torch.backends.mha.set_fastpath_enabled(False)
    torch.set_num_threads(1)
    try:
        with (
            silence(),
            uncompiled(),
            torch.no_grad(),
            seeded() as drew,
            made_on_cpu(),
            _no_generators(),
        ):
            yield drew
    finally:
        torch.set_num_threads(threads)
        torch.backends.mha.set_fastpath_enabled(fast_path)


@contextlib.contextmanager
def _no_generators() -> Iterator[None]:
    """Refuse a module whose forward is a generator: until it is consumed, nothing runs."""

    def check(module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, GeneratorType):
            raise InputError(
                f"the forward pass of {type(module).__name__} is a generator, so nothing ran",
                "count a module that consumes it: forward(self, x): return list(self.model(x))",
            )

    hook = torch.nn.modules.module.register_module_forward_hook(check)
    try:
        yield
    finally:
        hook.remove()


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Run what ``torch.compile`` wrapped, or wraps meanwhile, as it was written.

    Compiled code bypasses hooks and modes, and cannot be traced. torch's control flow (``cond``,
    ``scan``) compiles its bodies when it runs.
    """
    original = torch.compile
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, torch, "compile", original)
        torch.compile = _as_written
        stack.enter_context(_nothing_disabled())
        if "torch._dynamo" in sys.modules:  # else nothing was compiled; importing takes a second
            from torch._dynamo import config, eval_frame

            if hasattr(torch.compiler, "set_stance"):
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            else:
                stack.enter_context(config.patch(disable=True))
            # A trace refuses what was compiled, unless it is told to run the original.
            if hasattr(config, "error_on_nested_jit_trace"):
                stack.enter_context(config.patch(error_on_nested_jit_trace=False))
            if hasattr(eval_frame, "_use_eager_on_nested_compile"):
                stack.enter_context(eval_frame._use_eager_on_nested_compile())
        yield


@contextlib.contextmanager
def _nothing_disabled() -> Iterator[None]:
    """Call what dynamo must leave alone as it is: torch would import dynamo to have that told.

    ``torch._compile`` asks each function, by ``getattr``, for its disabled form.
    """
    asks: Any = sys.modules.get("torch._compile")
    if asks is None or "getattr" in vars(asks):
        yield
        return
    asks.getattr = _undisabled
    try:
        yield
    finally:
        del asks.getattr


def _undisabled(function: Any, name: str, *default: Any) -> Any:
    return function if name == "__dynamo_disable" else getattr(function, name, *default)


def _as_written(model: Any = None, **_options: Any) -> Any:
    """Replace ``torch.compile``, also as a decorator with options."""
    return (lambda function: function) if model is None else model


@contextlib.contextmanager
def seeded() -> Iterator[Callable[[], bool]]:
    """Draw from a fixed seed (torch on the CPU, Python, NumPy), then restore the generators.

    Yields what tells whether anything was drawn so far.
    """
    ours = random.getstate()
    arrays: Any = sys.modules.get("numpy")
    arrays_state = arrays.random.get_state() if arrays is not None else None
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed the caller's generators on other devices.
        torch.random.default_generator.manual_seed(SEED)
        random.seed(SEED)
        if arrays is not None:
            arrays.random.seed(SEED)

        def states() -> tuple[Any, ...]:
            numpy = None if arrays is None else arrays.random.get_state()[1:3]
            array = None if numpy is None else (numpy[0].tobytes(), numpy[1])
            torchs = torch.random.default_generator.get_state().tolist()
            return random.getstate(), array, torchs

        before = states()
        try:
            yield lambda: states() != before
        finally:
            random.setstate(ours)
            if arrays is not None:
                arrays.random.set_state(arrays_state)


def made_on_cpu() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which tensors are made on the CPU by default."""
    # A tensor tells: torch 2.4's get_default_device ignores ``with torch.device(...)``.
    if torch.empty(0).device.type == "cpu":
        return contextlib.nullcontext()  # a device context slows every call down
    return torch.device("cpu")


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discard what libraries print, log and warn about while they build or count a model."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def replaced(names: Names, wrap: Callable[[Name, Callable[..., Any]], Any]) -> Iterator[None]:
    """Replace each named function by ``wrap((owner, name), function)``, and restore it."""
    names = [(owner, name) for owner, name in names if hasattr(owner, name)]
    before = {(owner, name): vars(owner).get(name) for owner, name in names}
    try:
        for owner, name in names:
            setattr(owner, name, wrap((owner, name), getattr(owner, name)))
        yield
    finally:
        for (owner, name), own in before.items():
            if own is None:
                delattr(owner, name)  # what was inherited is visible again
            else:
                setattr(owner, name, own)


def called_from(*packages: str) -> bool:
    """Whether the caller of the calling function is code of one of these packages."""
    return sys._getframe(2).f_globals.get("__name__", "").partition(".")[0] in packages


class _NoAddress:
    """Stands for the address of data on the meta device: comparable, but no number to read at."""

    def __init__(self, data: Any) -> None:
        tensor = isinstance(data, torch.Tensor)
        storage = data.untyped_storage() if tensor else data.untyped()
        self._bytes = data.storage_offset() * data.element_size() if tensor else 0
        self._place = (storage._cdata, self._bytes)

    def __mod__(self, alignment: int) -> int:
        return int(self._bytes % alignment)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _NoAddress) and other._place == self._place

    def __hash__(self) -> int:
        return hash(self._place)


def no_addresses() -> contextlib.AbstractContextManager[None]:
    """Give data on the meta device no address: torch gives 0, and what reads there crashes."""

    def guarded(_key: Name, given: Callable[[Any], int]) -> Callable[[Any], Any]:
        def address(data: Any) -> Any:
            real = data.device.type != "meta" or called_from("torch")
            return given(data) if real else _NoAddress(data)

        return address

    return replaced(ADDRESSES, guarded)
