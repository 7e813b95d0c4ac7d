"""Watching torch's functions, and restoring those that a library replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

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
