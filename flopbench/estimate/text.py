"""An estimate as tables: for the terminal, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from flopbench.core.bootstrap import Interval
from flopbench.core.grid import Column, Grid, render_grids
from flopbench.core.units import CONVENTION, plural
from flopbench.estimate.as_json import estimate_csv, estimate_json
from flopbench.estimate.estimator import Estimate
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
PER_VIDEO = ("decisions/video", "processed/video")
DENOMINATORS = (
    "Per frame: all cost over all sampled frames; per processed frame: over those that a network "
    "ran on (neither skipped nor reused); per decision: over the policy's decisions."
)


def render_estimate(run: Run, format: str, stream: TextIO) -> str | None:
    """Render an estimate: return its text, or write the format ``table`` to the stream."""
    if format == "json":
        return estimate_json(run)
    if format == "csv":
        return estimate_csv(run)
    grids = estimate_grids(run)
    if format != "table":  # there the warnings go to stderr
        grids["estimate"] = with_warnings(grids["estimate"], run.warnings)
    labels = [f"flopbench-{label}" for label in grids]
    return render_grids(list(grids.values()), labels, format, stream)


def estimate_grids(run: Run) -> dict[str, Grid]:
    """Lay out an estimate: the figures (``estimate``), by component, by action, by counter, …

    Returns:
        A word that names each table -> the table.
    """
    grids = {
        "estimate": _figures_grid(run),
        "component": _components_grid(run),
        "action": _actions_grid(run),
        "counters": _counters_grid(run),
        run.grouped_by: _groups_grid(run),
    }
    return {word: grid for word, grid in grids.items() if grid.rows}


def with_warnings(grid: Grid, warnings: Sequence[object]) -> Grid:
    """Return the grid with warnings below it, for a document that has no stderr."""
    return replace(grid, caption=(*grid.caption, *(f"Warning: {text}." for text in warnings)))


def columns(left: Sequence[str], right: Sequence[str], last: str = "") -> tuple[Column, ...]:
    """Return columns of text, then of numbers, then perhaps one more of text."""
    texts = [Column(title=title, align="left") for title in left]
    numbers = [Column(title=title) for title in right]
    return (*texts, *numbers, *([Column(title=last, align="left")] if last else []))


def _figures_grid(run: Run) -> Grid:
    primary, published = run.primary, run.published
    rows = [(primary.rule, *_figures_row(primary, run.interval))]
    if published is not None and published.gflops_per_video != primary.gflops_per_video:
        rows.append((published.rule, *_figures_row(published, None)))
    header, prices = run.header, run.prices
    what = " ".join(part for part in (header.dataset, header.split) if part)
    videos = (
        "a published distribution" if primary.videos is None else _videos(primary, primary.videos)
    )
    title = f"{run.method}{' on ' + what if what else ''}: {videos}"
    titles = ("GFLOPS/video", "95 %", "GFLOPS/frame", "/processed frame", "/decision", *PER_VIDEO)
    version = f" {prices.version}" if prices.version else ""
    made_with = f"Prices: {prices.counter}{version}, {run.table}. Rule: {RULES[primary.rule]}."
    caption = [CONVENTION, DENOMINATORS, made_with]
    if run.interval is not None:
        caption.append(_interval_text(run.interval))
    if published is None:
        caption.append(NO_PUBLISHED)
    return Grid(
        title=title,
        columns=columns(["rule"], titles),
        rows=tuple(rows),
        caption=tuple(caption),
    )


def _videos(estimate: Estimate, videos: int) -> str:
    views = "" if estimate.records == videos else f", {estimate.records:,} views"
    frames = f"{estimate.frames_per_video:.4g} frames each"
    return f"{videos:,} {plural(videos, 'video')}{views}, {frames}"


def _interval_text(interval: Interval) -> str:
    if interval.resamples:
        return (
            f"95 % interval: bootstrap over videos, {interval.resamples:,} resamples, seed "
            f"{interval.seed}."
        )
    return f"95 % interval: {interval.method} over videos (mean ± 1.96 standard errors)."


def _figures_row(estimate: Estimate, interval: Interval | None) -> tuple[str, ...]:
    return (
        _figure(estimate.gflops_per_video),
        _range(interval),
        _figure(estimate.gflops_per_frame),
        _figure(estimate.gflops_per_processed_frame),
        _figure(estimate.gflops_per_decision),
        f"{estimate.decisions_per_video:.3f}",
        f"{estimate.processed_frames_per_video:.3f}",
    )


def _components_grid(run: Run) -> Grid:
    notes: dict[str, int] = {}
    rows = []
    for name, cost in run.primary.by_component.items():
        mark = f" [{notes.setdefault(cost.note, len(notes) + 1)}]" if cost.note else ""
        variant = f" ({cost.variant})" if cost.variant else ""
        rows.append(
            (
                f"{name}{variant}{mark}",
                str(replace(parse_spec(cost.spec), quote="")),
                f"{cost.total_macs:,}",
                f"{cost.runs_per_video:.4f}",
                _figure(cost.gflops_per_video),
                _percent(cost.share),
            )
        )
    return Grid(
        title="By component",
        columns=columns(
            ["component", "what"], ["MACs a run", "runs/video", "GFLOPS/video", "share"]
        ),
        rows=tuple(rows),
        footnotes=tuple(notes),
    )


def _actions_grid(run: Run) -> Grid:
    rows = [
        (
            name,
            cost.kind,
            "-" if cost.share_of_frames is None else _percent(cost.share_of_frames),
            _percent(cost.share_of_decisions),
            f"{cost.decisions_per_video:.4f}",
            _figure(cost.gflops_per_video),
            _figure(cost.own_gflops_per_video),
        )
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
    return Grid(
        title="By action",
        columns=columns(
            ["action", "kind"],
            ["of frames", "of decisions", "decisions/video", "GFLOPS/video", "own"],
        ),
        rows=tuple(rows),
        caption=(caption, rest) if run.primary.unattributed_gflops_per_video else (caption,),
    )


def _counters_grid(run: Run) -> Grid:
    primary = run.primary
    rows = []
    for name, estimate in run.under_counters.items():
        whole = primary.gflops_per_video
        more = 100 * (estimate.gflops_per_video / whole - 1) if whole else 0.0
        rows.append(
            (
                name,
                _figure(estimate.gflops_per_video),
                _figure(estimate.gflops_per_frame),
                "-" if name == primary.counter else f"{more:+.2f} %",
            )
        )
    gaps = run.book.gaps.items()
    return Grid(
        title=f"The same decisions under every counter ({run.primary.rule} rule)",
        columns=columns(
            ["counter"], ["GFLOPS/video", "GFLOPS/frame", f"against {primary.counter}"]
        ),
        rows=tuple(rows),
        caption=tuple(f"Without {name}: {why}." for name, why in gaps),
    )


def _groups_grid(run: Run) -> Grid:
    rows = tuple(
        (
            group.name,
            f"{group.estimate.videos:,}",
            _figure(group.estimate.gflops_per_video),
            _range(group.interval),
            _figure(group.estimate.gflops_per_frame),
            f"{group.estimate.decisions_per_video:.3f}",
            f"{group.estimate.processed_frames_per_video:.3f}",
        )
        for group in run.groups
    )
    titles = ("videos", "GFLOPS/video", "95 %", "GFLOPS/frame", *PER_VIDEO)
    return Grid(
        title=f"By {run.grouped_by}",
        columns=columns([run.grouped_by], titles),
        rows=rows,
        caption=(f"Note: {run.group_note}.",) if run.group_note else (),
    )


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if value == 0 or value >= 1e-3 else f"{value:.2e}"


def _range(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
