"""What one check of latencies needs: accepted rows, devices, and a single timing."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from flopbench.check.latency.judging import TimedModel, judge_time, other_machine, outcome
from flopbench.check.records import Budget, Config, Entry
from flopbench.check.report import MetricResult, State
from flopbench.core.errors import FlopbenchError, InputError, MeasureError
from flopbench.core.workers import Progress
from flopbench.models.spec import ModelSpec, parse_spec
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.file import TimingFile
from flopbench.timing.records import TimingSpec
from flopbench.timing.run import Effort, describe_device, time_models

LATENCY_FILE = "latency.json"


def latency_path(config: Config) -> Path:
    """Return the file of accepted latencies: next to the baseline."""
    return (Path(config.root) / config.baseline).parent / LATENCY_FILE


class Bench(Struct, kw_only=True):
    """The accepted rows, how much to measure, and the devices described so far.

    Attributes:
        file: the accepted rows; empty where there is no file.
        devices: (device, dtype) -> its facts on this machine.
    """

    file: TimingFile
    effort: Effort
    devices: dict[tuple[str, str], DeviceFacts] = {}

    @classmethod
    def of(cls, config: Config, effort: Effort | None, progress: Progress | None) -> Bench:
        """Read the accepted rows; a damaged file is a DataError."""
        path = latency_path(config)
        file = TimingFile.load(path) if path.exists() else TimingFile(rows=(), devices=())
        effort = effort or Effort()
        return cls(file=file, effort=replace(effort, progress=progress or effort.progress))

    def entry(self, number: int, count: int) -> Bench:
        """Return the bench for one of several entries, whose progress is part of that of all."""
        effort, whole = self.effort, count * self.effort.processes

        def told(done: int, _total: int, what: str) -> None:
            effort.tell(number * effort.processes + done, whole, what)

        return replace(self, effort=replace(effort, progress=told))

    def accepted(self, entry: Entry) -> TimedModel | None:
        """Return the accepted row of an entry; this machine's where there are several."""
        spec = str(parse_spec(entry.model))
        rows = [one for one in TimedModel.all_of(self.file) if one.row.what.spec == spec]
        timed = [
            one for one in rows if one.row.processes and not (one.row.failure or one.row.sweep)
        ]
        if len(timed) > 1:
            return next((one for one in timed if not self.apart(one)), timed[0])
        return timed[0] if timed else None

    def apart(self, accepted: TimedModel) -> str:
        """Say why an accepted row cannot be compared here; empty where it can."""
        try:
            here = self.facts(accepted.row.what)
        except InputError as error:
            if accepted.row.what.device == "cpu":  # then torch is missing
                raise MeasureError(error.message, error.hint) from None
            return f"the accepted time is from {accepted.facts.name}: {error.message}"
        return other_machine(accepted.facts, here)

    def what(self, entry: Entry) -> TimingSpec:
        """Return how an entry is timed: like the accepted row, else with one thread of the CPU."""
        accepted = self.accepted(entry)
        return accepted.row.what if accepted else TimingSpec(spec=str(timeable(entry.model)))

    def facts(self, what: TimingSpec) -> DeviceFacts:
        """Describe the device of a row, only once; an InputError where it is not here."""
        key = (what.device, what.dtype)
        if key not in self.devices:
            self.devices[key] = describe_device(what.device, [what.dtype])
        return self.devices[key]

    def time(self, what: TimingSpec) -> TimingFile:
        """Time one row; a FlopbenchError says why it cannot be timed."""
        file = time_models([what], replace(self.effort, facts=self.facts(what)))
        (row,) = file.rows
        if row.failure or not row.processes:
            raise MeasureError(row.failure or "no process timed it")
        return file

    def judge(
        self,
        budget: Budget,
        what: TimingSpec,
        state: State,
        reason: str = "",
        *,
        accepted: TimedModel | None = None,
    ) -> MetricResult:
        """Time an entry by itself, but only where a limit or an accepted row asks for it.

        Without an accepted row ``state`` and ``reason`` say why there is none.
        """
        if accepted is None and budget.limit is None:
            return outcome(budget, state, reason)
        try:
            (new,) = TimedModel.all_of(self.time(what))
        except FlopbenchError as error:
            return outcome(budget, "not measured", error.line)
        return judge_time(budget, accepted, new, state=state, reason=reason)


def timeable(model: str) -> ModelSpec:
    """Read a specification; a constant is an InputError too, since it has no time."""
    spec = parse_spec(model)
    if spec.source == "value":
        raise InputError(f"{spec} is a constant: there is nothing to time")
    return spec
