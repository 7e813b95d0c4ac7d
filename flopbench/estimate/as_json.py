"""An estimate as data: the JSON file, and CSV with one line per part.

File format (JSON): ``{"schema": 1, "kind": "flopbench.estimate", ...}`` with the keys of
``estimate_data``; costs are GFLOPS as papers print them, that is GMACs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from msgspec.structs import asdict

from flopbench.core.bootstrap import Interval
from flopbench.core.grid import to_csv
from flopbench.core.units import CONVENTION
from flopbench.estimate.estimator import ComponentCost, Estimate
from flopbench.estimate.groups import Group
from flopbench.estimate.runs import Run

SCHEMA = 1
KIND = "flopbench.estimate"


def estimate_json(run: Run) -> str:
    """Return the estimate file; the same run gives the same bytes."""
    return json.dumps(estimate_data(run), indent=1, ensure_ascii=False) + "\n"


def estimate_data(run: Run) -> dict[str, Any]:
    """Return the estimate as plain JSON values."""
    primary, header, ci95 = run.primary, run.header, run.interval
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "convention": CONVENTION,
        "method": run.method,
        "dataset": header.dataset,
        "split": header.split,
        "seed": header.seed,
        "preset": header.preset,
        "source": str(run.source),
        "rule": primary.rule,
        "table": {
            "counter": run.prices.counter,
            "version": run.prices.version,
            "source": run.table,
        },
        "gflops_per_frame": primary.gflops_per_frame,
        "gflops_per_video": primary.gflops_per_video,
        "ci95_gflops_per_video": None if ci95 is None else ci95.ends,
        "ci95_method": None if ci95 is None else _method(ci95, run),
        "gflops_per_processed_frame": primary.gflops_per_processed_frame,
        "gflops_per_decision": primary.gflops_per_decision,
        "macs_per_video": str(primary.macs_per_video),
        "by_component": {name: _component(cost) for name, cost in primary.by_component.items()},
        "by_action": {name: asdict(cost) for name, cost in primary.by_action.items()},
        "unattributed_gflops_per_video": primary.unattributed_gflops_per_video,
        "decisions_per_video": primary.decisions_per_video,
        "frames_per_video": primary.frames_per_video,
        "processed_frames_per_video": primary.processed_frames_per_video,
        "videos": primary.videos,
        "records": primary.records,
        "published_rule": None if run.published is None else _two_figures(run.published),
        "under_counters": {name: _two_figures(e) for name, e in run.under_counters.items()},
        "without_prices": dict(run.book.gaps),
        "grouped_by": run.grouped_by or None,
        "group_note": run.group_note or None,
        "groups": [_group_data(group) for group in run.groups],
        "warnings": list(map(str, run.warnings)),
    }


def _method(ci95: Interval, run: Run) -> dict[str, Any]:
    """Return how an interval was made; the last two keys only where clusters were drawn."""
    method = {"method": ci95.method, "resamples": ci95.resamples, "seed": ci95.seed}
    if ci95.clusters is None or run.clusters is None:
        return {**method, "unit": "video"}
    return {
        **method,
        "unit": "cluster",
        "clusters": ci95.clusters,
        "cluster_column": run.clusters.column,
    }


def _two_figures(estimate: Estimate) -> dict[str, Any]:
    return {
        "gflops_per_frame": estimate.gflops_per_frame,
        "gflops_per_video": estimate.gflops_per_video,
    }


def _component(cost: ComponentCost) -> dict[str, Any]:
    """Return the fields under their names in the file."""
    return {"macs" if name == "total_macs" else name: v for name, v in asdict(cost).items()}


def _group_data(group: Group) -> dict[str, Any]:
    e = group.estimate
    return {
        "name": group.name,
        "videos": e.videos,
        **_two_figures(e),
        "ci95_gflops_per_video": None if group.interval is None else group.interval.ends,
        "decisions_per_video": e.decisions_per_video,
        "processed_frames_per_video": e.processed_frames_per_video,
        "share_of_frames": {name: cost.share_of_frames for name, cost in e.by_action.items()},
    }


def estimate_csv(run: Run) -> str:
    """Return one line per part: what it is, its name and its figures, unrounded."""
    header = (
        "part",
        "name",
        "rule",
        "counter",
        "gflops_per_video",
        "ci95_low",
        "ci95_high",
        "gflops_per_frame",
        "share_of_frames",
        "share_of_decisions",
        "decisions_per_video",
        "runs_per_video",
        "videos",
    )
    return to_csv(header, [[row.get(name) for name in header] for row in _csv_rows(run)])


def _csv_rows(run: Run) -> Iterable[dict[str, Any]]:
    def whole(part: str, name: str, e: Estimate, ci: Interval | None) -> dict[str, Any]:
        return {
            "part": part,
            "name": name,
            "rule": e.rule,
            "counter": e.counter,
            "gflops_per_video": e.gflops_per_video,
            "ci95_low": None if ci is None else ci.low,
            "ci95_high": None if ci is None else ci.high,
            "gflops_per_frame": e.gflops_per_frame,
            "decisions_per_video": e.decisions_per_video,
            "videos": e.videos,
        }

    primary = run.primary
    same = {"rule": primary.rule, "counter": primary.counter}
    yield whole("run", run.method, primary, run.interval)
    if run.published is not None:
        yield whole("published_rule", run.method, run.published, None)
    for name, estimate in run.under_counters.items():
        yield whole("under_counter", name, estimate, None)
    for name, cost in primary.by_component.items():
        yield {"part": "component", "name": name, **same, **_component(cost)}
    for name, action in primary.by_action.items():
        yield {"part": "action", "name": name, **same, **asdict(action)}
    for group in run.groups:
        yield whole(run.grouped_by, group.name, group.estimate, group.interval)
