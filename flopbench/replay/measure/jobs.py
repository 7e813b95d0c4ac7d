"""One process of a replay: build the networks, then rounds of interleaved passes.

In each round every chunk of videos (online: a video; split: a batch; bucketed: a group) goes
through its passes one after the other, in an order that rotates, so that a drift of the machine
affects all equally. The uniform baseline and the arms alone are timed at some of the chunks.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from msgspec import convert, to_builtins

from flopbench.core.errors import DataError
from flopbench.core.media import Unreadable, images_of, read_image
from flopbench.core.worker_main import tell
from flopbench.models.build.built import Built
from flopbench.models.build.by_source import build
from flopbench.models.spec import parse_spec
from flopbench.replay.measure.device import Device, open_device
from flopbench.replay.measure.executor import ExecutionCounts, Marks
from flopbench.replay.measure.networks import Network, faults, run_once
from flopbench.replay.measure.plan import ModePlan, check_executed, mode_run, passes_of, plan_mode
from flopbench.replay.parts import RECURRENT
from flopbench.replay.workload import Workload
from flopbench.timing.measure.device import check_device, device_facts
from flopbench.timing.measure.pipeline import tensor_of
from flopbench.timing.measure.precision import precision

HOT_S, FEWEST_HOT, MOST_HOT = 0.2, 2, 200
"""Seconds of calls of one network in one size, and the bounds on their number: enough to average
over a few time slices, few enough for a short replay."""

HotRows = dict[str, dict[str, list[tuple[int, float, float]]]]
"""Component -> items of a call -> (calls, seconds on either clock) of each round."""


def run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run one process; see ``replay.run`` for the job.

    Raises:
        InputError: no such device, or a model or folder that does not exist.
        DataError: an image that cannot be decoded.
        MeasureError: a model that fails, or too little memory.
    """
    check_device(job["device"], job["dtype"])
    if job["threads"] is not None:
        torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    device = open_device(job["device"], torch.get_num_threads())
    with precision(job["dtype"]) as dtype, torch.inference_mode():
        networks, notes = build_networks(job, device, dtype)
        result = replay(job, networks, device)
    return {
        **result,
        "notes": [*notes, *result["notes"]],
        "clocks": [device.primary, device.secondary],
        "device": to_builtins(device_facts(job["device"])),
    }


def build_networks(
    job: Mapping[str, Any], device: Device, dtype: torch.dtype
) -> tuple[dict[str, Network], list[str]]:
    """Build every component; return them, and notes on them; errors as ``run``."""
    images = open_images(job["frames"]) if job["frames"] else []
    together = max(max(m["group"], m["batch"]) for m in job["modes"].values())
    batch = max(m["batch"] for m in job["modes"].values())
    workload = convert(job["workload"], Workload)
    for_groups = {name for task in workload.tasks for name, _ in task.before}
    networks, without = {}, []
    for name, text in job["components"].items():
        spec = parse_spec(text)
        recurrent = spec.source in RECURRENT
        with faults("to be built", name):
            with torch.inference_mode(False):
                built = build(spec, "cpu")
            frames = frames_for(images, built) if images else None
            if images and frames is None:
                without.append(name)
            networks[name] = Network(
                name,
                built,
                device,
                dtype=dtype,
                largest=together if name in for_groups or recurrent else batch,
                recurrent=recurrent,
                channels_last=job["channels_last"],
                compiled=job["compiled"] and not recurrent,
                own_inputs=spec.is_user_code,
                frames=frames,
            )
    notes = [f"{', '.join(without)}: no images fit, so its inputs are random"] if without else []
    return networks, notes


def replay(
    job: Mapping[str, Any], networks: Mapping[str, Network], device: Device
) -> dict[str, Any]:
    """Run the rounds on built networks; return the fields of a ``ReplayProcess``.

    Raises:
        MeasureError: a model that fails, or of which ``torch.compile`` compiles nothing, or too
            little memory.
    """
    workload = convert(job["workload"], Workload)
    with faults("before the first round"):
        plans = [plan_mode(name, job, workload, networks, device) for name in job["modes"]]
        for plan in plans:
            _warm_up(plan, networks, device, everything=job["compiled"])
        for network in networks.values():
            network.settle()
    sizes = _sizes_between(plans) if "hot" in job else {}
    hot: HotRows = {name: {} for name in sizes}
    done, total = 0, job["rounds"] * len(plans) * len(workload.videos)
    tell(done, total)  # what came before is no measure of what is to come
    gc.collect()
    gc.disable()
    try:
        for number in range(job["rounds"]):
            for plan in plans:
                with faults(f"in round {number + 1} of mode {plan.name}"):
                    for videos in _round(plan, number, device):
                        done += videos
                        tell(done, total, plan.name)
                check_executed(plan, workload)
            for name, own in sizes.items():
                with faults(f"in round {number + 1}", name):
                    for n in own:
                        hot[name].setdefault(str(n), []).append(_hot(networks[name], n, device))
    finally:
        gc.enable()
    notes = {
        f"{name}: not captured as CUDA graphs ({bucket.why_not_captured})"
        for plan in plans
        for name, bucket in plan.executor.buckets.items()
        if bucket.why_not_captured
    }
    modes = {plan.name: mode_run(plan, workload) for plan in plans}
    return {"modes": modes, "hot": hot, "notes": sorted(notes)}


def _sizes(plan: ModePlan) -> dict[tuple[str, int], None]:
    """Return every (component, items of a call) of a mode."""
    sizes: dict[tuple[str, int], None] = {}
    for chunk in plan.chunks:
        for tick in chunk.ticks:
            for charge in tick.charges:
                sizes |= {(name, len(charge.rows)): None for name, _ in charge.before}
        sizes |= dict.fromkeys(chunk.calls)
    return sizes


def _sizes_between(plans: Sequence[ModePlan]) -> dict[str, list[int]]:
    """Return component -> the largest size of its calls, and the powers of two below it."""
    largest: dict[str, int] = {}
    for name, n in (key for plan in plans for key in _sizes(plan)):
        largest[name] = max(n, largest.get(name, 0))
    powers = [2**n for n in range(max(largest.values(), default=1).bit_length())]
    return {name: [*(n for n in powers if n < most), most] for name, most in largest.items()}


def _hot(network: Network, n: int, device: Device) -> tuple[int, float, float]:
    """Call a network again and again on ready items; return the calls, and both clocks' seconds."""
    network.bare(n)
    start = device.start()
    network.bare(n)
    once_s, _ = device.stop(start)
    calls = MOST_HOT if once_s <= 0 else min(MOST_HOT, max(FEWEST_HOT, round(HOT_S / once_s)))
    start = device.start()
    for _ in range(calls):
        network.bare(n)
    return (calls, *device.stop(start))


def _warm_up(
    plan: ModePlan, networks: Mapping[str, Network], device: Device, *, everything: bool
) -> None:
    """Run every network once in every batch size to come, and one chunk's decisions."""
    sizes = _sizes(plan)
    if plan.compared:
        sizes |= {(name, plan.batch): None for name in (*plan.arms, *(c for c, _ in plan.baseline))}
    for name, n in sizes:
        run_once(networks[name], n)
    for bucket in plan.executor.buckets.values():
        bucket.put(range(bucket.capacity), 0)
        bucket.run(bucket.capacity)
    shortest = min(plan.chunks, key=lambda chunk: sum(n for _, n in chunk.calls))
    if device.kind != "cpu" or len(shortest.videos) == 1:  # a whole batch takes long on a CPU
        plan.executor.whole(shortest.ticks, len(shortest.videos))
    for chunk in plan.chunks if everything else ():  # compiled networks compile for each shape
        for _, work in passes_of(plan, chunk).values():
            work()
    device.synchronise()
    plan.executor.executed = ExecutionCounts()


def _round(plan: ModePlan, number: int, device: Device) -> Iterator[int]:
    """Run a round; after each chunk, yield the number of its videos."""
    plan.executor.executed = ExecutionCounts()
    for chunk in plan.chunks:
        passes = passes_of(plan, chunk)
        names = list(passes)
        turn = (number + chunk.number) // 2 % len(names)
        order = [*names[turn:], *names[:turn]]
        if (number + chunk.number) % 2:  # so that no pass always finds another's data in the caches
            order.reverse()
        for name in order:
            items, work = passes[name]
            start = device.start()
            marks = work()
            primary_s, secondary_s = device.stop(start)
            row = (number, chunk.number, items, primary_s, secondary_s)
            plan.rows.setdefault(name, []).append(row)
            if name == "full":
                done = _done(marks, start, device) if marks else {}
                plan.latencies += [
                    (number, video, done.get(place, primary_s))
                    for place, video in enumerate(chunk.videos)
                ]
        yield len(chunk.videos)


def _done(marks: Marks, start: Any, device: Device) -> dict[int, float]:
    """Return row of the chunk -> seconds until its last mark."""
    done: dict[int, float] = {}
    for rows, mark in marks:
        at = device.since(start, mark)
        for row in rows:
            done[row] = max(done.get(row, 0.0), at)
    return done


MOST_IMAGES = 64
"""Most images kept decoded: calls cycle through them, and at 6 MB each (1080p) more would fill the
memory without changing a time."""


def open_images(folder: str) -> list[Any]:
    """Decode the images of a folder, in the order of their names."""
    try:
        return [read_image(path) for path in images_of(Path(folder), "--frames")[:MOST_IMAGES]]
    except Unreadable as error:
        raise DataError(str(error)) from None


def frames_for(images: list[Any], built: Built) -> torch.Tensor | None:
    """Return (n, 3, height, width) floats in [0, 1] of a model's input size; None if not images."""
    sample = built.args[0] if built.args else next(iter(built.kwargs.values()), None)
    if not isinstance(sample, torch.Tensor) or sample.dim() != 4 or sample.shape[1] != 3:
        return None
    height, width = sample.shape[2:]
    return torch.stack([tensor_of(image.resize((width, height))) for image in images])
