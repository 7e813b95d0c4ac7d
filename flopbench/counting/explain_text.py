"""The text of ``explain``: one model under several counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from msgspec.structs import replace

from flopbench.core.grid import Grid, columns, to_terminal, write_prose
from flopbench.core.units import CONVENTION, macs_text, millions, percent, plural
from flopbench.counting.cost_row import summarise_gaps
from flopbench.counting.module_sums import MODEL, deepest_cut, module_sums
from flopbench.counting.profile import DENSE_FAMILIES, OTHER_FAMILIES, CostProfile
from flopbench.counting.registry import WITNESS
from flopbench.counting.run import Explanation

MOST_LINES = 30
"""Modules that Python shows of a profile, where one level of the tree has no more."""


def explanation_text(
    explanation: Explanation, depth: int, stream: TextIO, *, wide: bool = False
) -> None:
    """Draw an explanation on a stream, ``depth`` levels of the module tree deep.

    All columns are drawn if it may be ``wide``, else those that fit a terminal.
    """
    profile = explanation.reference
    head = f", head of {profile.classes} classes" if profile.classes is not None else ""
    ran = profile.counter != WITNESS
    written = f"{profile.activations:,} elements written by dense operators" if ran else "-"
    stream.write(
        f"{profile.model} at {profile.input}{head}\n"
        f"  dense MACs   {profile.dense_macs:,} ({macs_text(profile.dense_macs)}, counted by "
        f"{profile.counter} on {profile.device})\n"
        f"  parameters   {profile.params:,} ({millions(profile.params)} M)\n"
        f"  activations  {written}\n"
        f"  feature dim  {'-' if profile.feature_dim is None else profile.feature_dim}\n"
    )
    grids = [module_grid(profile, depth)] if ran else []
    grids += [operator_grid(profile), counter_grid(explanation)]
    for grid in grids:
        stream.write("\n")
        to_terminal(grid, stream, wide=wide)
    _write_list(stream, "Verdicts", verdict_lines(explanation))
    _write_list(stream, "Not counted", gap_lines(explanation.profiles))
    _write_list(stream, "Notes", note_lines(explanation.profiles))
    _write_list(stream, "Published", explanation.published)
    versions = [f"{k} {v}" for p in explanation.profiles for k, v in p.versions.items()]
    write_prose(["", CONVENTION, f"Made with {', '.join(dict.fromkeys(versions))}."], stream)


def profile_grids(profile: CostProfile) -> list[Grid]:
    """Lay out a profile as Python shows it: its modules, as deep as ``MOST_LINES`` allow."""
    grid, depth = module_grid(profile, 0, shapes=True), 1
    while depth <= deepest_cut(profile):
        deeper = module_grid(profile, depth, shapes=True)
        if depth > 1 and len(deeper.rows) > MOST_LINES:
            break
        grid, depth = deeper, depth + 1
    named = profile.input in profile.spec
    what = profile.spec if named else f"{profile.model} at {profile.input}"
    title = f"{what}: {profile.dense_macs:,} dense MACs, {profile.params:,} parameters"
    gaps = [f"Not counted: {line}." for line in gap_lines([profile]) if profile.not_counted]
    version = f"{profile.counter} {profile.counter_version}".strip()
    caption = (
        f"Counted by {version}, children included.",
        *gaps,
        *(f"Note: {n}." for n in profile.notes),
    )
    return [replace(grid, title=title, caption=caption)]


def module_grid(profile: CostProfile, depth: int, *, shapes: bool = False) -> Grid:
    """Lay out the module tree with inclusive dense MACs, shares, parameters, shapes of weights."""
    rows = []
    weights = {m.path: "×".join(map(str, m.shape.get("weight", "-"))) for m in profile.modules}
    for module in module_sums(profile):
        costless = not module.dense_macs and not module.params
        if module.level > depth or (costless and module.level):
            continue
        name = module.path.rpartition(".")[2] or MODEL
        rows.append(
            (
                "  " * module.level + name,
                module.type,
                *([weights[module.path]] if shapes else []),
                f"{module.dense_macs:,}",
                percent(module.dense_macs, profile.dense_macs),
                f"{module.params:,}",
            )
        )
    return Grid(
        title=f"Where the MACs are (dense, by module, children included, depth {depth})",
        columns=columns(
            ("module", "type", *(["weight"] if shapes else []), "MACs", "share", "params"),
            ("module", "type", "weight"),
            spare=("share", "type", "weight"),
        ),
        rows=tuple(rows),
    )


def operator_grid(profile: CostProfile) -> Grid:
    """Lay out the operators of one profile, the most expensive first."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for op in profile.operators:
        entry = sums[op.family, op.op]
        entry[0] += op.calls
        entry[1] += op.dense_macs
        entry[2] += op.activations
    ordered = sorted(sums.items(), key=lambda item: -item[1][1])
    return Grid(
        title=f"By operator ({profile.counter})",
        columns=columns(
            ("operator", "family", "calls", "MACs", "share", "activations"),
            ("operator", "family"),
        ),
        rows=tuple(
            (op, family, str(calls), f"{dense:,}", percent(dense, profile.dense_macs), f"{acts:,}")
            for (family, op), (calls, dense, acts) in ordered
        ),
    )


def counter_grid(explanation: Explanation) -> Grid:
    """Lay the counters' totals side by side, family by family; each column adds up exactly."""
    profiles = explanation.profiles
    sums = {p.counter: p.by_family() for p in profiles}
    families = [f for f in (*DENSE_FAMILIES, *OTHER_FAMILIES) if any(f in s for s in sums.values())]
    amounts = {
        family: [s[family].total if family in s else 0 for s in sums.values()]
        for family in families
    }
    amounts["total"] = [p.total for p in profiles]
    amounts["of which dense"] = [p.dense_macs for p in profiles]
    rows = []
    for title, values in amounts.items():
        spread = max(values) - min(values)
        rows.append((title, *(f"{v:,}" for v in values), f"{spread:,}" if spread else "same"))
    return Grid(
        title="Counter against counter (each total split by operator family, exact)",
        columns=columns(("family", *(p.counter for p in profiles), "spread"), ("family",)),
        rows=tuple(rows),
        caption=tuple(f"{p.counter}: {p.convention} ({p.counter_version})" for p in profiles),
    )


def verdict_lines(explanation: Explanation) -> list[str]:
    """Return one line per counter: whether it agrees, or why it could not count."""
    lines = [f"{name}: {verdict.text}" for name, verdict in explanation.verdicts.items()]
    return lines + [f"{name}: failed - {why}" for name, why in explanation.failures.items()]


def gap_lines(profiles: Sequence[CostProfile]) -> list[str]:
    """Return what each counter left out; what may multiply, and layers never called, come first."""
    lines = []
    for profile in profiles:
        gaps = summarise_gaps(profile.not_counted)
        named = [g for g in gaps if g["may_multiply"] or g["kind"] == "uncalled"]
        free = [str(g["name"]) for g in gaps if g not in named]
        if named:
            each = (f"{g['name']} ({g['kind']}, {_times(g)})" for g in named)
            lines.append(f"{profile.counter}: {', '.join(each)}")
        if free:
            lines.append(
                f"{profile.counter}: {', '.join(free)} - these do no dense multiply-accumulates"
            )
    return lines or ["nothing: every counter priced every operator it met"]


def _times(gap: Mapping[str, Any]) -> str:
    where = f"{gap['modules']} {plural(gap['modules'], 'module')}"
    calls = gap["calls"]
    return f"{calls} {plural(calls, 'call')} in {where}" if calls else where


def note_lines(profiles: Sequence[CostProfile]) -> list[str]:
    """Return the notes on each counter's figures."""
    return [f"{p.counter}: {note}" for p in profiles for note in p.notes]


def _write_list(stream: TextIO, title: str, lines: Sequence[str]) -> None:
    if lines:
        write_prose(["", title, *(f"  {line}" for line in lines)], stream)
