"""Latency against another revision: both models in this job, with alternating calls.

A disturbance affects both alike, so neither an accepted time nor a quiet machine is needed. The
other revision is unpacked into a temporary folder, and each process imports both trees (the limits
of that are in ``models.build.trees``). A revision that cannot be compared is never a failure, and
never silently passes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from flopbench.check import git
from flopbench.check.config import read_config
from flopbench.check.latency.bench import Bench, timeable
from flopbench.check.latency.judging import TimedModel, judge_time, outcome
from flopbench.check.records import Budget, Config, Entry
from flopbench.check.report import MetricResult
from flopbench.core.errors import FlopbenchError
from flopbench.core.files import temporary
from flopbench.timing.run import time_revisions


def check_pairs(
    config: Config, ref: str, pairs: Sequence[tuple[Entry, Budget]], bench: Bench
) -> dict[str, MetricResult]:
    """Time entries of this working tree against those of another revision."""
    with temporary(Path(tempfile.gettempdir()), "flopbench-") as folder:
        folder.mkdir(0o700)
        root = git.extract(ref, Path(config.root), folder)
        models = _models_of(root / Path(config.path).name)
        folders = [str(root.resolve()), str(Path(config.root).resolve())]
        results = {}
        for number, (entry, budget) in enumerate(pairs):
            model = entry.model if models is None else models.get(entry.name)
            own = bench.entry(number, len(pairs))
            results[entry.name] = _against_revision(entry, budget, ref, model, own, folders)
        return results


def _models_of(path: Path) -> Mapping[str, str] | None:
    """Return entry -> specification; None where there is no readable configuration."""
    try:
        return {entry.name: entry.model for entry in read_config(path).entries if entry.model}
    except FlopbenchError:  # none yet, or of another version: the current entries are used
        return None


def _against_revision(
    entry: Entry, budget: Budget, ref: str, model: str | None, bench: Bench, folders: list[str]
) -> MetricResult:
    """Time an entry against its model in the other revision, None where that has none."""
    try:
        spec = timeable(entry.model)
        what = bench.what(entry)
        facts = bench.facts(what)
    except FlopbenchError as error:
        return outcome(budget, "not measured", error.line)
    if model is None:
        return bench.judge(budget, what, "new", f"{ref} has no entry of this name")
    try:
        old_spec = timeable(model)
    except FlopbenchError as error:
        return bench.judge(budget, what, "not comparable", f"in {ref}: {error.line}")
    if old_spec == spec and not spec.is_user_code:
        return bench.judge(budget, what, "same", "the same library model in both revisions")
    specs = [structs.replace(what, spec=str(one)) for one in (old_spec, spec)]
    file = time_revisions(specs, folders, replace(bench.effort, facts=facts))
    old, new = TimedModel.all_of(file)
    if old.row.failure and not new.row.failure:
        reason = f"the model of {ref} could not be timed: {old.row.failure}"
        return bench.judge(budget, what, "not comparable", reason)
    return judge_time(budget, old, new)
