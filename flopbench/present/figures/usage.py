"""How often a policy chose each action: AR-Net's Figure 1a, for one run or several."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from math import nan
from typing import get_args

from msgspec import Struct

from flopbench.core.errors import InputError
from flopbench.core.remarks import Remark
from flopbench.core.units import Words, common_words, number_of
from flopbench.estimate.runs import Choices, Run
from flopbench.policy.file_kinds import LOG
from flopbench.present.figures.caption import MOST_LOOKS, Caption, FigureTable, listed
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.inputs.logs import Log, counted, left_out, logs_of, videos_text
from flopbench.present.figures.shares import EXITS, Of, UsageOfRun, usage_of_run
from flopbench.present.kind import NAMES, Axes, Option, kind


class Usage(Struct, frozen=True, kw_only=True):
    """Runs side by side.

    Attributes:
        actions: the bars: every action of any run, grouped by stream; the group of a stream's small
            ones comes last, if requested.
        wholes: of each bar, what its share is part of: see ``Share.whole``.
        groups: bar -> the actions that it draws together.
        grouped_below: the share below which actions are grouped; None where not requested.
    """

    runs: tuple[UsageOfRun, ...]
    actions: tuple[str, ...]
    wholes: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    grouped_below: float | None
    of: Of
    warnings: tuple[Remark, ...]

    def bar(self, run: UsageOfRun, action: str) -> float | None:
        """Return the length of one bar, a share; None where the run has no such action."""
        parts = [run.share_of(name) for name in self.groups.get(action, (action,))]
        known = [share for share in parts if share is not None]
        return sum(known) if known else None

    @property
    def grouped(self) -> tuple[str, ...]:
        """All actions that are drawn in a group."""
        return tuple(action for group in self.groups.values() for action in group)

    @property
    def unit(self) -> str:
        """What is counted, in the plural: ``frames``, or what the logs call their rows."""
        if self.of == "decisions":
            return self.of
        return self.words.steps

    @property
    def words(self) -> Words:
        """What the runs call their samples and steps."""
        return common_words(run.words for run in self.runs)

    @property
    def label(self) -> str:
        """The label of the horizontal axis, with its unit."""
        streams = set(self.wholes) - {EXITS}
        own = f"the stream's {self.unit}" if len(streams) > 1 else self.unit
        if not streams:
            return f"share of {self._records} (%)"
        exits = f"; exits: of {self._records}" if EXITS in self.wholes else ""
        return f"share of {own}{exits} (%)"

    @property
    def _alone(self) -> bool:
        """Whether each record is a sample of its own."""
        return all(run.videos == run.views for run in self.runs)

    @property
    def _records(self) -> str:
        return self.words.samples if self._alone else "records"

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        sentences = []
        streams = set(self.wholes) - {EXITS}
        if streams:
            sentences.append(f"Share of each action, of all {self.unit}{self._why}.")
        if len(streams) > 1:
            sentences.append("Each stream's actions add up to 100 %.")
        if EXITS in self.wholes:
            views = "" if self._alone else f" (views of {self.words.samples})"
            sentences.append(f"An exit's share is of all {self._records}{views}.")
        if self.groups:
            below = f"{100 * (self.grouped_below or 0):g} %"
            parts = "; ".join(map(listed, self.groups.values()))
            sentences.append(f"Drawn together, each below {below} in every run: {parts}.")
        elif self.grouped_below is not None:
            below = f"{100 * self.grouped_below:g} %"
            sentences.append(
                f"No two actions of one stream are below {below} in every run: each is shown."
            )
        else:
            sentences.append("Every action is shown, however rare.")
        if any(self.bar(run, action) is None for run in self.runs for action in self.actions):
            sentences.append("A dash in place of a bar: that run has no such action.")
        files = "; ".join(
            f"{r.name}: {videos_text(r.words, r.videos, r.views)}, {r.source}" for r in self.runs
        )
        sentences += [f"{files}.", *left_out(self.warnings)]
        bars = number_of(len(self.actions), "action")
        return Caption(
            title=f"Policy usage: {listed([run.name for run in self.runs])}",
            sentences=tuple(sentences),
            alt=f"Bars of the share of each of {bars}. {self._tops}.",
            warnings=self.warnings,
        )

    @property
    def _why(self) -> str:
        if self.of == "frames":
            return f" (a decision over k {self.unit} counts k times)"
        if any(run.rule == "published" for run in self.runs):
            return " (published rule: a row under a decision over k of them is 1/k of a decision)"
        return f" (a decision over k {self.words.steps} counts once)"

    @property
    def _tops(self) -> str:
        tops = [max(run.shares, key=lambda s: s.share) for run in self.runs]
        return "; ".join(
            f"{run.name}: most often {top.action} ({top.share:.1%})"
            for run, top in zip(self.runs, tops, strict=True)
        )

    @property
    def table(self) -> FigureTable:
        """One row a run and action."""
        return FigureTable.of(
            {
                "run": run.name,
                "action": share.action,
                "kind": share.kind,
                self.of: share.count,
                f"share_of_{self.of}": share.share,
                "drawn_in_group": share.action in self.grouped,
            }
            for run in self.runs
            for share in run.shares
        )


def _share(text: str) -> float:
    """Read a percentage, for argparse; return a share."""
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not 0 < value < 100:
        raise ArgumentTypeError(f"{text} where a percentage between 0 and 100 was expected")
    return value / 100


@kind(
    takes={LOG: "log"},
    options=(
        Option("--of", "what the shares are shares of", choices=get_args(Of)),
        Option(
            "--group-below PERCENT",
            "draw actions below PERCENT in every run together (default: each individually)",
            type=_share,
        ),
        NAMES,
    ),
    log_options=("meaning", "reading", "shares"),
)
def usage(
    log: Log | Sequence[Log],
    ax: Axes | None = None,
    *,
    of: Of = "frames",
    group_below: float | None = None,
    names: Sequence[str] = (),
    choices: Choices | None = None,
) -> Usage:
    """Draw how often a policy chose each action (AR-Net's Figure 1a).

    Args:
        log: a policy log's file, a ``Run`` or counts; or several, side by side.
        ax: where to draw; None makes a new figure.
        of: what the shares are shares of: ``frames`` or ``decisions``.
        group_below: draw actions whose share is below this in every run together, stream by stream;
            None draws each action individually.
        names: what to call the runs.
        choices: how to read and count.

    Returns:
        The axes: lengths of bars in percent.

    Raises:
        InputError: a file of another kind, a log without actions, a group of everything, or more
            than eight runs.
        DataError: a defect in a log.
    """
    if of not in get_args(Of):
        raise InputError(f"of is {of!r}: expected 'frames' or 'decisions'")
    if group_below is not None and not 0 < group_below < 1:
        raise InputError(f"group_below is {group_below:g}: expected a share between 0 and 1")
    given = logs_of(log)
    check_number(len(given))
    found = counted(given, choices, names=names)
    asked = (choices or Choices()).rule
    rules = [asked or (one.primary.rule if isinstance(one, Run) else None) for one in given]
    runs = tuple(usage_of_run(one, of, rule) for one, rule in zip(found, rules, strict=True))
    bars, groups = _bars(runs, group_below)
    return Usage(
        runs=runs,
        actions=tuple(bars),
        wholes=tuple(bars.values()),
        groups=groups,
        grouped_below=group_below,
        of=of,
        warnings=tuple(dict.fromkeys(text for one in found for text in one.counts.warnings)),
    )


def check_number(runs: int) -> None:
    """Refuse more runs than ``MOST_LOOKS``, which a figure cannot distinguish."""
    if runs > MOST_LOOKS:
        raise CallerError(
            f": {runs} runs; at most {MOST_LOOKS} in one figure can be told apart",
            "draw several figures",
        )


def _bars(
    runs: Sequence[UsageOfRun], below: float | None
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return bar -> the stream it is part of, and the groups among them -> their actions."""
    shares = {share.action: share.whole for run in runs for share in run.shares}
    wholes = list(dict.fromkeys(shares.values()))
    bars: dict[str, str] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for whole in wholes:
        own = [action for action, its in shares.items() if its == whole]
        small = tuple(
            action
            for action in own
            if below is not None and all((run.share_of(action) or 0.0) < below for run in runs)
        )
        if below is None or len(small) < 2:
            bars |= dict.fromkeys(own, whole)
            continue
        prefix = f"{whole}: " if whole and len(wholes) > 1 else ""
        name = f"{prefix}{len(small)} others (< {below * 100:g} % each)"
        groups[name] = small
        bars |= dict.fromkeys([*(action for action in own if action not in small), name], whole)
    if below is not None and len(bars) == len(groups):
        raise InputError(
            f"every action is below {100 * below:g} %: nothing would be left to draw",
            "group below a smaller share, or draw each action by itself",
        )
    return bars, groups
