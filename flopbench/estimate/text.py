"""An estimate as tables: for the terminal, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from flopbench.core.bootstrap import Interval
from flopbench.core.grid import Grid
from flopbench.core.statistics import Ends
from flopbench.core.tables import Tables, grid_of
from flopbench.core.units import CONVENTION, Words, number_of, plural
from flopbench.estimate.as_json import estimate_csv, estimate_json
from flopbench.estimate.clusters import drawn_text
from flopbench.estimate.estimator import Estimate
from flopbench.estimate.prices import PriceList
from flopbench.estimate.runs import Run
from flopbench.estimate.wording import costs_of, relative_halves
from flopbench.models.spec import parse_spec

RULES = {
    "exact": "exact rule: decisions as they were taken",
    "published": "published rule: every row of a decision over k steps weighs 1/k",
}
NO_PUBLISHED = (
    "Published rule: not defined here, since the decisions have spans of their own and the rule "
    "takes them from the actions."
)


def estimate_tables(run: Run) -> Tables:
    """Return an estimate, ready to be shown."""
    return Tables(
        grids=estimate_grids(run),
        csv=lambda: estimate_csv(run),
        json=lambda: estimate_json(run),
        warnings=run.warnings,
    )


def run_grids(run: Run) -> list[Grid]:
    """Lay out a run as Python shows it: its figures and its components."""
    return [_figures_grid(run).with_warnings(run.warnings), _components_grid(run)]


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
    run: Run,
    title: str,
    rows: Sequence[Mapping[str, str]],
    text: Sequence[str],
    **more: tuple[str, ...],
) -> Grid:
    """Return a table of rows that name each cell, without columns that hold no value."""
    costs, words = costs_of([run]), run.header.words
    spare = (
        *("own", "kind", "/decision", f"/processed {words.step}", f"decisions/{words.sample}"),
        *(f"processed/{words.sample}", "MACs a run", f"runs/{words.sample}", "what"),
        costs.per_step,
    )
    titles = [name for name in rows[0] if any(row[name] != "-" for row in rows)] if rows else []
    shown = [{name: row[name] for name in titles} for row in rows]
    return grid_of(title, shown, text, spare=spare, **more)


def _figures_grid(run: Run) -> Grid:
    primary, published, words = run.primary, run.published, run.header.words
    shown = [primary]
    if published is not None and published.gflops_per_video != primary.gflops_per_video:
        shown.append(published)
    ends = None if run.interval is None else run.interval.ends
    columns: dict[str, list[str]] = {
        "rule": [one.rule for one in shown],
        **_means(run, shown, [ends, *[None] * (len(shown) - 1)], apart=True),
    }
    prices, what = run.prices, run.header.data
    version = f" {prices.version}" if prices.version else ""
    caption = [
        CONVENTION,
        *_denominators(columns, words),
        f"Prices: {prices.counter}{version}, {run.table}. Rule: {RULES[primary.rule]}.",
    ]
    if run.interval is not None:
        caption.append(_interval_text(run.interval, drawn_text(run.clusters, words)))
    if published is None:
        caption.append(NO_PUBLISHED)
    title = f"{run.method}{' on ' + what if what else ''}: {_extent(run)}"
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return _grid(run, title, rows, ["rule"], caption=tuple(caption), stay=(CONVENTION,))


def _extent(run: Run) -> str:
    """Return ``200 videos, 16 frames each``."""
    primary, words = run.primary, run.header.words
    if primary.videos is None:
        return "a published distribution"
    text = number_of(primary.videos, words.sample)
    text += "" if primary.records == primary.videos else f", {number_of(primary.records, 'view')}"
    steps = primary.frames_per_video
    if not steps:
        return text
    how = "each" if steps.is_integer() else "on average"
    return f"{text}, {steps:.4g} {plural(steps, words.step)} {how}"


def _denominators(columns: Mapping[str, Sequence[str]], words: Words) -> list[str]:
    """Say what costs are divided by, in the columns that have a value."""
    meanings = {
        f"/{words.step}": f"per {words.step}: all cost over all sampled {words.steps}",
        f"/processed {words.step}": f"per processed {words.step}: over those that a network ran on "
        "(neither skipped nor reused)",
        "/decision": "per decision: over the policy's decisions",
    }
    told = [
        meaning
        for end, meaning in meanings.items()
        if any(name.endswith(end) and set(cells) != {"-"} for name, cells in columns.items())
    ]
    text = "; ".join(told)
    return [f"{text[0].upper()}{text[1:]}."] if told else []


def _interval_text(interval: Interval, over: str) -> str:
    if interval.resamples:
        return (
            f"95 % interval: bootstrap over {over}, {interval.resamples:,} resamples, seed "
            f"{interval.seed}."
        )
    return f"95 % interval: {interval.method} over {over} (mean ± 1.96 standard errors)."


def _means(
    run: Run, estimates: Sequence[Estimate], ends: Sequence[Ends | None], *, apart: bool = False
) -> dict[str, list[str]]:
    """Return heading -> one cell an estimate; digits follow the narrowest interval."""
    costs, words = costs_of([run]), run.header.words
    per_sample = [one.gflops_per_video for one in estimates]
    relative = relative_halves(per_sample, ends)
    cells, decimals = costs.column(per_sample, relative, apart=apart)
    of_steps = {
        costs.per_step: [one.gflops_per_frame for one in estimates],
        f"/processed {words.step}": [one.gflops_per_processed_frame for one in estimates],
        "/decision": [one.gflops_per_decision for one in estimates],
    }
    means = [(one.decisions_per_video, one.processed_frames_per_video) for one in estimates]
    decided = any(one.decisions_per_video for one in estimates)
    looked = any(one.gflops_per_processed_frame is not None for one in estimates)
    return {
        costs.per_sample: cells,
        "95 %": [costs.range(own, decimals) for own in ends],
        **{name: costs.column(own, relative, apart=apart)[0] for name, own in of_steps.items()},
        f"decisions/{words.sample}": [f"{n:.3f}" if decided else "-" for n, _ in means],
        f"processed/{words.sample}": [f"{n:.3f}" if looked else "-" for _, n in means],
    }


def _components_grid(run: Run) -> Grid:
    notes: dict[str, int] = {}
    costs, words = costs_of([run]), run.header.words
    rows = []
    for name, cost in run.primary.by_component.items():
        mark = f" [{notes.setdefault(cost.note, len(notes) + 1)}]" if cost.note else ""
        variant = f" ({cost.variant})" if cost.variant else ""
        rows.append(
            {
                "component": f"{name}{variant}{mark}",
                "what": str(replace(parse_spec(cost.spec), quote="")),
                "MACs a run": f"{cost.total_macs:,}",
                f"runs/{words.sample}": f"{cost.runs_per_video:.4f}",
                costs.per_sample: costs.text(cost.gflops_per_video),
                "share": _percent(cost.share),
            }
        )
    return _grid(run, "By component", rows, ["component", "what"], footnotes=tuple(notes))


def _actions_grid(run: Run) -> Grid:
    costs, words, primary = costs_of([run]), run.header.words, run.primary
    charges = run.header.charges
    charged = charges is not None and bool(charges.per_decision or charges.per_step)
    exits = not run.header.actions
    often, of = ("taken", words.samples) if exits else ("decisions", "decisions")
    rows = [
        {
            "exit" if exits else "action": name,
            "kind": "-" if exits else cost.kind,
            f"of {words.steps}": _percent(cost.share_of_frames),
            f"of {of}": _percent(cost.share_of_decisions),
            f"{often}/{words.sample}": f"{cost.decisions_per_video:.4f}",
            costs.per_sample: costs.text(cost.gflops_per_video),
            "own": costs.text(cost.own_gflops_per_video) if charged else "-",
        }
        for name, cost in primary.by_action.items()
    ]
    lines = []
    if charged:
        lines.append(
            f"{costs.per_sample}: what the action's decisions cost, charges included; own: its own "
            "networks alone."
        )
    if primary.rule == "published":
        lines.append("Decisions by the published rule.")
    if primary.unattributed_gflops_per_video:
        left = costs.text(primary.unattributed_gflops_per_video)
        per = dict.fromkeys(("view", words.sample, words.step))
        lines.append(
            f"{left} {costs.per_sample} belong to no action: charges per {', per '.join(per)} "
            "beyond the actions, and further counts."
        )
    title = "By exit" if exits else "By action"
    return _grid(run, title, rows, ["action", "exit", "kind"], caption=tuple(lines))


def _counters_grid(run: Run) -> Grid:
    primary, costs = run.primary, costs_of([run])
    whole = primary.gflops_per_video
    if all(parse_spec(cost.spec).source == "value" for cost in primary.by_component.values()):
        return _grid(run, "", [], [])  # constants are the same under every counter
    rows = []
    for name, one in run.under_counters.items():
        more = 100 * (one.gflops_per_video / whole - 1) if whole else 0.0
        more = round(more, 2) + 0.0  # no -0.00
        rows.append(
            {
                "counter": name,
                costs.per_sample: costs.text(one.gflops_per_video),
                costs.per_step: costs.text(one.gflops_per_frame),
                f"against {primary.counter}": "-" if name == primary.counter else f"{more:+.2f} %",
            }
        )
    title = f"The same decisions under every counter ({primary.rule} rule)"
    replaced = stand_ins(run.book.lists.values(), primary.by_component)
    gaps = [f"Without {name}: {why}." for name, why in run.book.gaps.items()]
    return _grid(run, title, rows, ["counter"], caption=(*replaced, *gaps), stay=(*replaced, *gaps))


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
    found = [group.estimate for group in run.groups]
    ends = [None if group.interval is None else group.interval.ends for group in run.groups]
    cells = {
        run.grouped_by: [group.name for group in run.groups],
        run.header.words.samples: [f"{one.videos:,}" for one in found],
        **_means(run, found, ends),
    }
    short = (f"/processed {run.header.words.step}", "/decision")
    columns = {name: own for name, own in cells.items() if name not in short}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    note = (f"Note: {run.group_note}.",) if run.group_note else ()
    return _grid(run, f"By {run.grouped_by}", rows, [run.grouped_by], caption=note, stay=note)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
