"""How costs are worded and rounded: the log's own nouns, one unit a table, digits by interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from flopbench.core.statistics import Ends
from flopbench.core.units import (
    GIGA,
    Scale,
    Words,
    common_words,
    interval_decimals,
    milliseconds,
    table_scale,
)
from flopbench.estimate.runs import Run

SHORT = {"video": "v", "frame": "f"}
"""As AR-Net's Table 3 (ECCV 2020) abbreviates them."""


class Costs(Struct, frozen=True, kw_only=True):
    """The words and the unit of the costs of one table."""

    words: Words
    scale: Scale

    @property
    def unit(self) -> str:
        """The unit, as papers call it: ``GFLOPS``."""
        return f"{self.scale.prefix}FLOPS"

    @property
    def per_sample(self) -> str:
        """The heading of costs of a sample."""
        return f"{self.unit}/{self.words.sample}"

    @property
    def per_step(self) -> str:
        """The heading of costs of a step."""
        return f"{self.unit}/{self.words.step}"

    @property
    def short_per_sample(self) -> str:
        """The same where space is short: ``GFLOPS/v``."""
        return f"{self.unit}/{SHORT.get(self.words.sample, self.words.sample)}"

    @property
    def short_per_step(self) -> str:
        """The same for a step: ``GFLOPS/f``."""
        return f"{self.unit}/{SHORT.get(self.words.step, self.words.step)}"

    @property
    def short_ms(self) -> str:
        """The heading of times of a sample: ``ms/v``."""
        return f"ms/{SHORT.get(self.words.sample, self.words.sample)}"

    def of(self, gflops: float) -> float:
        """Return a cost in the unit."""
        return gflops * (GIGA / self.scale.divisor)

    def text(self, gflops: float | None, decimals: int | None = None) -> str:
        """Print a cost, as the unit prints counts unless ``decimals`` are given."""
        if gflops is None:
            return "-"
        value = self.of(gflops)
        if decimals is None and value and abs(value) < 10.0 ** (1 - self.scale.decimals):
            return f"{value:.2e}"
        return f"{value:.{self.scale.decimals if decimals is None else decimals}f}"

    def column(
        self,
        gflops: Sequence[float | None],
        relative: Sequence[float | None],
        *,
        apart: bool = False,
    ) -> tuple[list[str], int]:
        """Print a column with two digits of its narrowest interval; return cells and decimals.

        ``relative`` is of each cost half the width of its interval as a share of it, None without
        one; ``apart`` makes different costs differ in print.
        """
        known = [value for value in gflops if value is not None]
        halves = [self.of(v) * r for v, r in zip(gflops, relative, strict=True) if v and r]
        if not halves:
            return [self.text(value) for value in gflops], self.scale.decimals
        decimals = interval_decimals(halves, self.scale.decimals)
        while apart and decimals < self.scale.decimals:
            if len({self.text(v, decimals) for v in known}) == len(set(known)):
                break
            decimals += 1
        return [self.text(value, decimals) for value in gflops], decimals

    def range(self, ends: Ends | None, decimals: int, sign: str = "") -> str:
        """Print an interval: ``18.0 to 23.3``."""
        return range_text(None if ends is None else tuple(map(self.of, ends)), decimals, sign)


def costs_of(runs: Sequence[Run]) -> Costs:
    """Return how the costs of some runs are shown beside each other."""
    largest = max(run.primary.gflops_per_video for run in runs)
    words = common_words(run.header.words for run in runs)
    return Costs(words=words, scale=table_scale(largest * GIGA))


def relative_halves(
    values: Sequence[float | None], ends: Sequence[Ends | None]
) -> list[float | None]:
    """Return half the width of each value's interval as a share of the value; None without one."""
    return [
        (own[1] - own[0]) / 2 / abs(value) if value and own is not None else None
        for value, own in zip(values, ends, strict=True)
    ]


def half_widths(ends: Iterable[Ends | None]) -> list[float]:
    """Return half the width of each interval that there is."""
    return [(own[1] - own[0]) / 2 for own in ends if own is not None]


def range_text(ends: tuple[float, ...] | None, decimals: int, sign: str = "") -> str:
    """Print an interval: ``18.0 to 23.3``; ``sign`` is ``+`` for differences."""
    return "-" if ends is None else " to ".join(f"{end:{sign}.{decimals}f}" for end in ends)


def ms_column(
    values: Sequence[float | None], ends: Sequence[Ends | None], sign: str = ""
) -> tuple[list[str], list[str]]:
    """Print times in ms and their intervals, with two digits of the narrowest."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    most = len(milliseconds(largest / 1e3).partition(".")[2])
    decimals = interval_decimals(half_widths(ends), most)
    cells = ["-" if value is None else f"{value:{sign}.{decimals}f}" for value in values]
    return cells, [range_text(own, decimals, sign) for own in ends]
