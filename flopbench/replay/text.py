"""Replays as tables, for the terminal, Markdown and LaTeX, and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flopbench.core.grid import Grid, columns, to_csv
from flopbench.core.statistics import PERCENTILE_SAMPLES
from flopbench.core.tables import Tables, grid_of
from flopbench.core.units import gflops, millions, milliseconds, number_of
from flopbench.estimate.wording import range_text
from flopbench.replay.against import Against, Prices, against, against_grid
from flopbench.replay.figures import (
    FACTORS,
    PARTS_MEANING,
    PERCENTILES,
    ModeFigures,
    figures_of,
    warnings_of,
    work_of,
)
from flopbench.replay.records import Replay
from flopbench.timing.text import Notes, maybe

CHAIN = f"theory × arms × fragmentation × policy × synchronisation = measured. {PARTS_MEANING}"
LABELS = ("replay", "waterfall", "arms", "executed")
ARRANGED = {
    "online": "one video at a time, one frame per call",
    "split": "batches of {group} videos, each action's frames in one call",
    "bucketed": "groups of {group} videos, a network runs when {bucket} frames wait for it",
}


def replay_tables(replays: Sequence[Replay], prices: Prices | None = None) -> Tables:
    """Return replays, ready to be shown, beside predictions if there are prices.

    The JSON is that of one replay, as its file has it.
    """
    predicted: list[Mapping[str, Against]] = [{} for _ in replays]
    if prices is not None:
        predicted = [{mode: against(one, mode, prices) for mode in one.modes} for one in replays]
    every = [{mode: figures_of(one, mode) for mode in one.modes} for one in replays]
    grids: dict[str, Grid] = {}
    for number, (replay, figures) in enumerate(zip(replays, every, strict=True), 1):
        suffix = f"-{number}" if len(replays) > 1 else ""
        names = [f"{word}{suffix}" for word in LABELS]
        grids |= zip(names, replay_grids(replay, figures), strict=True)
        if prices is not None:
            grids[f"predicted{suffix}"] = against_grid(predicted[number - 1], prices)
    pairs = zip(replays, every, strict=True)
    doubts = [text for own in predicted for one in own.values() for text in one.warnings]
    return Tables(
        grids=grids,
        csv=lambda: replay_csv(replays, every, predicted),
        json=lambda: "".join(replay.dumps() for replay in replays),
        warnings=[
            *(text for replay, figures in pairs for text in warnings_of(replay, figures)),
            *dict.fromkeys(doubts),
        ],
    )


def replay_grids(replay: Replay, figures: Mapping[str, ModeFigures]) -> list[Grid]:
    """Lay out a replay: times, the waterfall, the components, and what was executed."""
    return [
        _times_grid(replay, figures),
        _waterfall_grid(figures),
        _arms_grid(replay, figures),
        _executed_grid(replay),
    ]


def _times_grid(replay: Replay, figures: Mapping[str, ModeFigures]) -> Grid:
    on = f" on {replay.dataset}" if replay.dataset else ""
    what = f"{number_of(replay.videos, 'video')}, {replay.steps:,} steps"
    primary, secondary = replay.clocks
    secondaries = (f"baseline, {secondary}", f"adaptive, {secondary}")
    rows = [
        {
            "mode": mode,
            "baseline ms/video": milliseconds(own.waterfall.baseline_s),
            "adaptive": milliseconds(own.waterfall.chain_s["full"]),
            "videos/s": f"{own.videos_per_s:.4g}",
            **{f"p{q} ms": maybe(own.latency_s[q], milliseconds) for q in PERCENTILES},
            **dict(zip(secondaries, map(milliseconds, own.secondary_s), strict=True)),
        }
        for mode, own in figures.items()
    ]
    arranged = (
        f"{mode}: {ARRANGED[mode].format(group=shape.group, bucket=shape.bucket)}."
        for mode, shape in replay.modes.items()
        if mode in ARRANGED
    )
    general = (
        f"Primary clock: {primary}; secondary: {secondary}. p50 to p99: ms until a video was done; "
        f"p90 needs {PERCENTILE_SAMPLES[90]} videos (split: batches), p99 "
        f"{PERCENTILE_SAMPLES[99]}; - if there are fewer."
    )
    notes = [f"Note: {note}." for note in replay.notes]
    return grid_of(
        f"{replay.method}{on}, replayed: {what}",
        rows,
        ["mode"],
        spare=(*secondaries, *(f"p{q} ms" for q in reversed(PERCENTILES))),
        lower=("adaptive",),
        higher=("videos/s",),
        caption=(
            *arranged,
            f"Baseline: {replay.baseline.text}. No policy, no LSTM.",
            general,
            "adaptive and videos/s: the baseline's median × the median ratio to the baseline of "
            "the same round, not the median of raw times.",
            _settings(replay),
            *notes,
        ),
        stay=(general, *notes),
    )


def _waterfall_grid(figures: Mapping[str, ModeFigures]) -> Grid:
    chains = {mode: own.waterfall for mode, own in figures.items()}
    rows = [
        {
            "mode": mode,
            **{name: f"{getattr(chain, name):.3f}" for name in ("theory", *FACTORS, "measured")},
            "95 %": range_text(chain.interval, 3),
            "realised": f"{100 * chain.realised:.0f} %",
        }
        for mode, chain in chains.items()
    ]
    return grid_of(
        "From the theoretical speed-up to the measured one",
        rows,
        ["mode"],
        spare=("95 %", "realised"),
        caption=(
            CHAIN,
            "95 %: the wider of a bootstrap over processes and rounds and Student's t over "
            "processes; - for fewer than three processes.",
        ),
    )


def _arms_grid(replay: Replay, figures: Mapping[str, ModeFigures]) -> Grid:
    notes = Notes()
    rows = []
    for name, part in replay.parts.items():
        shown = f"{name} ({part.variant})" if part.variant else name
        cells = [notes.mark(shown, [part.note] if part.note else [])]
        cells += [part.spec, millions(part.dense_macs)]
        cells.append(f"{(part.arm_runs + part.policy_runs) / replay.videos:.3f}")
        for own in figures.values():
            cells.append(maybe(own.waterfall.unit_s.get(name), milliseconds))
            cells.append(maybe(own.batch.get(name), "{:.2f}".format))
        rows.append(tuple(cells))
    by_mode = (title for mode in figures for title in (f"{mode} ms/item", "batch"))
    work = work_of(replay)
    base, adaptive, policy = (
        f"{gflops(macs):.4f}" for macs in (work.baseline_macs, work.adaptive_macs, work.policy_macs)
    )
    return Grid(
        title="By component",
        columns=columns(
            ["component", "network", "MMACs", "runs/video", *by_mode],
            ["component", "network"],
            spare=["network", "batch", "runs/video"],
        ),
        rows=tuple(rows),
        footnotes=tuple(notes.numbers),
        caption=(
            f"GMACs per video: baseline {base}, adaptive {adaptive}, of which {policy} policy and "
            f"LSTM; dense MACs by {replay.counter}.",
            "ms/item: time per item in a full batch; batch: mean items per call.",
        ),
    )


def _executed_grid(replay: Replay) -> Grid:
    modes = [replay.runs[0].modes[mode].executed for mode in replay.modes]
    rows = [
        (name, f"{n:,}", *(f"{own.decisions[i]:,}" for own in modes))
        for i, (name, n) in enumerate(replay.actions.items())
    ]
    rows += [
        (f"exit {name}", f"{n:,}", *(f"{own.exits[i]:,}" for own in modes))
        for i, (name, n) in enumerate(replay.exits.items())
    ]
    calls = [sum(n for sizes in own.arms.values() for n in sizes.values()) for own in modes]
    rows.append(("host waits", "-", *(f"{own.reads:,}" for own in modes)))
    rows.append(("arms' calls", "-", *(f"{n:,}" for n in calls)))
    return Grid(
        title="Decisions in the log, and executed in each round",
        columns=columns(["action", "in the log", *replay.modes], ["action"]),
        rows=tuple(rows),
        caption=("Executed decisions equal the log's: a replay in which they differ is refused.",),
    )


def replay_csv(
    replays: Sequence[Replay],
    figures: Sequence[Mapping[str, ModeFigures]],
    predicted: Sequence[Mapping[str, Against]] = (),
) -> str:
    """Return one line per mode, times in seconds; a prediction has further columns."""
    header = (
        *("method", "mode", "videos", "baseline_s", "adaptive_s", "theory", *FACTORS),
        *("measured", "low95", "high95", "realised"),
        *("p50_s", "p90_s", "p99_s", "videos_per_s", "clock", "device", "processes"),
    )
    lines = []
    every = predicted or [{} for _ in replays]
    for replay, modes, known in zip(replays, figures, every, strict=True):
        for mode, own in modes.items():
            lines.append(_line(replay, mode, own))
            if mode in known:
                ends = known[mode].interval_s or (None, None)
                lines[-1] = (*lines[-1], known[mode].predicted_s, *ends)
    more = ("predicted_s", "predicted_low95_s", "predicted_high95_s")
    return to_csv((*header, *more) if any(predicted) else header, lines)


def _line(replay: Replay, mode: str, own: ModeFigures) -> tuple[object, ...]:
    chain = own.waterfall
    return (
        *(replay.method, mode, replay.videos, chain.baseline_s, chain.chain_s["full"]),
        *(getattr(chain, name) for name in ("theory", *FACTORS, "measured")),
        *(chain.interval or (None, None)),
        *(chain.realised, *(own.latency_s[q] for q in PERCENTILES), own.videos_per_s),
        *(replay.clocks[0], replay.device.name, len(replay.runs)),
    )


def _settings(replay: Replay) -> str:
    own, torch = replay.settings, replay.device.facts.get("torch.version")
    return (
        f"{own.text(replay.device.name)}; {own.repeats_text(len(replay.runs))}, {own.frames_text}, "
        f"random weights, seed {own.seed}" + (f"; torch {torch}." if torch else ".")
    )
