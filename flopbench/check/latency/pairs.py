"""Latency against another revision: both models in this job, with alternating calls.

A disturbance affects both alike, so neither an accepted time nor a quiet machine is needed. The
other revision is unpacked into a temporary folder, and each process imports both trees (the limits
of that are in ``models.build.trees``). A revision that cannot be compared is never a failure, and
never silently passes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flopbench.check import git
from flopbench.check.config import read_config
from flopbench.check.latency.bench import Bench, judge_alone, timeable
from flopbench.check.latency.judging import LatencyState, TimedModel, judge_time, outcome
from flopbench.check.records import Budget, Config, Entry
from flopbench.check.report import MetricResult
from flopbench.core.errors import FlopbenchError
from flopbench.models.spec import ModelSpec
from flopbench.timing.run import time_revisions


def check_pairs(
    config: Config, ref: str, pairs: Sequence[tuple[Entry, Budget]], bench: Bench
) -> dict[str, MetricResult]:
    """Time entries of this working tree against those of another revision.

    Args:
        config: what is guarded here.
        ref: the other revision.
        pairs: entries and their budgets.
        bench: what to time them with.

    Raises:
        InputError: there is no such revision, or this is not a git repository.
    """
    with tempfile.TemporaryDirectory(prefix="flopbench-") as folder:
        root = git.extract(ref, Path(config.root), Path(folder))
        before = Revision(ref=ref, root=root, models=_models_of(root / Path(config.path).name))
        return {
            entry.name: _against_revision(entry, budget, config, before, bench)
            for entry, budget in pairs
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The other revision.

    Attributes:
        ref: its name.
        root: its counterpart of the configuration's folder.
        models: entry -> specification; None where it has no readable configuration.
    """

    ref: str
    root: Path
    models: Mapping[str, str] | None


def _models_of(path: Path) -> Mapping[str, str] | None:
    try:
        return {entry.name: entry.model for entry in read_config(path).entries if entry.model}
    except FlopbenchError:  # none yet, or of another version: the current entries are used
        return None


def _against_revision(
    entry: Entry, budget: Budget, config: Config, before: Revision, bench: Bench
) -> MetricResult:
    try:
        spec = timeable(entry.model)
        what = bench.what(entry)
        bench.facts(what)
    except FlopbenchError as error:
        return outcome(budget, LatencyState(state="not measured", reason=error.line))
    if before.models is not None and entry.name not in before.models:
        found = LatencyState(state="new", reason=f"{before.ref} has no entry of this name")
        return judge_alone(budget, found, what, bench)
    model = entry.model if before.models is None else before.models[entry.name]
    try:
        old = timeable(model)
    except FlopbenchError as error:
        found = LatencyState(state="not comparable", reason=f"in {before.ref}: {error.line}")
        return judge_alone(budget, found, what, bench)
    if old == spec and not spec.is_user_code:
        found = LatencyState(state="same", reason="the same library model in both revisions")
        return judge_alone(budget, found, what, bench)
    return _timed(budget, (old, spec), config, before, bench, entry)


def _timed(
    budget: Budget,
    specs: tuple[ModelSpec, ModelSpec],
    config: Config,
    before: Revision,
    bench: Bench,
    entry: Entry,
) -> MetricResult:
    what = bench.what(entry)
    effort = replace(bench.effort, facts=bench.facts(what))
    file = time_revisions(
        [replace(what, spec=str(spec)) for spec in specs],
        [str(before.root.resolve()), str(Path(config.root).resolve())],
        effort,
    )
    old, new = (TimedModel(row=row, facts=file.device_of(row)) for row in file.rows)
    if new.row.failure:
        return outcome(budget, LatencyState(state="not measured", reason=new.row.failure))
    if old.row.failure:
        reason = f"the model of {before.ref} could not be timed: {old.row.failure}"
        return judge_alone(budget, LatencyState(state="not comparable", reason=reason), what, bench)
    return judge_time(budget, old, new)
