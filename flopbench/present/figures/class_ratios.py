"""Both ratios of each class, of one run or of several side by side, as records."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from flopbench.core.remarks import Remark
from flopbench.core.units import Words, common_words, number_of
from flopbench.present.figures.caption import Caption, FigureTable, listed
from flopbench.present.figures.class_choice import HIGH, USAGE
from flopbench.present.figures.inputs.logs import left_out, videos_text
from flopbench.present.figures.ratios import Ratio, Resolutions

Which = Literal["both", "high", "usage"]


class ClassRatios(Struct, frozen=True, kw_only=True):
    """One class, or all videos (without a name).

    Attributes:
        frames_among: at resolutions that run their own network.
        frames_high: at the highest of them; None where not requested.
        high: relative high-resolution usage; None where not requested or 0 / 0.
        usage: resolution usage; None where not requested.
    """

    name: str
    videos: int
    frames: int
    frames_among: int
    frames_high: int | None
    high: Ratio | None
    usage: Ratio | None

    @property
    def columns(self) -> dict[str, object]:
        """What the table has of it."""
        columns: dict[str, object] = {
            "class": self.name,
            "videos": self.videos,
            "frames_high": self.frames_high,
            "frames_among": self.frames_among,
            "frames": self.frames,
        }
        named = {"relative_high_resolution_usage": self.high, "resolution_usage": self.usage}
        for name, ratio in named.items():
            columns[name] = ratio and ratio.share
            columns[f"{name}_ci95_low"] = ratio and ratio.low
            columns[f"{name}_ci95_high"] = ratio and ratio.high
            columns[f"{name}_interval"] = ratio and ratio.method
        return columns


class Classes(Struct, frozen=True, kw_only=True):
    """Classes of one run.

    Attributes:
        others: further actions that process frames without running their own network.
        classes: those drawn, the first on top.
        views: of all videos.
        notes: what qualifies the ratios.
        warnings: from reading, and where the figure departs from the request.
    """

    run: str
    source: str
    resolutions: Resolutions
    others: tuple[str, ...]
    ratio: Which
    classes: tuple[ClassRatios, ...]
    views: int
    whole: ClassRatios
    notes: tuple[str, ...]
    warnings: tuple[Remark, ...]
    words: Words

    @property
    def series(self) -> tuple[str, ...]:
        """The ratios that are drawn: ``HIGH``, ``USAGE`` or both."""
        return {"both": (HIGH, USAGE), "high": (HIGH,), "usage": (USAGE,)}[self.ratio]

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        among, steps = listed(self.resolutions.among), self.words.steps
        sentences = []
        if HIGH in self.series:
            sentences.append(f"{HIGH.capitalize()}: {steps} at {self.resolutions.high} of {among}.")
        if USAGE in self.series:
            sentences.append(f"{USAGE.capitalize()}: {steps} at {among} of all {steps}.")
        if self.others:
            sentences.append(
                f"{listed(self.others)}: without a network of its own, so in neither numerator."
            )
        many = videos_text(self.words, self.whole.videos, self.views)
        files = f"{self.run}: {many}, {self.source}."
        defined = sentences[: len(self.series)]
        sentences += [
            *self.notes,
            "Top row and dashed: the whole run.",
            files,
            *left_out(self.warnings),
        ]
        return Caption(
            title=f"Resolutions by class: {self.run}",
            sentences=tuple(sentences),
            short=(*defined, "Lines: 95 % intervals. Top row and dashed: the whole run."),
            alt=self._alt,
            warnings=self.warnings,
        )

    @property
    def _alt(self) -> str:
        parts = [f"Dots of {listed(self.series)} for {number_of(len(self.classes), 'class')}."]
        for series in self.series:
            known = [(r.share, c.name) for c in self.classes if (r := ratio_in(c, series))]
            if known:
                low, high = min(known), max(known)
                parts.append(
                    f"{series.capitalize()}: from {low[0]:.1%} ({low[1]}) to {high[0]:.1%} "
                    f"({high[1]})."
                )
        return " ".join(parts)

    @property
    def table(self) -> FigureTable:
        """One row a class that is drawn, and one for the whole run."""
        rows = [{"row": "class", **one.columns} for one in self.classes]
        return FigureTable.of([*rows, {"row": "whole run", **self.whole.columns}])


def ratio_in(one: ClassRatios, series: str) -> Ratio | None:
    """Return one of a class's ratios, ``HIGH`` or ``USAGE``."""
    return one.high if series == HIGH else one.usage


class ClassesOfRuns(Struct, frozen=True, kw_only=True):
    """The same classes of several runs, by one ratio."""

    runs: tuple[Classes, ...]

    @property
    def words(self) -> Words:
        """What the logs call their samples and steps."""
        return common_words(run.words for run in self.runs)

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure: what several runs share once."""
        captions = [one.caption for one in self.runs]
        return Caption(
            title=f"Resolutions by class: {listed([one.run for one in self.runs])}",
            sentences=tuple(dict.fromkeys(text for own in captions for text in own.sentences)),
            alt=" ".join(
                f"{one.run}: {own.alt}" for one, own in zip(self.runs, captions, strict=True)
            ),
            warnings=tuple(dict.fromkeys(text for own in captions for text in own.warnings)),
        )

    @property
    def table(self) -> FigureTable:
        """The rows of each run, after its name."""
        tables = [(one.run, one.table) for one in self.runs]
        return FigureTable(
            header=("run", *tables[0][1].header),
            rows=tuple((name, *row) for name, own in tables for row in own.rows),
        )
