"""Why a cost changed, as lines: causes and modules of a model, the split of a policy log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction

from flopbench.check.records import Metric
from flopbench.check.report import EntryResult, ModuleChange, Part, Split
from flopbench.check.text.amounts import ARROW, amount, arrow, exact_amount, times
from flopbench.core.escaping import one_line

VIDEO: Metric = "macs_per_video"
MEANING: dict[Part, str] = {
    "choices": "the policy chooses differently",
    "unit costs": "its networks' costs changed",
}


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lay out cells in columns two spaces apart; those in ``right`` are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            if width
        ).rstrip()
        for row in rows
    ]


def why_lines(entry: EntryResult) -> list[str]:
    """Say where a change came from: causes and modules of a model, the split of a policy log."""
    lines = []
    if entry.causes:
        rows = [
            (c.cause, *_macs_and_params(c.added_macs, c.added_params), one_line(c.detail))
            for c in entry.causes
        ]
        lines += ["cause:", *_indented(aligned(rows, right=(1, 2)))]
    if entry.modules:
        lines.append(f"modules that {'shrank' if entry.state == 'better' else 'grew'} most:")
        activations = any(r.metric == "activations" and r.failed for r in entry.metrics)
        known = "; ".join(cause.detail for cause in entry.causes).split("; ")
        lines += _indented(_module_lines(entry.modules, activations, known))
        if entry.more_modules:
            lines.append(f"  and {entry.more_modules:,} more that changed")
    return lines + (_split_lines(entry.split) if entry.split is not None else [])


def short_why(entry: EntryResult, most: int) -> list[str]:
    """Say the same in a few lines: the largest causes, or the actions whose choice cost most."""
    rows: list[tuple[str, str, str, str]] = []
    for cause in entry.causes:
        origin = next((m.source for m in entry.modules if m.cause == cause.cause and m.source), "")
        detail = "; ".join(one_line(text) for text in (cause.detail, origin) if text)
        rows.append((cause.cause, *_macs_and_params(cause.added_macs, cause.added_params), detail))
    if entry.split is not None:
        split = entry.split
        parts = {"choices": split.choices, "unit costs": split.unit_costs}
        events = sorted(split.events, key=lambda e: -abs(e.choices + e.unit_costs))
        told = [
            f"{one_line(e.name)} {_times_change(e.old_times, e.new_times)}"
            for e in events[:most]
            if e.old_times != e.new_times
        ]
        prices = (
            f"{one_line(c.name)} {_macs_change(c.old_macs, c.new_macs)}"
            + (f" ({one_line(c.new_spec or '-')})" if c.new_spec != c.old_spec else "")
            for c in split.components[:most]
        )
        details = {"choices": f"{', '.join(told)} times a video", "unit costs": ", ".join(prices)}
        rows = [
            (name, exact_amount(VIDEO, part, signed=True), "", details[name])
            for name, part in parts.items()
            if part
        ]
    lines = aligned(rows[:most], right=(1, 2)) if rows else []
    return lines + ([f"and {len(rows) - most} more (--verbose)"] if len(rows) > most else [])


def _module_lines(
    modules: Sequence[ModuleChange], activations: bool, known: Collection[str]
) -> list[str]:
    """Return the rows of modules, with what is not among the known details of the causes."""
    rows = [
        (
            one_line(module.path) or "(the model itself)",
            one_line(module.type),
            *_macs_and_params(module.added_macs, module.added_params),
            exact_amount("activations", Fraction(module.added_activations), signed=True)
            if activations
            else "",
            f"{module.cause}, derived" if module.follows else module.cause,
        )
        for module in modules
    ]
    lines = []
    for module, line in zip(modules, aligned(rows, right=(2, 3, 4)), strict=True):
        moved = f"was {module.old_path}" if module.old_path else ""
        said = f"{module.path}: {module.detail}" in known or module.detail in ("added", "gone")
        detail = "" if said else module.detail
        more = [one_line(text) for text in (detail, moved, module.source) if text]
        lines += [line, *([f"    {'; '.join(more)}"] if more else [])]
    return lines


def _split_lines(split: Split) -> list[str]:
    """Return the split of a policy's change: exact sums, a row per action, changed prices."""
    parts = {
        "choices": split.choices,
        "unit costs": split.unit_costs,
        "total": split.choices + split.unit_costs,
    }
    sums = [(name, exact_amount(VIDEO, part, signed=True)) for name, part in parts.items()]
    titles = ("", "times per video", "MACs each time", "choices", "unit costs")
    events = [
        (
            one_line(event.name),
            _times_change(event.old_times, event.new_times),
            _macs_change(event.old_macs, event.new_macs),
            _signed_macs(event.choices),
            _signed_macs(event.unit_costs),
        )
        for event in split.events
    ]
    prices = [
        (
            one_line(component.name),
            _macs_change(component.old_macs, component.new_macs),
            one_line(_change(component.old_spec or "-", component.new_spec or "-")),
        )
        for component in split.components
    ]
    lines = [f"mostly {split.leading}: {MEANING[split.leading]}", *_indented(aligned(sums, (1,)))]
    if events:
        lines += ["by action:", *_indented(aligned([titles, *events], right=(1, 2, 3, 4)))]
    if prices:
        lines += ["prices that changed:", *_indented(aligned(prices, right=(1,)))]
    return lines


def _macs_and_params(dense_macs: int, params: int) -> tuple[str, str]:
    return (
        exact_amount("dense_macs", Fraction(dense_macs), signed=True),
        exact_amount("params", Fraction(params), signed=True),
    )


def _change(old: str, new: str) -> str:
    return old if old == new else f"{old}{ARROW}{new}"


def _times_change(old: Fraction | None, new: Fraction | None) -> str:
    before, after = times(old), times(new)
    if before == after and old != new:
        return f"{old}{ARROW}{new}"
    return _change(before, after)


def _macs_change(old: Fraction | int | None, new: Fraction | int | None) -> str:
    if old is None or new is None or old == new:
        return _change(
            *("-" if v is None else amount("dense_macs", Fraction(v)) for v in (old, new))
        )
    return arrow("dense_macs", Fraction(old), Fraction(new))


def _signed_macs(value: Fraction) -> str:
    return ("+" if value > 0 else "") + amount("dense_macs", value)


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
