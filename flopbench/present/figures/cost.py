"""How the cost of a video is distributed: a histogram, bars, or the cumulative distribution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.bootstrap import Interval
from flopbench.core.errors import InputError
from flopbench.core.remarks import Remark
from flopbench.core.units import CONVENTION, GIGA, Scale, Words, common_words, table_scale
from flopbench.estimate.clusters import drawn_text
from flopbench.estimate.estimator import video_costs
from flopbench.estimate.runs import Choices
from flopbench.policy.counts import WithoutRecords
from flopbench.policy.file_kinds import LOG
from flopbench.present.figures.bins import few_costs, shared_bins
from flopbench.present.figures.caption import Caption, FigureTable, listed
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.inputs.logs import (
    COLUMN,
    Log,
    NamedRun,
    charged_as,
    charged_sentences,
    left_out,
    priced,
    videos_text,
)
from flopbench.present.figures.usage import check_number
from flopbench.present.kind import NAMES, Axes, Option, kind

MOST_STEPS = 1000
"""Steps of a cumulative distribution that are drawn; a column is some 1000 dots wide in print."""


class CostsOfRun(Struct, frozen=True, kw_only=True):
    """One run; costs are of a video, in the unit of the figure.

    Attributes:
        views: of all videos; as many as videos where none has several.
        interval: of the mean, 95 %; None for a single video or cluster.
        over: what it is over: videos, or clusters of them.
        charged: components that are not charged by default; empty for none.
        counts: videos in each bin, or at each cost; empty for the cumulative distribution.
        steps: for the cumulative distribution: (cost, videos that cost at most this), ascending.
        cut: whether only some of its steps are kept.
    """

    name: str
    source: str
    words: Words
    videos: int
    views: int
    mean: float
    median: float
    least: float
    most: float
    interval: Interval | None
    over: str
    charged: str = ""
    counts: tuple[int, ...] = ()
    steps: tuple[tuple[float, int], ...] = ()
    cut: bool = False

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of its videos in each bin, or at each cost."""
        return tuple(count / self.videos for count in self.counts)


class Cost(Struct, frozen=True, kw_only=True):
    """Runs under one counter and one rule.

    Attributes:
        scale: the unit of all costs, counts being MACs.
        edges: of the bins, one more than bins; empty without bins.
        values: the costs of bars, ascending; empty without bars.
        bins_by: how the width was chosen.
        charged: sentences on components that are not charged by default.
    """

    runs: tuple[CostsOfRun, ...]
    scale: Scale
    edges: tuple[float, ...]
    values: tuple[float, ...]
    width: float
    bins_by: str
    prices: str
    charged: tuple[str, ...]
    rule: str
    warnings: tuple[Remark, ...]

    @property
    def cumulative(self) -> bool:
        """Whether the cumulative distribution is drawn."""
        return not self.edges and not self.values

    @property
    def words(self) -> Words:
        """What the runs call their samples and steps."""
        return common_words(run.words for run in self.runs)

    @property
    def unit(self) -> str:
        """The unit of costs, as papers call it: ``GFLOPS``."""
        return f"{self.scale.prefix}FLOPS"

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        sample, samples = self.words.sample, self.words.samples
        sentences = [f"Prices: {self.prices}. Rule: {self.rule}. {CONVENTION}"]
        sentences += self.charged
        if self.cumulative:
            sentences.append(f"Share of {samples} that cost at most this much.")
            if any(run.cut for run in self.runs):
                sentences.append(f"Drawn at {MOST_STEPS:,} quantiles where there are more steps.")
        elif self.values:
            many = f"{len(self.values)} different costs" if self.values[1:] else "all are equal"
            sentences.append(f"Share of each run's {samples} at each cost: {many}.")
        else:
            sentences.append(
                f"Share of each run's {samples} in bins {self.width:g} {self.unit}/{sample} wide, "
                f"each including its lower edge ({self.bins_by})."
            )
        sentences += [
            f"{self._centre(run)}, {videos_text(run.words, run.videos, run.views)}, {run.source}."
            for run in self.runs
        ]
        sentences += [*self._intervals, *left_out(self.warnings)]
        names = listed([run.name for run in self.runs])
        form = "Cumulative distribution" if self.cumulative else "Distribution"
        return Caption(
            title=f"{form} of the cost of {self.words.a_sample}: {names}",
            sentences=tuple(sentences),
            short=tuple(f"{self._centre(run)}." for run in self.runs),
            alt=" ".join(
                f"{run.name}: from {four_digits(run.least)} to {four_digits(run.most)} "
                f"{self.unit}/{run.words.sample}, mean {four_digits(run.mean)}, "
                f"median {four_digits(run.median)}."
                for run in self.runs
            ),
            warnings=self.warnings,
        )

    def _centre(self, run: CostsOfRun) -> str:
        mean = f"mean {four_digits(run.mean)}"
        if run.interval is not None:
            low, high = four_digits(run.interval.low), four_digits(run.interval.high)
            mean += f" (95 % interval {low} to {high})"
        per = f"{self.unit}/{run.words.sample}"
        return f"{run.name}: {mean}, median {four_digits(run.median)} {per}"

    @property
    def _intervals(self) -> list[str]:
        known = [(run.interval, run.over) for run in self.runs if run.interval is not None]
        notes = []
        for one in dict.fromkeys((i.method, i.resamples, i.seed, over) for i, over in known):
            method, resamples, seed, over = one
            how = f", {resamples:,} resamples, seed {seed}" if resamples else ""
            kind = f"percentile {method}" if resamples else method
            notes.append(f"Intervals of means: 95 %, {kind} over {over}{how}.")
        without = [run for run in self.runs if run.interval is None]
        alone = {run.words.sample if run.videos == 1 else "cluster" for run in without}
        notes += [f"A single {unit} has no interval." for unit in sorted(alone)]
        return notes

    @property
    def table(self) -> FigureTable:
        """One row a run and bin, a run and cost, or a run and step."""
        return FigureTable.of(
            {"run": run.name, **own, COLUMN: run.charged or None}
            for run in self.runs
            for own in self._drawn_of(run)
        )

    def _drawn_of(self, run: CostsOfRun) -> list[dict[str, object]]:
        """Return the steps, costs or bins of a run, with their share of its videos."""
        if self.cumulative:
            return [
                {
                    "gflops_per_video": self._giga(cost),
                    "videos_at_most": n,
                    "share_at_most": n / run.videos,
                }
                for cost, n in run.steps
            ]
        places = [{"gflops_per_video": self._giga(cost)} for cost in self.values] or [
            {"from_gflops_per_video": self._giga(low), "below_gflops_per_video": self._giga(high)}
            for low, high in pairwise(self.edges)
        ]
        return [
            {**place, "videos": n, "share_of_videos": n / run.videos}
            for place, n in zip(places, run.counts, strict=True)
        ]

    def _giga(self, cost: float) -> float:
        """Return a cost in GFLOPS: as whole MACs are, which the unit's quotient misses by 1e-16."""
        if self.scale.divisor == GIGA:
            return cost
        return round(cost * self.scale.divisor, 3) / GIGA


@kind(
    takes={LOG: "log"},
    options=(
        Option(
            "--cumulative",
            "draw the cumulative distribution (default: for several runs, unless there are only a "
            "few different costs)",
            const=True,
        ),
        Option("--histogram", "draw a histogram, or bars", "cumulative", const=False),
        NAMES,
    ),
    log_options=("prices", "bootstrap", "cluster", "reading"),
)
def cost(
    log: Log | Sequence[Log],
    ax: Axes | None = None,
    *,
    cumulative: bool | None = None,
    names: Sequence[str] = (),
    choices: Choices | None = None,
) -> Cost:
    """Draw the distribution of GFLOPS per video (= GMACs), one run or several.

    Args:
        log: a policy log's file or a ``Run``; or several.
        ax: where to draw; None makes a new figure.
        cumulative: draw the cumulative distribution instead of a histogram; None does for several
            runs. Where only a few different costs occur, bars take the place of the histogram, for
            several runs too.
        names: what to call the runs.
        choices: prices, rule, clusters, reading; what has no price in its table comes from the
            cache.

    Returns:
        The axes: shares of videos in percent over GFLOPS a video, or MFLOPS where costs are small.

    Raises:
        InputError: a file of another kind, a table of shares, a price that is not known, more than
            eight runs, or runs under different counters or rules.
        DataError: a defect in a log.
    """
    found = priced(log, choices, names=names)
    check_number(len(found))
    for one in found:
        if isinstance(one.run.counts, WithoutRecords):
            raise InputError(
                f"{one.run.source} is {one.run.counts.what}: it has a mean, but no costs of "
                "individual videos",
                "give the policy log itself",
            )
    rules = list(dict.fromkeys(one.run.primary.rule for one in found))
    if len(rules) > 1:
        raise CallerError(
            f": the runs are counted by the rules {listed(rules)}", "choose one, with --rule"
        )
    macs = [_macs(one) for one in found]
    scale = table_scale(max(float(own[-1]) for own in macs))
    costs = [own / scale.divisor for own in macs]
    prices = [f"{one.run.prices.counted_by}, {one.run.table}" for one in found]
    values = () if cumulative else few_costs(costs)
    binned = not values and (cumulative is False or (cumulative is None and len(found) == 1))
    edges, width, bins_by = shared_bins(costs) if binned else ([], 0.0, "")
    return Cost(
        runs=tuple(_run(o, c, scale, edges, values) for o, c in zip(found, costs, strict=True)),
        scale=scale,
        edges=tuple(edges),
        values=values,
        width=width,
        bins_by=bins_by,
        prices="; ".join(dict.fromkeys(prices)),
        charged=tuple(charged_sentences(found)),
        rule=rules[0],
        warnings=tuple(dict.fromkeys(text for one in found for text in one.run.warnings)),
    )


def _macs(one: NamedRun) -> Any:
    """Return the costs of videos, ascending."""
    import numpy as np

    macs = video_costs(one.run.counts, one.run.prices, one.run.primary.rule)  # type: ignore[arg-type]
    return np.sort(macs)


def _run(
    one: NamedRun, costs: Any, scale: Scale, edges: Sequence[float], values: Sequence[float]
) -> CostsOfRun:
    """Return one run; costs are ascending, and in the unit."""
    import numpy as np

    counts: tuple[int, ...] = ()
    steps: tuple[tuple[float, int], ...] = ()
    cut = False
    if edges:
        counts = tuple(np.histogram(costs, edges)[0].tolist())
    elif values:
        middles = [(low + high) / 2 for low, high in pairwise(values)]
        counts = tuple(np.bincount(np.digitize(costs, middles), minlength=len(values)).tolist())
    else:
        ends = np.flatnonzero(np.append(costs[1:] > costs[:-1], True))
        if len(ends) > MOST_STEPS:
            cut = True
            ranks = np.linspace(0, len(costs) - 1, MOST_STEPS).round().astype(int)
            # Of equal costs the last: a step is drawn whole.
            ends = np.unique(ends[np.searchsorted(ends, ranks)])
        steps = tuple((float(costs[end]), int(end) + 1) for end in ends)
    factor, own = GIGA / scale.divisor, one.run.interval
    return CostsOfRun(
        name=one.name,
        source=str(one.run.source),
        words=one.run.header.words,
        videos=len(costs),
        views=one.run.primary.records,
        mean=factor * one.run.primary.gflops_per_video,
        median=float(np.median(costs)),
        least=float(costs[0]),
        most=float(costs[-1]),
        interval=own and replace(own, low=factor * own.low, high=factor * own.high),
        over=drawn_text(one.run.clusters, one.run.header.words),
        charged=charged_as(one.run),
        counts=counts,
        steps=steps,
        cut=cut,
    )


def four_digits(number: float) -> str:
    """Print a number with four significant digits, trailing zeros included."""
    return f"{number:#.4g}".rstrip(".") if number else "0"
