"""Timing models in one fresh process: the job behind ``flopbench latency``.

Lives here: the jobs that ``latencies`` sends to workers: describe a device, measure its roofs, time
some rows.
Does not live here: processes and rounds (``latencies``), the loop (``sampling``), verdicts.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from flopbench.errors import FlopbenchError, MeasureError
from flopbench.measure.clocks import clock_for
from flopbench.measure.device import check_device, device_facts
from flopbench.measure.environment import seeded
from flopbench.measure.power import watch_gpu
from flopbench.measure.precision import precision, precision_facts
from flopbench.measure.prepared import (
    OutOfMemory,
    capture,
    compiled_graphs,
    explained,
    prepare,
)
from flopbench.measure.roofs import measure_roofs
from flopbench.measure.sampling import Clock, Sampled, first_call, sample
from flopbench.timings import TimingSpec, plain

DIGITS = 10
"""Decimals of a second that are kept: a tenth of what the finest clock tells."""


def describe(job: Mapping[str, Any]) -> dict[str, Any]:
    """Check that a device has the dtypes asked for; return its facts.

    Args:
        job: ``device`` (None takes CUDA where there is one, else the CPU), ``dtypes`` (list).

    Raises:
        InputError: no such device here, or a dtype that it lacks.
    """
    device = job["device"] or ("cuda" if torch.cuda.is_available() else "cpu")
    for dtype in job["dtypes"]:
        check_device(device, dtype)
    return device_facts(device).to_json()


def roofs(job: Mapping[str, Any]) -> dict[str, Any]:
    """Measure the roofs of a device; return the fields of ``Roofs``.

    Args:
        job: ``device``, ``dtypes`` (list), ``threads``.
    """
    return measure_roofs(job["device"], job["dtypes"], job["threads"]).to_json()


def time_rows(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Time the rows of a job, interleaved where there are several.

    Args:
        job: ``rows`` (``TimingSpec`` fields each; one device, dtype and thread count),
            ``budget_s``, ``fewest``.

    Returns:
        One object a row: ``run`` (``ProcessRun`` fields), or ``failure`` and ``out_of_memory``.
        Where one of several interleaved rows fails, the others are timed without it.
    """
    whats = [TimingSpec(**row) for row in job["rows"]]
    torch.set_num_threads(whats[0].threads)
    answers: list[dict[str, Any]] = [{} for _ in whats]
    ready: dict[int, _Ready] = {}
    clock = clock_for(whats[0].device, whats[0].threads)
    with seeded(), precision(whats[0].dtype), torch.inference_mode():
        for number, what in enumerate(whats):
            try:
                ready[number] = _first(clock, what)
            except FlopbenchError as error:
                answers[number] = _failure(error)
        while ready:
            try:
                _sample(whats, ready, job, answers)
                break
            except _Failed as failed:  # the others are timed again without it
                answers[failed.place] = _failure(failed.error)
                del ready[failed.place]
    return answers


def _sample(
    whats: Sequence[TimingSpec],
    ready: Mapping[int, _Ready],
    job: Mapping[str, Any],
    answers: list[dict[str, Any]],
) -> None:
    """Time what is ready, and fill in the answers."""
    what = whats[0]
    clock = (
        _cuda_clock(whats, ready) if what.device == "cuda" else clock_for(what.device, what.threads)
    )
    calls = [_guarded(whats[place], place, one.call) for place, one in ready.items()]
    results = sample(clock, calls, budget_s=job["budget_s"], fewest=job["fewest"])
    for (place, one), sampled in zip(ready.items(), results, strict=True):
        run = {
            "first_s": round(one.first_s, DIGITS),
            **_columns(sampled),
            "peak_bytes": peak_bytes(whats[place].device),
            **watch_gpu(whats[place], one.call),
            "flags": precision_facts(),
        }
        answers[place] = {"run": run}


class _Failed(Exception):
    """One of the calls failed while all were timed."""

    def __init__(self, place: int, error: FlopbenchError) -> None:
        super().__init__(place, error)
        self.place, self.error = place, error


def _guarded(what: TimingSpec, place: int, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call; what it raises says whose it is."""

    def guarded() -> Any:
        try:
            with explained(what, "the model failed"):
                return call()
        except FlopbenchError as error:
            raise _Failed(place, error) from error

    return guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A call whose first run is over."""

    call: Callable[[], Any]
    first_s: float


def _first(clock: Clock, what: TimingSpec) -> _Ready:
    """Prepare a call and make its first run, after which a graph of it can be captured."""
    call = prepare(what)
    before = compiled_graphs() if what.compiled else None
    with explained(what, "torch.compile failed" if what.compiled else "the model failed"):
        first_s = first_call(clock, call)
    if before is not None and compiled_graphs() == before:
        raise MeasureError("torch.compile compiled nothing of it: what ran is the eager model")
    if what.cuda_graph:
        with explained(what, "capturing a CUDA graph failed"):
            call = capture(call)
    return _Ready(call=call, first_s=first_s)


def _cuda_clock(whats: Sequence[TimingSpec], ready: Mapping[int, _Ready]) -> Clock:
    """Return a clock that also replays a graph of the call, where there is one call to capture."""
    torch.cuda.reset_peak_memory_stats()
    graph = None
    if len(ready) == 1:
        place, one = next(iter(ready.items()))
        if not whats[place].cuda_graph:
            with contextlib.suppress(Exception):  # what cannot be captured has no such column
                graph = capture(one.call)
    return clock_for("cuda", whats[0].threads, graph)


def _columns(sampled: Sampled) -> dict[str, Any]:
    data: dict[str, Any] = {name: getattr(sampled, name) for name in sampled.__slots__}
    columns = {
        name: [round(seconds, DIGITS) for seconds in values]
        for name, values in sampled.columns.items()
    }
    return {**plain(data), "columns": columns}


def peak_bytes(device: str) -> int | None:
    """Return the peak memory of this process: allocated on CUDA, resident on a CPU."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    if device != "cpu":
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _failure(error: FlopbenchError) -> dict[str, Any]:
    return {
        "failure": error.message,
        "hint": error.hint,
        "out_of_memory": isinstance(error, OutOfMemory),
    }
