"""Multiply-accumulates of products of several tensors, from their shapes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def chain_macs(shapes: Sequence[Sequence[int]]) -> int:
    """Count a chain of matrix products in its cheapest order, as ``multi_dot`` does.

    Args:
        shapes: shapes of the matrices; the first may be a row vector, the last a column vector.
    """
    if len(shapes) < 2:
        return 0
    sizes = [1, *shapes[0]] if len(shapes[0]) == 1 else list(shapes[0])
    sizes += [shape[1] if len(shape) > 1 else 1 for shape in shapes[1:]]
    count = len(shapes)
    best: dict[tuple[int, int], int] = {(i, i): 0 for i in range(count)}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            best[i, j] = min(
                best[i, k] + best[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                for k in range(i, j)
            )
    return best[0, count - 1]


def einsum_macs(
    equation: str,
    shapes: Sequence[Sequence[int]],
    path: Sequence[int] = (),
    *,
    as_executed: bool = False,
) -> int:
    """Count the multiply-accumulates of an ``einsum``, contracted pair by pair.

    An outer product, in which each operand has an index of its own, is a contraction over one
    element; elementwise products count nothing.

    Args:
        equation: as ``torch.einsum`` takes it (``"bij,bjk->bik"``, ``"...i,i"``).
        shapes: shapes of the operands.
        path: flat positions of the operands to contract, each result going to the end of the
            list; without one they are contracted from left to right.
        as_executed: leave out what torch makes an elementwise product: outer products, and sums
            over an index of size 1.
    """
    sources, result = _terms(equation, shapes)
    sizes: dict[str, int] = {}
    operands: list[set[str]] = []
    for labels, shape in zip(sources, shapes, strict=True):
        sizes |= {a: n for a, n in zip(labels, shape, strict=True) if n >= sizes.get(a, 1)}
        operands.append(set(labels))
    for operand, labels, shape in zip(operands, sources, shapes, strict=True):
        # A dimension of size 1 that meets a longer one is broadcast: it multiplies nothing.
        least = 0 if as_executed else 1
        operand -= {a for a, n in zip(labels, shape, strict=True) if n == 1 and sizes[a] > least}
    macs = 0
    for step in range(len(operands) - 1):
        at = sorted(path[2 * step : 2 * step + 2]) if path else [0, 1]
        right, left = operands.pop(at[1]), operands.pop(at[0])
        later = set(result).union(*operands)
        # What only one of the two has, and nothing needs later, is summed before they meet.
        left, right = left & (right | later), right & (left | later)
        outer = left - right and right - left and not as_executed
        if left & right - later or outer:
            macs += math.prod(sizes[a] for a in left | right)
        operands.insert(len(operands) if path else 0, (left | right) & later)
    return macs


def _terms(equation: str, shapes: Sequence[Sequence[int]]) -> tuple[list[list[str]], list[str]]:
    """Split an equation into the labels of each operand and of the result."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    widths = []
    sources = []
    for term, shape in zip(left.split(","), shapes, strict=True):
        width = len(shape) - len(term.replace("...", "")) if "..." in term else 0
        widths.append(width)
        sources.append(_labels(term, width))
    if arrow:
        return sources, _labels(right, max(widths))
    every = [a for labels in sources for a in labels]
    return sources, [a for a in dict.fromkeys(every) if len(a) > 1 or every.count(a) == 1]


def _labels(term: str, width: int) -> list[str]:
    """Name each dimension of a term; those under an ellipsis are counted from the right."""
    before, dots, after = term.partition("...")
    ellipsis: Iterable[str] = (f"...{i}" for i in range(width, 0, -1)) if dots else ()
    return [*before, *ellipsis, *after]
