"""From the theoretical speed-up of a policy to the measured one, as steps of a waterfall."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from flopbench.core.remarks import Remark
from flopbench.core.statistics import Ends
from flopbench.core.units import CONVENTION, interval_decimals, ms
from flopbench.policy.file_kinds import REPLAY
from flopbench.present.figures.caption import Caption, FigureTable, by_key, listed
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.inputs.replays import (
    NamedReplay,
    Replays,
    check_mode,
    loaded,
    machine_text,
    terms_of,
)
from flopbench.present.kind import NAMES, Axes, Option, kind
from flopbench.replay.against import Against, Prices, against, load_prices
from flopbench.replay.figures import FACTORS, PARTS_MEANING, ModeFigures, figures_of, warnings_of

BASELINE, THEORY, MEASURED = "uniform baseline", "theory", "measured"
PREDICTED = "predicted"
UNKNOWN = 0.1
"""Numbers without an interval are rounded as if they were known to this share: processes on shared
machines differ by 8 to 16 %."""
MOST_DECIMALS = 4
MEANING = "theory: the baseline's time × the policy's MACs over the baseline's. " + PARTS_MEANING


class Step(Struct, frozen=True, kw_only=True):
    """One bar: a whole time, or what one of ``FACTORS`` adds to it.

    Attributes:
        start_s: where it begins, seconds a video; 0 for a whole time.
        factor: what the step does to the speed-up; below 1 it costs time. None for a whole time.
        speedup: the baseline's time over the time at its end.
    """

    name: str
    start_s: float
    end_s: float
    factor: float | None
    speedup: float

    @property
    def is_whole(self) -> bool:
        """Whether the bar is a time, not a difference of two."""
        return self.factor is None


class Chain(Struct, frozen=True, kw_only=True):
    """One mode of one replay.

    Attributes:
        name: what the figure calls it.
        interval: 95 % interval of the measured speed-up; None for fewer than three processes.
        predicted: what times of single networks predict, beside the measured time; None without.
    """

    name: str
    one: NamedReplay
    mode: str
    steps: tuple[Step, ...]
    interval: Ends | None
    predicted: Against | None = None

    @property
    def bars(self) -> tuple[Step, ...]:
        """The steps, and the prediction below them."""
        if self.predicted is None:
            return self.steps
        end = self.predicted.predicted_s
        whole = Step(
            name=PREDICTED,
            start_s=0.0,
            end_s=end,
            factor=None,
            speedup=self.steps[0].end_s / end if end else 0.0,
        )
        return (*self.steps, whole)

    @property
    def theory(self) -> float:
        """The speed-up by count."""
        return next(step.speedup for step in self.steps if step.name == THEORY)

    @property
    def measured(self) -> float:
        """The speed-up that was measured."""
        return self.steps[-1].speedup

    def ends_of(self, step: Step) -> Ends | None:
        """Return the interval of a bar's speed-up."""
        if step.name != PREDICTED or self.predicted is None:
            return self.interval if step.name == MEASURED else None
        ends, base = self.predicted.interval_s, self.steps[0].end_s
        return None if ends is None or not ends[0] else (base / ends[1], base / ends[0])

    def decimals(self, size: float) -> int:
        """Return the decimals of numbers of this size: to the second digit of the half-width."""
        low, high = self.interval or (1 - UNKNOWN, 1 + UNKNOWN)
        return interval_decimals([(high - low) / (high + low) * size], MOST_DECIMALS)

    def ms_text(self, seconds: float) -> str:
        """Print a time in milliseconds, as precisely as the measured one is known."""
        return f"{ms(seconds):.{self.decimals(ms(self.steps[-1].end_s))}f}"

    def speedup_text(self, speedup: float) -> str:
        """Print a speed-up, as precisely as the measured one is known."""
        return f"{speedup:.{self.decimals(self.measured)}f}"


class WaterfallFigure(Struct, frozen=True, kw_only=True):
    """Replays and their chains, one below the other, in the order of files and modes."""

    found: tuple[NamedReplay, ...]
    chains: tuple[Chain, ...]
    warnings: tuple[str, ...]
    prices: Prices | None = None

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        names = dict.fromkeys(chain.one.name for chain in self.chains)
        machines = _once(
            (machine_text(c.one.replay), f"{c.one.name} ({c.one.file})") for c in self.chains
        )
        baselines = _once((c.one.replay.baseline.text, c.one.name) for c in self.chains)
        networks = _once((_networks(one), one.name) for one in self.found)
        counters = dict.fromkeys(one.replay.counter for one in self.found)
        notes = dict.fromkeys(note for one in self.found for note in one.replay.notes)
        chains = [
            f"{c.name}: {c.theory:.2f}× by count, {c.measured:.2f}× measured" for c in self.chains
        ]
        sentences = [
            "Time of a video, from the uniform baseline to the measured adaptive program; each "
            "step starts where the one before it ends.",
            MEANING,
            *(f"Baseline of {listed(n)}: {b}, no policy, no LSTM." for b, n in baselines.items()),
            *(f"Measured by flopbench replay: {listed(n)} on {m}." for m, n in machines.items()),
            f"Counter: dense MACs by {listed(list(counters))}. {CONVENTION}",
            self._intervals(),
            *self._prediction(),
            *(f"Networks of {listed(n)}: {own}." for own, n in networks.items()),
            *(f"Note: {note}." for note in notes),
        ]
        return Caption(
            title=f"From the theoretical to the measured speed-up: {listed(list(names))}",
            sentences=tuple(sentences),
            alt=f"Waterfall of ms/video. {'; '.join(chains)}.",
            warnings=tuple(map(Remark, self.warnings)),
        )

    def _intervals(self) -> str:
        bare = [chain.name for chain in self.chains if chain.interval is None]
        text = (
            "Times: the baseline's median × the median ratio to it in the same round. 95 %: the "
            "wider of a bootstrap over processes and rounds and of Student's t over processes, of "
            "the measured speed-up"
        )
        if not bare:
            return f"{text}."
        if len(bare) == len(self.chains):
            return "No interval: fewer than three processes."
        return f"{text}; none for {listed(bare)}: fewer than three processes."

    def _prediction(self) -> list[str]:
        if self.prices is None:
            return []
        what = "and overheads" if self.prices.overheads is not None else "without overheads"
        return [
            f"Predicted: the executed calls × the times of {self.prices.source}, {what}; below, "
            "how far that is from the measured time, and where a repeat of the timings is expected."
        ]

    @property
    def table(self) -> FigureTable:
        """One row a bar."""
        rows = []
        for chain in self.chains:
            for step in chain.bars:
                ends = chain.ends_of(step) or (None, None)
                rows.append(
                    {
                        "replay": chain.one.name,
                        "mode": chain.mode,
                        "step": step.name,
                        "start_s": step.start_s,
                        "end_s": step.end_s,
                        "factor": step.factor,
                        "speedup": step.speedup,
                        "speedup_low": ends[0],
                        "speedup_high": ends[1],
                        "machine": machine_text(chain.one.replay),
                        "file": chain.one.file,
                    }
                )
        return FigureTable.of(rows)


@kind(
    takes={REPLAY: "replay"},
    options=(
        Option(
            "--mode NAME",
            "draw this mode: online, split or bucketed; repeatable (default: all)",
            "modes",
            repeat=True,
        ),
        Option(
            "--predicted FILE",
            "saved timings: draw what they predict, too; repeatable",
            repeat=True,
        ),
        Option(
            "--overheads FILE",
            "what 'flopbench replay --calibrate' saved, for the prediction; without --predicted by "
            "its times, too",
        ),
        NAMES,
    ),
)
def waterfall(
    replay: Replays,
    ax: Axes | None = None,
    *,
    modes: Sequence[str] = (),
    predicted: Sequence[str | Path] = (),
    overheads: str | Path | None = None,
    names: Sequence[str] = (),
) -> WaterfallFigure:
    """Draw where a policy's theoretical speed-up goes, step by step.

    Bars are ms/video of the uniform baseline, of the adaptive program by count, and what each step
    adds up to the measured time.

    Args:
        replay: a replay's file or record, or several, one below the other.
        ax: where to draw; None makes a new figure.
        modes: which modes, in this order; none means all.
        predicted: files of timings, of which a prediction is drawn, too.
        overheads: a file of overheads that it charges; alone it gives the times, too.
        names: what to call the replays.

    Returns:
        The axes: bars in ms/video.

    Raises:
        InputError: a file of another kind, no replay, a mode that none has, or timings that do not
            belong to a replay.
        DataError: a damaged file.
    """
    found = loaded(replay, names=names)
    if not found:
        raise CallerError(": no replay was given")
    for mode in modes:
        check_mode(mode, found)
    prices = load_prices(predicted, overheads) if predicted or overheads else None
    chains: list[Chain] = []
    warnings: list[str] = _differences(found)
    for one in found:
        asked = list(dict.fromkeys(modes or one.replay.modes))
        figures = {m: figures_of(one.replay, m) for m in asked if m in one.replay.modes}
        chains += [_chain(one, m, own, len(found) > 1, prices) for m, own in figures.items()]
        prefix = f"{one.name}: " if len(found) > 1 else ""
        warnings += [f"{prefix}{text}" for text in warnings_of(one.replay, figures)]
        warnings += [f"{prefix}no mode {m!r}; left out" for m in asked if m not in figures]
    warnings += [str(text) for c in chains if c.predicted for text in c.predicted.warnings]
    return WaterfallFigure(
        found=tuple(found),
        chains=tuple(chains),
        warnings=tuple(dict.fromkeys(warnings)),
        prices=prices,
    )


def _chain(
    one: NamedReplay, mode: str, figures: ModeFigures, several: bool, prices: Prices | None
) -> Chain:
    own = figures.waterfall
    base, ends = own.baseline_s, own.chain_s

    def step(name: str, start: float, end: float, speedup: float, factor: float | None) -> Step:
        return Step(name=name, start_s=start, end_s=end, factor=factor, speedup=speedup)

    at = ends["theory"]
    steps = [step(BASELINE, 0.0, base, 1.0, None), step(THEORY, 0.0, at, own.theory, None)]
    for name, key in zip(FACTORS, ("arms", "fragmentation", "policy", "full"), strict=True):
        steps.append(step(name, at, ends[key], base / ends[key], getattr(own, name)))
        at = ends[key]
    steps.append(step(MEASURED, 0.0, at, own.measured, None))
    name = f"{one.name}, {mode}" if several else mode
    return Chain(
        name=name,
        one=one,
        mode=mode,
        steps=tuple(steps),
        interval=own.interval,
        predicted=None if prices is None else against(one.replay, mode, prices),
    )


def _networks(one: NamedReplay) -> str:
    """Say which networks ran: ``--variant`` and ``--component`` may replace the log's."""
    return ", ".join(
        f"{name} is {part.spec}" + (f" (variant {part.variant!r})" if part.variant else "")
        for name, part in one.replay.parts.items()
    )


def _differences(found: Sequence[NamedReplay]) -> list[str]:
    """Say which settings that times depend on differ between replays."""
    first = terms_of(found[0].replay)
    keys = [
        key
        for key, value in first.items()
        if any(terms_of(one.replay)[key] != value for one in found[1:])
    ]
    if not keys:
        return []
    return [f"the replays differ in {listed(keys)}: compare speed-ups, not times, across them"]


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    return by_key(dict.fromkeys(pairs))
