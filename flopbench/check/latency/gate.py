"""Latencies as a tripwire: timed here, compared with times accepted on the same machine.

``.flopbench/latency.json``, next to the baseline, is an ordinary timing file: a row belongs to the
entry with the model that it names, and its fields say how the entry is timed (device, batch,
threads). A time says nothing on another machine or with another torch: such an entry is ``not
comparable`` and is not measured, unless it has a limit, which applies everywhere.

With gate ``paired``, both models run in this job, with alternating calls: a disturbance affects
both alike, so neither an accepted time nor a quiet machine is needed. The other revision is
unpacked into a temporary folder, and each process imports both trees (the limits of that are in
``models.build.trees``). A revision that cannot be compared is never a failure, and never silently
passes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from flopbench.check import git
from flopbench.check.config import latency_budget, read_config
from flopbench.check.latency.bench import Bench, latency_path, timeable
from flopbench.check.latency.judging import TimedModel, judge_time, outcome
from flopbench.check.records import Budget, Config, Entry
from flopbench.check.report import MetricResult
from flopbench.core.errors import FlopbenchError
from flopbench.core.files import temporary
from flopbench.core.units import milliseconds
from flopbench.core.workers import Progress
from flopbench.timing.file import TimingFile, merge
from flopbench.timing.run import Effort, time_revisions


def guarded(config: Config) -> tuple[tuple[Entry, Budget], ...]:
    """Return the entries whose latency is guarded, with their budgets."""
    pairs = [(entry, latency_budget(config, entry)) for entry in config.entries if entry.model]
    return tuple((entry, budget) for entry, budget in pairs if budget is not None)


def check_latency(
    config: Config,
    *,
    paired: str | None = None,
    effort: Effort | None = None,
    only: Collection[str] | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, MetricResult]:
    """Time the guarded entries and judge them; models are imported from the working folder.

    Entries with gate ``paired`` are timed against the revision ``paired``, and have no result
    without one. ``say`` is told once how long it is expected to take, ``progress`` of each process.
    """
    bench = Bench.of(config, effort, progress)
    chosen = [(e, budget) for e, budget in guarded(config) if only is None or e.name in only]
    alone = [(e, budget) for e, budget in chosen if budget.gate != "paired"]
    pairs = [(e, budget) for e, budget in chosen if budget.gate == "paired" and paired is not None]
    if say is not None and (alone or pairs):
        most = (len(alone) + len(pairs)) * bench.effort.processes
        replace(bench.effort, say=say).announce(most, 2 if pairs else 1)
    results = {
        entry.name: _against_accepted(entry, budget, bench.entry(number, len(alone)))
        for number, (entry, budget) in enumerate(alone)
    }
    if pairs and paired is not None:
        results |= check_pairs(config, paired, pairs, bench)
    return {entry.name: results[entry.name] for entry, _ in chosen if entry.name in results}


def accept_latency(
    config: Config,
    names: Iterable[str],
    *,
    effort: Effort | None = None,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Time entries and store their times as accepted; the rows of other models stay.

    Entries without a latency budget, or with gate ``paired``, have no such row. Returns one line of
    text per entry, also for those that could not be timed and keep their row.
    """
    bench = Bench.of(config, effort, progress)
    wanted = set(names)
    files: dict[str, TimingFile] = {}
    lines = []
    for entry, budget in guarded(config):
        if entry.name not in wanted or budget.gate == "paired":
            continue
        try:
            file = bench.time(bench.what(entry))
        except FlopbenchError as error:
            lines.append(f"{entry.name}: its latency was not accepted: {error.line}")
            continue
        files[file.rows[0].what.spec] = file
        lines.append(_accepted_line(entry, file, bench.accepted(entry)))
    if files:
        _keep(latency_path(config), bench.file, files)
    return tuple(lines)


def _against_accepted(entry: Entry, budget: Budget, bench: Bench) -> MetricResult:
    try:
        timeable(entry.model)
        accepted = bench.accepted(entry)
        apart = bench.apart(accepted) if accepted is not None else ""
        what = bench.what(entry)
    except FlopbenchError as error:
        return outcome(budget, "not measured", error.line)
    accept = f"flopbench accept {entry.name!r} on this machine accepts one"
    if accepted is None:
        reason = f"no latency has been accepted yet: {accept}"
        return bench.judge(budget, what, "new", reason)
    if apart:
        return bench.judge(budget, what, "not comparable", f"{apart}: {accept}")
    return bench.judge(budget, what, "new", accepted=accepted)


def _accepted_line(entry: Entry, file: TimingFile, before: TimedModel | None) -> str:
    """Say what was accepted, and why it is unsuitable for comparison, where it is."""
    (timed,) = TimedModel.all_of(file)
    summary = timed.summary
    line = f"{entry.name}: latency {milliseconds(summary.headline_s or 0)} ms on {timed.facts.name}"
    if before is not None and before.summary.headline_s is not None:
        line += f" (was {milliseconds(before.summary.headline_s)} ms)"
    if summary.verdict in {"unstable", "invalid"}:
        line += (
            f"; it is {summary.verdict} ({summary.reasons[0]}), so checks will be inconclusive: "
            "accept it again on a quiet machine"
        )
    return line


def _keep(path: Path, kept: TimingFile, files: dict[str, TimingFile]) -> None:
    """Write the accepted rows in a fixed order; new ones replace all rows of their models."""
    left = tuple(row for row in kept.rows if row.what.spec not in files)
    whole = merge([replace(kept, rows=left), *files.values()])
    rows = sorted(whole.rows, key=lambda row: (row.what.spec, str(row.what)))
    used = list(dict.fromkeys(row.device for row in rows))  # machines that a row still refers to
    own = replace(
        whole,
        devices=tuple(whole.devices[place] for place in used),
        rows=tuple(replace(row, device=used.index(row.device)) for row in rows),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    own.save(path)


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
    specs = [replace(what, spec=str(one)) for one in (old_spec, spec)]
    file = time_revisions(specs, folders, replace(bench.effort, facts=facts))
    old, new = TimedModel.all_of(file)
    if old.row.failure and not new.row.failure:
        reason = f"the model of {ref} could not be timed: {old.row.failure}"
        return bench.judge(budget, what, "not comparable", reason)
    return judge_time(budget, old, new)
