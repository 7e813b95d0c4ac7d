"""Helpers that the adapters share: watching and restoring torch's functions, and gaps."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from flopbench.core.errors import MeasureError
from flopbench.counting.measure.counters.base import Subject
from flopbench.counting.profile import Gap

OWNERS = (functional, torch, torch.Tensor)
"""The namespaces whose functions libraries replace."""

_CONVOLUTIONS = tuple(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))
_PRODUCTS = ("matmul", "mm", "bmm", "mv", "dot", "vdot", "inner")
_SUMS_OF_PRODUCTS = ("addmm", "addmv", "addbmm", "baddbmm")

# Tensor.__rmatmul__ and Tensor.chain_matmul end in one of these, so they are not listed.
MULTIPLYING: frozenset[tuple[Any, str]] = frozenset(
    (owner, name)
    for owner, names in (
        (functional, ("linear", "bilinear", "scaled_dot_product_attention", *_CONVOLUTIONS)),
        (torch, ("einsum", "tensordot", "chain_matmul", "bilinear", *_CONVOLUTIONS)),
        (torch, (*_PRODUCTS, *_SUMS_OF_PRODUCTS)),
        (torch.Tensor, ("__matmul__", *_PRODUCTS, *_SUMS_OF_PRODUCTS)),
        (torch.Tensor, tuple(f"{name}_" for name in _SUMS_OF_PRODUCTS if name != "addmv")),
        (torch.linalg, ("matmul", "multi_dot", "vecdot")),
    )
    for name in names
)
"""The Python names of torch's multiply-accumulates."""

Names = Iterable[tuple[Any, str]]
Around = Callable[[tuple[Any, str], Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


@contextmanager
def namespaces_restored(*owners: Any) -> Iterator[Callable[[], set[tuple[Any, str]]]]:
    """Restore every replaced function on exit, also after an exception.

    Yields a function that names what has been replaced so far. What a library adds to a class is
    removed again (``Tensor.matmul`` set on ``Tensor`` hides the inherited one); what is added to
    a module stays, since submodules appear there whenever one is imported.
    """
    before = [(owner, dict(vars(owner))) for owner in owners]

    def replaced() -> set[tuple[Any, str]]:
        return {
            (owner, name)
            for owner, names in before
            for name, value in vars(owner).items()
            if callable(value)
            and (names[name] is not value if name in names else isinstance(owner, type))
        }

    try:
        yield replaced
    finally:
        old = dict(before)
        for owner, name in replaced():
            if name in old[owner]:
                setattr(owner, name, old[owner][name])
            else:
                delattr(owner, name)


@contextmanager
def calls_watched(names: Names, around: Around) -> Iterator[None]:
    """Call ``around((owner, name), function, args, kwargs)`` instead of each named function."""

    def watched(key: tuple[Any, str], function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: around(key, function, args, kwargs)

    names = [(owner, name) for owner, name in names if hasattr(owner, name)]
    with namespaces_restored(*{owner for owner, _ in names}):
        for owner, name in names:
            setattr(owner, name, watched((owner, name), getattr(owner, name)))
        yield


@contextmanager
def failures_told_apart(library: str, subject: Subject) -> Iterator[None]:
    """Raise what the model itself raises; otherwise report that the library failed.

    Raises:
        MeasureError: the library raised on a model that runs without it.
    """
    try:
        yield
    except MeasureError:
        raise
    except Exception as error:
        subject.run()  # raises the model's own exception, if there is one
        raise MeasureError(
            f"{library} fails on a model that runs without it: {type(error).__name__}: {error}",
            f"leave the counter {library} out for this model",
        ) from error


def operator_gaps(missed: collections.Counter[tuple[str, str]]) -> tuple[Gap, ...]:
    """Turn unpriced function calls, by (name, module), into gaps."""
    return tuple(
        Gap(kind="unseen", name=name, module=module, calls=calls, may_multiply=True)
        for (name, module), calls in missed.items()
    )


def module_gap(path: str, module: nn.Module, *, calls: int) -> Gap:
    """Return the gap of an unpriced leaf. A product needs a parameter of two or more dimensions."""
    return Gap(
        kind="module" if calls else "uncalled",
        name=type(module).__name__,
        module=path,
        calls=calls,
        may_multiply=any(p.dim() >= 2 for p in module.parameters(recurse=False)),
    )


def storages(values: Iterable[Any]) -> set[int]:
    """Identify the storages of the tensors among ``values``; views share that of their base."""
    found: set[int] = set()
    for value in values:
        if isinstance(value, (list, tuple)):
            found |= storages(value)
        elif isinstance(value, torch.Tensor):
            found.add(value.untyped_storage()._cdata)  # an identity on the meta device too
    return found
