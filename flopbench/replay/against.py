"""A prediction beside what a replay measured: the same calls × measured times, and overheads.

The calls are those that the replay executed, and the videos the same, so only the times may differ.
The interval of a prediction is where a repeat of its timings is expected, all of them moved
together; the measured time, a median of processes as well, belongs inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from flopbench.core.grid import Grid
from flopbench.core.remarks import Remark
from flopbench.core.statistics import Ends
from flopbench.core.tables import grid_of
from flopbench.core.units import milliseconds
from flopbench.replay.figures import figures_of
from flopbench.replay.overheads import (
    Overheads,
    load_overheads,
    overheads_of,
    refuse_unlike,
    times_by,
)
from flopbench.replay.records import Replay
from flopbench.timing.file import TimingFile, load_files


class Prices(Struct, frozen=True, kw_only=True):
    """What predictions are made of: times and overheads, and the names of their files."""

    times: TimingFile | Overheads
    overheads: Overheads | None = None
    times_name: str = "the timing file"
    overheads_name: str = "the overheads file"

    @property
    def source(self) -> str:
        """The names of the files."""
        both = self.overheads is not None and self.times is not self.overheads
        return f"{self.times_name} and {self.overheads_name}" if both else self.times_name


class Against(Struct, frozen=True, kw_only=True):
    """One mode of a replay: seconds a video, predicted and measured.

    Attributes:
        interval_s: of the prediction, 95 %; None where something was timed in one process.
        warnings: of doubtful times.
    """

    predicted_s: float
    interval_s: Ends | None
    measured_s: float
    warnings: tuple[Remark, ...] = ()

    @property
    def difference(self) -> float:
        """Prediction over measurement, less one."""
        return self.predicted_s / self.measured_s - 1

    @property
    def inside(self) -> bool | None:
        """Whether the interval holds the measured time; None without one."""
        ends = self.interval_s
        return None if ends is None else ends[0] <= self.measured_s <= ends[1]


def load_prices(times: Sequence[str | Path], overheads: str | Path | None = None) -> Prices:
    """Read the files of predictions; without files of times overheads have those, too."""
    own = None if overheads is None else load_overheads(overheads)
    return Prices(
        times=load_files(times) if times or own is None else own,
        overheads=own,
        times_name=", ".join(map(str, times)) or str(overheads),
        overheads_name=str(overheads),
    )


def against(replay: Replay, mode: str, prices: Prices) -> Against:
    """Predict one mode of a replay."""
    executed = replay.runs[0].modes[mode].executed
    sizes: dict[str, dict[int, int]] = {}
    for name, called in [*executed.arms.items(), *executed.policy.items()]:
        of_name = sizes.setdefault(name, {})
        for n, times in called.items():
            of_name[int(n)] = of_name.get(int(n), 0) + times
    wanted = {name: replay.parts[name].spec for name in sizes}
    setting, timed, facts, remarks = times_by(
        prices.times, wanted, sizes, replay.settings.dtype, prices.times_name
    )
    refuse_unlike(
        (replay.settings, replay.device, "the replay"), (setting, facts, prices.times_name)
    )
    parts = [
        (one.run_s, one.repeat_s, sum(n * times for n, times in sizes[name].items()))
        for name, one in timed.items()
    ]
    if prices.overheads is not None:
        prices.overheads.mode(mode, prices.overheads_name)
        measured = prices.overheads.settings, prices.overheads.device, prices.overheads_name
        refuse_unlike(measured, (setting, facts, prices.times_name))
        own = overheads_of(prices.overheads, mode)
        fragments = sum(sum(called.values()) for called in executed.arms.values())
        for one, often in ((own.per_decision, executed.decided), (own.per_fragment, fragments)):
            parts.append((one.host_s, one.repeat_s, often))
    known = [(repeat, often) for _, repeat, often in parts if repeat is not None]
    ends = None
    if len(known) == len(parts):
        low, high = (
            sum(repeat[end] * often for repeat, often in known) / replay.videos for end in (0, 1)
        )
        ends = (max(low, 0.0), high)
    return Against(
        predicted_s=sum(seconds * often for seconds, _, often in parts) / replay.videos,
        interval_s=ends,
        measured_s=figures_of(replay, mode).waterfall.chain_s["full"],
        warnings=remarks,
    )


def against_grid(found: Mapping[str, Against], prices: Prices) -> Grid:
    """Lay out predictions beside what was measured."""
    rows = [
        {
            "mode": mode,
            "predicted ms/video": milliseconds(one.predicted_s),
            "95 %": "-"
            if one.interval_s is None
            else " to ".join(map(milliseconds, one.interval_s)),
            "measured": milliseconds(one.measured_s),
            "difference": f"{100 * one.difference:+.1f} %".replace("-", "−"),
            "interval": {True: "inside", False: "outside", None: "-"}[one.inside],
        }
        for mode, one in found.items()
    ]
    what = "and overheads" if prices.overheads is not None else "without overheads"
    caption = (
        f"Predicted: the executed calls × measured times, {what}. 95 %: where a repeat of the "
        "timings is expected; interval: whether it holds the measured time.",
    )
    return grid_of(f"Predicted by {prices.source}, and measured", rows, ["mode"], caption=caption)
