"""Latencies as a tripwire: timed here, held against times that were accepted on the same machine.

``.flopbench/latency.json``, beside the baseline, is an ordinary timing file (``timings``): a row
belongs to the entry whose model it names, and says by its own fields how the entry is timed
(device, batch, threads). A time says nothing on another machine, nor under another torch: such an
entry is ``not comparable`` and is not measured, unless it has a limit, which holds everywhere.

Lives here: which entries are guarded, that file, timing and accepting. Does not live here:
verdicts (``time_judging``), two revisions in one job (``time_pairs``), clocks (``latencies``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from flopbench.check.config import latency_budget
from flopbench.check.records import Budget, Config, Entry
from flopbench.check.report import MetricResult
from flopbench.check.time_judging import Finding, Timed, judge_time, other_machine, outcome
from flopbench.devices import DeviceFacts
from flopbench.errors import FlopbenchError, InputError, MeasureError
from flopbench.latencies import Effort, describe, time_models
from flopbench.offline import Progress
from flopbench.specs import ModelSpec, parse_spec
from flopbench.timings import TimingFile, TimingSpec, merge
from flopbench.units import milliseconds

LATENCY_FILE = "latency.json"


def latency_path(config: Config) -> Path:
    """Return where accepted latencies are kept: beside the baseline."""
    return (Path(config.root) / config.baseline).parent / LATENCY_FILE


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
) -> dict[str, MetricResult]:
    """Time the guarded entries and judge them.

    Args:
        config: what is guarded. Models are imported from the working folder, which is the
            configuration's.
        paired: the revision that entries of gate ``paired`` are timed against; without one they
            have no result.
        effort: how much to measure.
        only: names of entries, None for all.
        progress: told before each process.

    Returns:
        Entry -> verdict on its latency.

    Raises:
        InputError: ``paired`` names no revision, or this is no git repository.
        DataError: the file of accepted latencies is damaged.
    """
    bench = Bench.of(config, effort, progress)
    chosen = [(e, budget) for e, budget in guarded(config) if only is None or e.name in only]
    alone = [(e, budget) for e, budget in chosen if budget.gate != "paired"]
    results = {entry.name: _against_accepted(entry, budget, bench) for entry, budget in alone}
    pairs = [(e, budget) for e, budget in chosen if budget.gate == "paired"]
    if pairs and paired is not None:
        from flopbench.check.time_pairs import check_pairs

        results |= check_pairs(config, paired, pairs, bench)
    return {entry.name: results[entry.name] for entry, _ in chosen if entry.name in results}


def accept_latency(
    config: Config,
    names: Iterable[str],
    *,
    effort: Effort | None = None,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Time entries and keep what they take as accepted; the rows of other models stay.

    Args:
        config: what is guarded.
        names: entries; those without a latency budget, or of gate ``paired``, have no such row.
        effort: how much to measure.
        progress: told before each process.

    Returns:
        One line for people an entry, also for those that could not be timed and keep their row.

    Raises:
        DataError: the file of accepted latencies is damaged.
        InputError: the file cannot be written.
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


@dataclass(slots=True, kw_only=True)
class Bench:
    """What one check knows: accepted rows, how much to measure, devices that were described.

    Attributes:
        file: the accepted rows; none where there is no file.
        effort: how much to measure.
        devices: (device, dtype) -> its facts here.
    """

    file: TimingFile
    effort: Effort
    devices: dict[tuple[str, str], DeviceFacts] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config, effort: Effort | None, progress: Progress | None) -> Bench:
        """Read the accepted rows.

        Raises:
            DataError: the file is damaged.
        """
        path = latency_path(config)
        file = TimingFile.load(path) if path.exists() else TimingFile(rows=(), devices=())
        effort = effort or Effort()
        return cls(file=file, effort=replace(effort, progress=progress or effort.progress))

    def accepted(self, entry: Entry) -> Timed | None:
        """Return the accepted row of an entry: this machine's, where there are several."""
        spec = str(parse_spec(entry.model))
        rows = [row for row in self.file.rows if row.what.spec == spec and row.processes]
        timed = [
            Timed(row=row, facts=self.file.device_of(row))
            for row in rows
            if not (row.failure or row.sweep)
        ]
        if len(timed) > 1:
            return next((one for one in timed if not self.apart(one)), timed[0])
        return timed[0] if timed else None

    def apart(self, accepted: Timed) -> str:
        """Say what keeps an accepted row from being compared here; empty if nothing does."""
        try:
            here = self.facts(accepted.row.what)
        except InputError as error:
            if accepted.row.what.device == "cpu":  # then it is torch that is missing
                raise MeasureError(error.message, error.hint) from None
            return f"the accepted time is of {accepted.facts.name}: {error.message}"
        return other_machine(accepted.facts, here)

    def what(self, entry: Entry) -> TimingSpec:
        """Return how an entry is timed: as the accepted row says, else one thread of the CPU."""
        accepted = self.accepted(entry)
        if accepted is not None:
            return accepted.row.what
        return TimingSpec(spec=str(timeable(entry.model)))

    def facts(self, what: TimingSpec) -> DeviceFacts:
        """Describe the device of a row, once.

        Raises:
            InputError: there is no such device here, or it lacks the dtype.
        """
        key = (what.device, what.dtype)
        if key not in self.devices:
            self.devices[key] = describe(what.device, [what.dtype])
        return self.devices[key]

    def time(self, what: TimingSpec) -> TimingFile:
        """Time one row.

        Raises:
            FlopbenchError: it cannot be timed.
        """
        file = time_models([what], replace(self.effort, facts=self.facts(what)))
        (row,) = file.rows
        if row.failure or not row.processes:
            raise MeasureError(row.failure or "no process has timed it")
        return file


def timeable(model: str) -> ModelSpec:
    """Read a specification.

    Raises:
        InputError: it means nothing, or is a constant, which has no time.
    """
    spec = parse_spec(model)
    if spec.source == "value":
        raise InputError(f"{spec} is a constant: there is nothing to time")
    return spec


def judge_alone(
    budget: Budget,
    finding: Finding,
    what: TimingSpec,
    bench: Bench,
    accepted: Timed | None = None,
) -> MetricResult:
    """Time an entry without another revision; not at all where no limit and no row asks for it.

    Args:
        budget: what is allowed.
        finding: the state where there is nothing to compare with.
        what: how to time it.
        bench: what to time it with.
        accepted: the row to compare with, None for none.
    """
    if accepted is None and budget.limit is None:
        return outcome(budget, finding)
    try:
        file = bench.time(what)
    except FlopbenchError as error:
        return outcome(budget, Finding(state="not measured", reason=error.line))
    new = Timed(row=file.rows[0], facts=file.device_of(file.rows[0]))
    return judge_time(budget, accepted, new, otherwise=finding)


def _against_accepted(entry: Entry, budget: Budget, bench: Bench) -> MetricResult:
    try:
        timeable(entry.model)
        accepted = bench.accepted(entry)
        apart = bench.apart(accepted) if accepted is not None else ""
        what = bench.what(entry)
    except FlopbenchError as error:
        return outcome(budget, Finding(state="not measured", reason=error.line))
    accept = f"flopbench accept {entry.name!r} on this machine accepts one"
    if accepted is None:
        finding = Finding(state="new", reason=f"no latency was accepted yet: {accept}")
        return judge_alone(budget, finding, what, bench)
    if apart:
        finding = Finding(state="not comparable", reason=f"{apart}: {accept}")
        return judge_alone(budget, finding, what, bench)
    return judge_alone(budget, Finding(state="new"), what, bench, accepted)


def _accepted_line(entry: Entry, file: TimingFile, before: Timed | None) -> str:
    """Say what was accepted, and if it will not do to compare with, why."""
    timed = Timed(row=file.rows[0], facts=file.device_of(file.rows[0]))
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
    """Write the accepted rows: new ones in place of all rows of their models, in fixed order."""
    left = [row for row in kept.rows if row.what.spec not in files]
    whole = merge([replace(kept, rows=tuple(left)), *files.values()])
    rows = sorted(whole.rows, key=lambda row: (row.what.spec, str(row.what)))
    path.parent.mkdir(parents=True, exist_ok=True)
    _with_own_devices(replace(whole, rows=tuple(rows))).save(path)


def _with_own_devices(file: TimingFile) -> TimingFile:
    """Leave out machines that no row is of any more."""
    used = list(dict.fromkeys(row.device for row in file.rows))
    return replace(
        file,
        devices=tuple(file.devices[place] for place in used),
        rows=tuple(replace(row, device=used.index(row.device)) for row in file.rows),
    )
