"""What frames go through before the networks of a log, charged beside its components.

A decoder decodes every sampled frame of a video, skipped or not; images are independent, so one
that no network sees is not decoded. Colours are converted once for each frame that a network sees,
and it is resized and normalised once for each size at which networks see it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flopbench.core.errors import InputError
from flopbench.estimate.runs import Choices, Run
from flopbench.models.spec import LAYER_SOURCES, ModelSpec
from flopbench.replay.parts import timed_specs
from flopbench.replay.timed import Further, timed_component
from flopbench.timing.devices import differing
from flopbench.timing.file import TimingFile
from flopbench.timing.pipeline import parse_sizes
from flopbench.timing.records import Timing

DECODE = "decode"
HINT = "time them: flopbench latency --pipeline CLIP --resize {} -o pipeline.json"
IMAGE = re.compile(r"(?:\d+x)?3x(\d+x\d+)")
"""The shape of a network's input that is an image in RGB, or a batch of them."""


def pipeline_parts(
    run: Run,
    file: TimingFile,
    choices: Choices | None = None,
    *,
    decoded: int = 1,
    file_name: str = "the timing file",
) -> list[Further]:
    """Return what is charged for the frames of a log before its networks.

    Args:
        run: a counted log.
        file: times of its components, and of the stages of one clip.
        choices: the same as for the run.
        decoded: frames of a video that are decoded for each sampled one, itself included.
        file_name: for messages.

    Example:
        >>> file = TimingFile.load("timings.json")  # doctest: +SKIP
        >>> predict(run, file, further=pipeline_parts(run, file)).ms_per_video  # doctest: +SKIP
        846.1
    """
    choices = choices or Choices()
    specs, _ = timed_specs(run, choices)
    own = {str(one.spec): one.spec for one in specs.values()}
    networks = [row for row in file.rows if row.what.spec in own]
    inputs = {row.what.spec: row.work.input for row in networks}
    sizes = {name: _size(name, one.spec, inputs) for name, one in specs.items()}
    seen = {name: size for name, size in sizes.items() if size}
    stages = _stages(file, networks, list(dict.fromkeys(seen.values())), file_name)
    charged: dict[str, Mapping[str, Any]] = {DECODE: {"per_step": decoded}}
    if "colour" in stages:
        charged["colour"] = _once_per_frame(run, list(seen))
    else:
        charged[DECODE] = _once_per_frame(run, list(seen))
    for size in dict.fromkeys(seen.values()):
        often = _once_per_frame(run, [name for name in seen if seen[name] == size])
        charged |= {f"resize {size}": often, f"normalise {size}": often}
    return [
        Further(name=name, timed=timed_component(stages[name], file), **often)
        for name, often in charged.items()
    ]


def _size(name: str, spec: ModelSpec, inputs: Mapping[str, str]) -> str:
    """Return the size at which a network sees a frame; empty if it sees none."""
    if spec.source in LAYER_SOURCES:
        return ""
    if spec.shapes or spec.part:
        image = IMAGE.fullmatch(spec.shapes)
        return parse_sizes(image[1])[0] if image else ""
    text = spec.input or inputs.get(str(spec), "")
    if text.count("x") > 1:
        raise InputError(
            f"{name} ({spec}) takes clips of several frames: what a sampled frame goes through "
            "is not known",
            "leave out --charge-pipeline",
        )
    return parse_sizes(text)[0] if text else ""


def _stages(
    file: TimingFile, networks: Sequence[Timing], sizes: Sequence[str], file_name: str
) -> dict[str, Timing]:
    """Return the rows of the stages by name: ``decode``, ``resize 224``."""
    hint = HINT.format(",".join(sizes) or "SIZES")
    threads = {row.what.threads for row in networks}
    rows = [row for row in file.rows if row.what.stage and not row.failed]
    if not rows:
        raise InputError(f"{file_name} has no stages of a pipeline to charge", hint)
    alike = [row for row in rows if row.what.threads in threads or not threads]
    if not alike:
        there, here = (sorted({row.what.threads for row in group}) for group in (rows, networks))
        raise InputError(
            f"{file_name}: threads of the stages are {', '.join(map(str, there))}, of the networks "
            f"{', '.join(map(str, here))}",
            "times add up only where they were taken alike",
        )
    clips = list(dict.fromkeys(row.what.spec for row in alike if row.what.stage == DECODE))
    if len(clips) > 1:
        raise InputError(
            f"{file_name} has stages of several clips: {', '.join(clips)}", "name a file of one"
        )
    found = {}
    for row in alike:
        sized = row.what.stage in ("resize", "normalise")
        found[f"{row.what.stage} {row.work.input}" if sized else row.what.stage] = row
    wanted = [DECODE, *(f"{stage} {size}" for stage in ("resize", "normalise") for size in sizes)]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(f"{file_name} has no time of: {', '.join(missing)}", hint)
    _check_machine(file, found[DECODE], networks, file_name)
    return found


def _check_machine(
    file: TimingFile, stage: Timing, networks: Sequence[Timing], file_name: str
) -> None:
    """Refuse stages of another processor than that of the networks."""
    for row in networks:
        apart = differing(file.device_of(stage), file.device_of(row))
        said = [f"{key} {a!r} and {b!r}" for key, a, b in apart if key.startswith("cpu.")]
        if said:
            raise InputError(
                f"{file_name}: the stages were not timed where {row.what.spec} was: "
                f"{'; '.join(said)}",
                "times add up only where they were taken alike",
            )


def _once_per_frame(run: Run, networks: Sequence[str]) -> dict[str, Any]:
    """Return how often the frames that these networks see are charged for, each of them once."""
    plan = run.counts.plan
    charges = plan.charges
    if any(name in charges.per_step for name in networks):
        return {"per_step": 1}
    if any(name in charges.per_decision for name in networks):
        return {"per_decision": 1}
    costs = [*(action.costs for action in plan.actions), *(exit.costs for exit in plan.exits)]
    costs += [charges.per_view, charges.per_sample]
    costs += [{name: 1} for name, n in run.counts.totals().counts.items() if n]
    kept: list[str] = []
    for name in networks:
        if any(name in own and not own.keys() & set(kept) for own in costs):
            kept.append(name)
    return {"per_run": dict.fromkeys(kept, 1)}
