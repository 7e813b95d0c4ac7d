"""Timing models in one fresh process: the job behind ``flopbench latency``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from msgspec import to_builtins

from flopbench.core.errors import FlopbenchError, MeasureError
from flopbench.core.memory import peak_resident_bytes
from flopbench.models.build.environment import seeded
from flopbench.models.build.trees import imported_late, standing_in
from flopbench.models.spec import parse_spec
from flopbench.timing.measure.clocks import CudaClock, clock_for
from flopbench.timing.measure.device import check_device, device_facts
from flopbench.timing.measure.operators import operators_of
from flopbench.timing.measure.power import watch_gpu
from flopbench.timing.measure.precision import TORCH_DTYPES, precision, precision_facts
from flopbench.timing.measure.prepared import (
    compiled_graphs,
    explained,
    explanation,
    prepare,
    replaying,
)
from flopbench.timing.measure.roofs import measure_roofs
from flopbench.timing.measure.sampling import Clock, Sampled, first_call, sample
from flopbench.timing.records import TimingSpec

DIGITS = 10
"""Decimals of a second that are kept: a tenth of the resolution of the finest clock."""


def inspect_device(job: Mapping[str, Any]) -> dict[str, Any]:
    """Check that a device, by default the best, has the ``dtypes`` asked for; return its facts."""
    device = job["device"] or ("cuda" if torch.cuda.is_available() else "cpu")
    for dtype in job["dtypes"]:
        check_device(device, dtype)
    return to_builtins(device_facts(device))


def roofs(job: Mapping[str, Any]) -> dict[str, Any]:
    """Measure the roofs of a device; ``job`` has ``device``, ``dtypes`` (list), ``threads``."""
    return to_builtins(measure_roofs(job["device"], job["dtypes"], job["threads"]))


def time_rows(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Time the rows of a job; several are interleaved.

    Args:
        job: ``rows`` (``TimingSpec`` fields each; one device, dtype and thread count),
            ``budget_s``, ``fewest``, ``best_pace_s`` (of this machine, if known), ``graphs``
            (whether to time a captured graph too), ``operators`` (whether to list them,
            afterwards), ``roots``: if the rows come from several source trees, the tree that each
            is imported from (see ``trees`` for its limits), else empty.

    Returns:
        One object per row: ``run`` (``ProcessRun`` fields) and ``operators`` (``Operator`` fields
        each, without a least time), or ``failure``, its reason.
        If one of several interleaved rows fails, the others are timed without it.
    """
    specs = [TimingSpec(**row) for row in job["rows"]]
    roots: Sequence[str] = job["roots"]
    torch.set_num_threads(specs[0].threads)
    answers: list[dict[str, Any]] = [{} for _ in specs]
    ready: dict[int, _Ready] = {}
    known = set(sys.modules)
    clock = clock_for(specs[0].device, specs[0].threads)
    if specs[0].device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with seeded(), precision(specs[0].dtype), torch.inference_mode():
        for number, spec in enumerate(specs):
            tree: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
            if roots:
                tree = standing_in(roots[number], roots, parse_spec(spec.spec))
            try:
                with tree:  # leaving it may fail, too
                    first = _first(clock, spec)
                ready[number] = first
            except FlopbenchError as error:
                answers[number] = {"failure": error.line}
        while ready:
            try:
                _sample(specs, ready, job, answers)
                break
            except _Failed as failed:  # the others are timed again without it
                answers[failed.place] = {"failure": failed.error.line}
                del ready[failed.place]
    late = imported_late(roots, known) if roots else ""
    if late:
        failure = f"{late} is imported inside forward, so its revision is unknown"
        return [{"failure": answer.get("failure", failure)} for answer in answers]
    return answers


def _sample(
    specs: Sequence[TimingSpec],
    ready: Mapping[int, _Ready],
    job: Mapping[str, Any],
    answers: list[dict[str, Any]],
) -> None:
    """Time the calls that are ready, and fill in the answers."""
    clock = clock_for(specs[0].device, specs[0].threads)
    calls = [guarded(specs[place], place, one.call) for place, one in ready.items()]
    results = sample(
        clock,
        calls,
        budget_s=job["budget_s"],
        fewest=job["fewest"],
        best_pace_s=job["best_pace_s"],
    )
    for (place, one), sampled in zip(ready.items(), results, strict=True):
        spec = specs[place]
        run = run_fields(sampled, one.first_s)
        columns = run["columns"]
        # With several models in one process, memory cannot be attributed to one of them.
        run["peak_bytes"] = peak_bytes(spec.device) if len(ready) == 1 else None
        run.update(watch_gpu(spec, one.call), flags=precision_facts())
        if isinstance(clock, CudaClock) and job["graphs"] and not spec.cuda_graph:
            columns |= _graph_column(clock, one.call, len(columns["gpu_s"]))
        answers[place] = {"run": run}
        if job["operators"] and not spec.compiled:
            answers[place]["operators"] = _operators(one.eager, spec)


def run_fields(sampled: Sampled, first_s: float, parts: int = 1) -> dict[str, Any]:
    """Return the fields of ``ProcessRun`` that the loop gives, where a call has so many parts."""
    run: dict[str, Any] = {name: getattr(sampled, name) for name in sampled.__struct_fields__}
    return {
        **run,
        "first_s": round(first_s / parts, DIGITS),
        "warm_up_calls": sampled.warm_up_calls * parts,
        "calls_per_sample": sampled.calls_per_sample * parts,
        "paces": [round(seconds, DIGITS) for seconds in sampled.paces],
        **{
            kind: {
                name: [round(seconds / parts, DIGITS) for seconds in values]
                for name, values in getattr(sampled, kind).items()
            }
            for kind in ("columns", "left_out")
        },
    }


def _graph_column(clock: CudaClock, call: Callable[[], Any], samples: int) -> dict[str, Any]:
    """Capture a graph and time its replays; last, because a capture takes memory.

    Returns:
        ``graph_s``, or nothing if the call cannot be captured.
    """
    try:
        replay = replaying(call)
    except Exception:  # the model synchronises somewhere, or memory is short
        return {}
    replay()
    return {"graph_s": [round(clock.device_s(replay), DIGITS) for _ in range(samples)]}


def _operators(call: Callable[[], Any], spec: TimingSpec) -> list[dict[str, Any]]:
    """List the operators of a call; none where it compiles, or torch's modes cannot follow it."""
    if "torch._dynamo" in sys.modules and compiled_graphs():
        return []
    try:
        return to_builtins(operators_of(call, TORCH_DTYPES[spec.dtype]))
    except (Exception, SystemExit):  # whatever a model raises under a mode
        return []


class _Failed(Exception):
    """One of several calls failed while they were timed."""

    def __init__(self, place: int, error: FlopbenchError) -> None:
        super().__init__(place, error)
        self.place, self.error = place, error


def guarded(spec: TimingSpec, place: int, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call such that its errors name its row. Costs a tenth of a microsecond."""

    def run() -> Any:
        try:
            return call()
        except (Exception, SystemExit) as error:
            raise _Failed(place, explanation(spec, "the model failed", error)) from error

    return run


class _Ready(NamedTuple):
    """A call that has run once, and what it runs eagerly where it replays a graph."""

    call: Callable[[], Any]
    first_s: float
    eager: Callable[[], Any]


def _first(clock: Clock, spec: TimingSpec) -> _Ready:
    """Prepare a call and run it once, after which a graph of it can be captured."""
    call = eager = prepare(spec)
    before = compiled_graphs() if spec.compiled else None
    with explained(spec, "torch.compile failed" if spec.compiled else "the model failed"):
        first_s = first_call(clock, call)
    if before is not None and compiled_graphs() == before:
        raise MeasureError("torch.compile compiled none of it: the eager model ran")
    if spec.cuda_graph:
        with explained(spec, "capturing a CUDA graph failed"):
            call = replaying(call)
    return _Ready(call, first_s, eager)


def peak_bytes(device: str) -> int | None:
    """Return the peak memory of this process: allocated on CUDA, resident on a CPU."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    if device != "cpu":
        return None
    return peak_resident_bytes()
