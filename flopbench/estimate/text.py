"""An estimate as tables: for the terminal, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from flopbench.core.bootstrap import Interval
from flopbench.core.grid import Grid, columns
from flopbench.core.tables import Tables
from flopbench.core.units import CONVENTION, plural
from flopbench.estimate.as_json import estimate_csv, estimate_json
from flopbench.estimate.clusters import drawn_text
from flopbench.estimate.estimator import Estimate
from flopbench.estimate.prices import PriceList
from flopbench.estimate.runs import Run
from flopbench.models.spec import parse_spec

RULES = {
    "exact": "exact rule: decisions as they were taken",
    "published": "published rule: every row of a decision over k steps weighs 1/k",
}
NO_PUBLISHED = (
    "Published rule: not defined here, since the decisions have spans of their own and the rule "
    "takes them from the actions."
)
SPARE = (
    *("own", "kind", "/decision", "/processed frame", "decisions/video", "processed/video"),
    *("MACs a run", "runs/video", "what", "GFLOPS/frame"),
)
"""Columns that go where space is short, the first one first."""
DENOMINATORS = (
    "Per frame: all cost over all sampled frames; per processed frame: over those that a network "
    "ran on (neither skipped nor reused); per decision: over the policy's decisions."
)


def estimate_tables(run: Run) -> Tables:
    """Return an estimate, ready to be shown."""
    return Tables(
        grids=estimate_grids(run),
        csv=lambda: estimate_csv(run),
        json=lambda: estimate_json(run),
        warnings=run.warnings,
    )


def estimate_grids(run: Run) -> dict[str, Grid]:
    """Lay out an estimate: the figures (``estimate``), by component, by action, by counter, …

    Each has a word that names it.
    """
    grids = {
        "estimate": _figures_grid(run),
        "component": _components_grid(run),
        "action": _actions_grid(run),
        "counters": _counters_grid(run),
        run.grouped_by: _groups_grid(run),
    }
    return {word: grid for word, grid in grids.items() if grid.rows}


def _grid(
    title: str, rows: Sequence[Mapping[str, str]], text: Sequence[str], **more: tuple[str, ...]
) -> Grid:
    """Return a table of rows that name each cell; the columns in ``text`` are no numbers."""
    titles = list(rows[0]) if rows else []
    return Grid(
        title=title,
        columns=columns(titles, text, spare=SPARE),
        rows=tuple(tuple(row.values()) for row in rows),
        **more,
    )


def _figures_grid(run: Run) -> Grid:
    primary, published = run.primary, run.published
    shown = [(primary, run.interval)]
    if published is not None and published.gflops_per_video != primary.gflops_per_video:
        shown.append((published, None))
    rows = [
        {
            "rule": one.rule,
            **_mean(one, ci95),
            "/processed frame": _figure(one.gflops_per_processed_frame),
            "/decision": _figure(one.gflops_per_decision),
            **_per_video(one),
        }
        for one, ci95 in shown
    ]
    header, prices = run.header, run.prices
    what = " ".join(part for part in (header.dataset, header.split) if part)
    videos = "a published distribution"
    if primary.videos is not None:
        views = "" if primary.records == primary.videos else f", {primary.records:,} views"
        videos = f"{primary.videos:,} {plural(primary.videos, 'video')}{views}"
        videos += f", {primary.frames_per_video:.4g} frames each"
    version = f" {prices.version}" if prices.version else ""
    caption = [
        CONVENTION,
        DENOMINATORS,
        f"Prices: {prices.counter}{version}, {run.table}. Rule: {RULES[primary.rule]}.",
    ]
    if run.interval is not None:
        caption.append(_interval_text(run.interval, drawn_text(run.clusters)))
    if published is None:
        caption.append(NO_PUBLISHED)
    title = f"{run.method}{' on ' + what if what else ''}: {videos}"
    return _grid(title, rows, ["rule"], caption=tuple(caption))


def _interval_text(interval: Interval, over: str) -> str:
    if interval.resamples:
        return (
            f"95 % interval: bootstrap over {over}, {interval.resamples:,} resamples, seed "
            f"{interval.seed}."
        )
    return f"95 % interval: {interval.method} over {over} (mean ± 1.96 standard errors)."


def _mean(estimate: Estimate, ci95: Interval | None) -> dict[str, str]:
    return {
        "GFLOPS/video": _figure(estimate.gflops_per_video),
        "95 %": "-" if ci95 is None else f"{ci95.low:.4f} to {ci95.high:.4f}",
        "GFLOPS/frame": _figure(estimate.gflops_per_frame),
    }


def _per_video(estimate: Estimate) -> dict[str, str]:
    return {
        "decisions/video": f"{estimate.decisions_per_video:.3f}",
        "processed/video": f"{estimate.processed_frames_per_video:.3f}",
    }


def _components_grid(run: Run) -> Grid:
    notes: dict[str, int] = {}
    rows = []
    for name, cost in run.primary.by_component.items():
        mark = f" [{notes.setdefault(cost.note, len(notes) + 1)}]" if cost.note else ""
        variant = f" ({cost.variant})" if cost.variant else ""
        rows.append(
            {
                "component": f"{name}{variant}{mark}",
                "what": str(replace(parse_spec(cost.spec), quote="")),
                "MACs a run": f"{cost.total_macs:,}",
                "runs/video": f"{cost.runs_per_video:.4f}",
                "GFLOPS/video": _figure(cost.gflops_per_video),
                "share": _percent(cost.share),
            }
        )
    return _grid("By component", rows, ["component", "what"], footnotes=tuple(notes))


def _actions_grid(run: Run) -> Grid:
    rows = [
        {
            "action": name,
            "kind": cost.kind,
            "of frames": "-" if cost.share_of_frames is None else _percent(cost.share_of_frames),
            "of decisions": _percent(cost.share_of_decisions),
            "decisions/video": f"{cost.decisions_per_video:.4f}",
            "GFLOPS/video": _figure(cost.gflops_per_video),
            "own": _figure(cost.own_gflops_per_video),
        }
        for name, cost in run.primary.by_action.items()
    ]
    caption = (
        "GFLOPS/video: what the action's decisions cost, charges included; own: its own networks "
        "alone."
    )
    caption += " Decisions by the published rule." if run.primary.rule == "published" else ""
    left = _figure(run.primary.unattributed_gflops_per_video)
    rest = (
        f"{left} GFLOPS/video belong to no action: charges per view, per video and per step beyond "
        "the actions, and further counts."
    )
    lines = (caption, rest) if run.primary.unattributed_gflops_per_video else (caption,)
    return _grid("By action", rows, ["action", "kind"], caption=lines)


def _counters_grid(run: Run) -> Grid:
    primary = run.primary
    whole = primary.gflops_per_video
    rows = []
    for name, one in run.under_counters.items():
        more = 100 * (one.gflops_per_video / whole - 1) if whole else 0.0
        rows.append(
            {
                "counter": name,
                "GFLOPS/video": _figure(one.gflops_per_video),
                "GFLOPS/frame": _figure(one.gflops_per_frame),
                f"against {primary.counter}": "-" if name == primary.counter else f"{more:+.2f} %",
            }
        )
    title = f"The same decisions under every counter ({primary.rule} rule)"
    replaced = stand_ins(run.book.lists.values(), primary.by_component)
    gaps = [f"Without {name}: {why}." for name, why in run.book.gaps.items()]
    return _grid(title, rows, ["counter"], caption=(*replaced, *gaps))


def stand_ins(lists: Iterable[PriceList], names: Iterable[str]) -> list[str]:
    """Say for which of these components another counter stands in, list by list."""
    names = tuple(names)
    found: dict[tuple[str, str], list[str]] = {}
    for one in lists:
        replaced: dict[str, list[str]] = {}
        for name in names:
            if counter := one.prices[name].stand_in:
                replaced.setdefault(counter, []).append(name)
        for counter, components in replaced.items():
            found.setdefault((counter, ", ".join(components)), []).append(one.counter)
    return [
        f"Counted by {counter} in place of {', '.join(places)}: {components}."
        for (counter, components), places in found.items()
    ]


def _groups_grid(run: Run) -> Grid:
    rows = [
        {
            run.grouped_by: group.name,
            "videos": f"{group.estimate.videos:,}",
            **_mean(group.estimate, group.interval),
            **_per_video(group.estimate),
        }
        for group in run.groups
    ]
    note = (f"Note: {run.group_note}.",) if run.group_note else ()
    return _grid(f"By {run.grouped_by}", rows, [run.grouped_by], caption=note)


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if value == 0 or value >= 1e-3 else f"{value:.2e}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
