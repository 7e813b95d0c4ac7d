"""Timing specifications -> timings: fresh processes, rounds, theoretical costs, files.

The counterpart of ``counting.run`` for time: code outside ``measure`` reaches the clocks only
through this module. Rounds are outermost: every row gets its first process before any gets its
second, so that a drift of the machine affects all rows, and the processes of one row are as far
apart as the run allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError, MeasureError
from flopbench.core.memory import require_room
from flopbench.core.records import decode
from flopbench.core.units import about, number_of
from flopbench.core.workers import Progress, run_job
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.profile import CostProfile
from flopbench.counting.run import measure
from flopbench.models.spec import parse_spec
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.file import TimingFile
from flopbench.timing.measure import sampling
from flopbench.timing.processes import JOBS, one_more_process, roofs_of
from flopbench.timing.records import PACED, Timing, TimingSpec, Work, at_one_pace
from flopbench.timing.roofs import store_roofs
from flopbench.timing.sweeps import Probe, key_batches, sweep

PROCESSES = 3
"""Fresh processes per row: the fewest from which a spread can be estimated."""

BUDGET_S = 5.0
"""Seconds of samples per row and process, unless they become precise earlier."""

START_S = 4.0
"""Seconds until a fresh process has loaded torch and built a model, on two cores of a server."""

PROBE_BUDGET_S = 1.0
"""Most seconds of samples for a batch that a sweep only passes."""

Keep = Callable[[TimingFile], None]
"""Called with everything measured so far each time a process has ended."""


class Effort(Struct, frozen=True, kw_only=True):
    """How much to measure, and callbacks.

    Attributes:
        processes: fresh processes per row.
        budget_s: seconds of samples per row and process.
        fewest: fewest samples per row and process, whatever the budget.
        refresh: measure roofs and counts again instead of reading their caches.
        progress: called before each process.
        say: called once, before anything is timed, with how long it is expected to take.
        start_s: seconds until a fresh process has loaded torch, for that estimate.
        keep: called with everything measured so far.
        facts: the device, if already known.
    """

    processes: int = PROCESSES
    budget_s: float = BUDGET_S
    fewest: int = sampling.FEWEST_SAMPLES
    refresh: bool = False
    progress: Progress | None = None
    say: Callable[[str], None] | None = None
    start_s: float = START_S
    keep: Keep | None = None
    facts: DeviceFacts | None = None

    def announce(self, processes: int, calls: int = 1) -> None:
        """Say how long it may take to time so many calls in turn in each of these processes."""
        if self.say is not None:
            each_s = self.start_s + calls * (sampling.WARM_UP_S + self.budget_s)
            self.say(f"{number_of(processes, 'process')}, {about(processes * each_s)}")

    def tell(self, done: int, total: int, coming: object) -> None:
        """Report progress, if anybody listens."""
        if self.progress is not None:
            self.progress(done, total, str(coming))


def describe_device(device: str | None, dtypes: Sequence[str]) -> DeviceFacts:
    """Return the facts of a device; None takes CUDA if there is a device, else the CPU."""
    job = {"device": device, "dtypes": list(dtypes)}
    return decode(run_job(f"{JOBS}:inspect_device", job), DeviceFacts, "the device")


def time_models(
    specs: Sequence[TimingSpec], effort: Effort, *, interleaved: bool = False
) -> TimingFile:
    """Time every specification in fresh processes.

    Args:
        specs: of one device; if interleaved, of one dtype and thread count.
        effort: how much to measure, and callbacks.
        interleaved: let all specifications take turns in the same processes, which makes ratios
            between them precise.

    Returns:
        One row per specification, including those that failed; of several models, those that
        cannot be built or do not run have failed.

    Raises:
        InputError: the only model cannot be built or does not run, a device that this machine
            lacks, a dtype that the device lacks, several devices, or interleaved rows of different
            dtypes or threads.
    """
    specs = list(dict.fromkeys(specs))
    _check_together(specs, interleaved)
    groups = [specs] if interleaved else [[spec] for spec in specs]
    effort.announce(effort.processes * len(groups), len(groups[0]))
    session = _Session(specs, effort)
    label = _label(" against ".join(map(str, specs))) if interleaved else ""
    rows = [[session.row(spec, interleaved=label) for spec in group] for group in groups]

    def once_more(_place: int, todo: list[Timing]) -> list[Timing]:
        return session.once_more(todo, effort.budget_s)

    return session.file(in_rounds(rows, effort, session.keep, once_more))


def in_rounds(
    groups: list[list[Timing]],
    effort: Effort,
    keep: Callable[[list[Timing]], None],
    once_more: Callable[[int, list[Timing]], list[Timing]],
) -> list[Timing]:
    """Time groups of rows that take turns, each group in processes of its own, rounds outermost.

    ``keep`` is called with all rows each time a process has ended; ``once_more`` times rows of a
    group, whose place it is given, in one more process.
    """
    total = effort.processes * len(groups)
    for done in range(total):
        place = done % len(groups)
        group = groups[place]
        effort.tell(done, total, group[0].what)
        todo = [row for row in group if not row.failure]
        if todo:
            timed = {row.what: row for row in once_more(place, todo)}
            groups[place] = [timed.get(row.what, row) for row in group]
            keep([row for rows in groups for row in rows])
    effort.tell(total, total, "")
    return [row for rows in groups for row in rows]


def time_revisions(specs: Sequence[TimingSpec], roots: Sequence[str], effort: Effort) -> TimingFile:
    """Time models of several source trees, calls taking turns in the same processes.

    These rows have no theoretical cost and no roof: a model is imported only in the worker, which
    can hold modules of one name from several trees. Equal specifications remain separate rows; once
    one has failed, no more processes are started.
    """
    _check_together(specs, interleaved=True)
    effort.announce(effort.processes, len(specs))
    facts = effort.facts or describe_device(specs[0].device, [specs[0].dtype])
    label = _label(" against ".join(map(str, specs)))
    rows = [
        Timing(what=spec, lead=primary_column_of(spec), processes=(), interleaved=label)
        for spec in specs
    ]
    for done in range(effort.processes):
        if any(row.failure for row in rows):
            break
        effort.tell(done, effort.processes, specs[-1])
        rows = one_more_process(rows, effort.budget_s, effort.fewest, roots=roots)
    effort.tell(effort.processes, effort.processes, "")
    return TimingFile(rows=tuple(rows), devices=(facts,), protocol=protocol(effort))


def time_throughput(spec: TimingSpec, effort: Effort, *, reference: int, most: int) -> TimingFile:
    """Sweep the batch size of one model by doubling, then repeat the key batches.

    Args:
        spec: the model; its batch does not matter.
        effort: how much to measure; the sweep takes one process per batch, key batches all of them.
        reference: a batch that is always measured.
        most: the largest batch.

    Returns:
        One row per batch, in order, with ``sweep`` set.

    Raises:
        InputError: as ``time_models``.
    """
    session = _Session([spec], effort)
    rows: dict[int, Timing] = {}
    label = _label(str(replace(spec, batch=1)))

    def measured(batch: int, budget_s: float) -> Timing:
        one = replace(spec, batch=batch)
        row = rows.setdefault(batch, session.row(one, sweep=label))
        effort.tell(len(rows) - 1, len(rows), one)
        (rows[batch],) = session.once_more([row], budget_s)
        session.keep(rows.values())
        return rows[batch]

    def probe(batch: int) -> Probe:
        return Probe.of(measured(batch, min(PROBE_BUDGET_S, effort.budget_s)))

    sweep(probe, reference=reference, most=most, memory_bytes=session.memory_bytes())
    while True:  # with more processes another batch may be the best, which then gets as many
        keys = set(key_batches([Probe.of(row) for row in rows.values()], reference).values())
        todo = [
            batch
            for batch, row in sorted(rows.items())
            if batch in keys and not row.failure and len(row.processes) < effort.processes
        ]
        if not todo:
            break
        for batch in todo:
            measured(batch, effort.budget_s)
    effort.tell(len(rows), len(rows), "")
    return session.file(row for _, row in sorted(rows.items()))


def _check_together(specs: Sequence[TimingSpec], interleaved: bool) -> None:
    if not specs:
        raise InputError("there is nothing to time: name at least one model")
    for name in ("device", "dtype", "threads") if interleaved else ("device",):
        values = list(dict.fromkeys(str(getattr(spec, name)) for spec in specs))
        if len(values) > 1:
            raise InputError(f"a run has exactly one {name}, got {', '.join(values)}")


def _label(text: str) -> str:
    """Return a label of this run: rows of two runs of one command did not take turns."""
    return f"{text} ({uuid4().hex[:8]})"


class _Session:
    """What holds for a whole run: the device, its roofs, the theoretical cost of each model."""

    def __init__(self, specs: Sequence[TimingSpec], effort: Effort) -> None:
        dtypes = list(dict.fromkeys(spec.dtype for spec in specs))
        self.effort = effort
        self.facts = effort.facts or describe_device(specs[0].device, dtypes)
        self.work: dict[str, Work] = {}
        self.notes: dict[str, str] = {}
        models = list(dict.fromkeys(parse_spec(spec.spec) for spec in specs))
        self.failures: dict[str, str] = {}
        keep_going = len(models) > 1
        counted = measure(models, [REFERENCE], refresh=effort.refresh, keep_going=keep_going)
        for model, one in zip(models, counted, strict=True):
            profile = one.under(REFERENCE)
            self.failures[str(model)] = one.broken or _too_large(profile)
            if profile is None:
                self.work[str(model)] = Work(input=model.input)
                if not one.broken:
                    why = one.failures[REFERENCE]
                    self.notes[str(model)] = f"{REFERENCE} cannot count it: {why}"
                continue
            self.work[str(model)] = Work(
                dense_macs=profile.dense_macs,
                activations=profile.activations,
                params=profile.params,
                input=profile.input,
            )
            if profile.gaps_that_may_multiply():
                note = f"{REFERENCE} left part of it out: see flopbench explain {model}"
                self.notes[str(model)] = note
        threads = dict.fromkeys(spec.threads for spec in specs)
        self.roofs = {
            count: roofs_of(self.facts, dtypes, count, refresh=effort.refresh, tell=effort.tell)
            for count in threads
        }

    def row(self, spec: TimingSpec, *, interleaved: str = "", sweep: str = "") -> Timing:
        """Return a row that has no samples yet."""
        roofs, note = self.roofs[spec.threads], self.notes.get(spec.spec)
        return Timing(
            what=spec,
            lead=primary_column_of(spec),
            processes=(),
            work=self.work[spec.spec],
            notes=(note,) if note else (),
            roofs=roofs.of(spec.dtype),
            failure=self.failures[spec.spec],
            interleaved=interleaved,
            sweep=sweep,
        )

    def once_more(self, rows: Sequence[Timing], budget_s: float) -> list[Timing]:
        """Time rows of one number format and thread count in one more process."""
        one = rows[0].what
        roofs = self.roofs[one.threads]
        families = [roof for roof in roofs.families if roof.dtype == one.dtype]
        timed = one_more_process(
            rows, budget_s, self.effort.fewest, families=families, best_pace_s=roofs.pace_s
        )
        read = [run.best_pace_s for row in timed for run in row.processes if run.best_pace_s]
        if roofs.pace_s and min(read, default=roofs.pace_s) < roofs.pace_s:
            # The roofs were measured in a slow phase: the next process, and run, know better.
            self.roofs[one.threads] = replace(roofs, pace_s=min(read))
            store_roofs(self.facts, self.roofs[one.threads])
        return timed

    def file(self, rows: Iterable[Timing]) -> TimingFile:
        """Return rows as a file."""
        settings = protocol(self.effort)
        return TimingFile(rows=at_one_pace(rows), devices=(self.facts,), protocol=settings)

    def keep(self, rows: Iterable[Timing]) -> None:
        """Hand over what was measured so far."""
        if self.effort.keep is not None:
            self.effort.keep(self.file(row for row in rows if row.processes or row.failure))

    def memory_bytes(self) -> int | None:
        """Return the memory that limits a sweep on the CPU; a GPU reports when it is full."""
        total = self.facts.facts.get("memory.total_bytes")
        return total if self.facts.device == "cpu" and isinstance(total, int) else None


def _too_large(profile: CostProfile | None) -> str:
    """Say that there is no memory for the weights, which are built on the CPU for any device."""
    try:
        require_room(4 * profile.params if profile else 0)
    except MeasureError as error:
        return error.line
    return ""


def untimed(spec: TimingSpec, why: str, effort: Effort) -> TimingFile:
    """Return a file with one failed row; ``effort`` has the device."""
    row = Timing(what=spec, lead=primary_column_of(spec), processes=(), failure=why)
    facts = effort.facts or describe_device(spec.device, [spec.dtype])
    return TimingFile(rows=(row,), devices=(facts,), protocol=protocol(effort))


def primary_column_of(spec: TimingSpec) -> str:
    """Return the primary column: the one that the headline is computed from.

    On an accelerator end to end: what a caller waits for. On a CPU with one thread the process's
    CPU time, which leaves out time taken by other processes, at the machine's best pace; else wall
    time, since threads that wait for each other spin.
    """
    if spec.device != "cpu":
        return "end_to_end_s"
    return PACED if spec.threads == 1 else "wall_s"


def protocol(effort: Effort) -> dict[str, int | float]:
    """Return the constants of the measuring loop and the effort, for the file."""
    return {
        "processes": effort.processes,
        "budget_s": effort.budget_s,
        "fewest_samples": effort.fewest,
        "warm_up_calls": sampling.WARM_UP_CALLS,
        "warm_up_s": sampling.WARM_UP_S,
        "warm_up_within": sampling.WARM_UP_WITHIN,
        "warm_up_limit_s": sampling.WARM_UP_LIMIT_S,
        "precise_within": sampling.PRECISE_WITHIN,
        "pace_within": sampling.PACE_WITHIN,
        "patience_s": sampling.PATIENCE_S,
        "shortest_sample_s": sampling.SHORTEST_SAMPLE_S,
    }
