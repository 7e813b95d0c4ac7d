"""What an acceptance moved, for people.

Lives here: that text. Does not live here: moving (``check.accepting``), amounts as text
(``check_amounts``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import cast

from flopbench.check.accepting import Move
from flopbench.check.records import Metric
from flopbench.present.check_amounts import amount, arrow, growth


def describe_moves(moves: Sequence[Move], path: str) -> list[str]:
    """Return lines that say what became of each entry, and what to do with the file.

    Args:
        moves: what was accepted.
        path: the baseline.
    """
    if not moves:
        return ["nothing to accept"]
    lines = []
    for move in moves:
        moved = move.acceptance
        if moved is None:
            lines.append(f"{move.name}: as accepted before, nothing to move")
        elif not moved.new:
            lines.append(f"{move.name}: taken out")
        else:
            lines.append(f"{move.name}: {'accepted' if moved.old else 'new'}")
            lines += [f"  {line}" for line in _amounts(moved.old, moved.new)]
    if any(move.acceptance for move in moves):
        lines.append(f"{path} is written: commit it with the change that it belongs to")
    return lines


def _amounts(old: Mapping[str, Fraction], new: Mapping[str, Fraction]) -> list[str]:
    lines = []
    for name, now in new.items():
        metric = cast("Metric", name)
        before = old.get(name)
        if before is None:
            lines.append(f"{name}: {amount(metric, now)}")
        elif before == now:
            lines.append(f"{name}: {amount(metric, now)}, as before")
        else:
            lines.append(f"{name}: {arrow(metric, before, now)} ({growth(metric, before, now)})")
    return lines
