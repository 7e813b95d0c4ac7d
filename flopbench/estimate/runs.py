"""One run: a log counted, its components priced, and every figure derived from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.bootstrap import RESAMPLES, Interval
from flopbench.core.errors import InputError
from flopbench.core.remarks import Remark
from flopbench.core.tables import Shown
from flopbench.counting.table import CostTable
from flopbench.estimate.charges import Rule
from flopbench.estimate.clusters import (
    NO_CLUSTERS,
    Clusters,
    Gathered,
    clusters_of,
    signs_of_clusters,
)
from flopbench.estimate.difficulty import COST, difficulty_needs
from flopbench.estimate.estimator import Estimate, estimate, video_costs
from flopbench.estimate.price_rows import table_command
from flopbench.estimate.prices import PriceBook, PriceList, price_book
from flopbench.estimate.spread import interval_of_costs
from flopbench.policy.counts import LogCounts, ShareCounts, Source, SumCounts, WithoutRecords
from flopbench.policy.plan import Plan, plan_of

if TYPE_CHECKING:
    from flopbench.core.workers import Progress
    from flopbench.estimate.groups import Group


class Run(Shown, Struct, frozen=True, kw_only=True):
    """Everything known about what a run cost.

    Attributes:
        method: as the header names it, else the file.
        header: the log's header, completed from its preset.
        source: the log's files.
        table: where the prices come from.
        book: the prices under every counter.
        primary: the estimate under the chosen counter and rule.
        published: the same under the published rule; None where that rule does not apply.
        interval: of GFLOPS per video; None for a published distribution and for a single video or
            cluster.
        clusters: which videos the intervals draw together; None where each is drawn alone.
        under_counters: counter -> estimate under the same rule.
        groups: by class or by difficulty, if requested.
        grouped_by: ``class`` or ``difficulty``; empty without groups.
        group_note: what qualifies the groups.
        warnings: from reading and from pricing.
        counts: the counts themselves.
    """

    _layout = "flopbench.estimate.text:run_grids"
    method: str
    header: Any
    source: Source
    table: str
    book: PriceBook
    primary: Estimate
    published: Estimate | None
    interval: Interval | None
    under_counters: Mapping[str, Estimate]
    groups: tuple[Group, ...] = ()
    grouped_by: str = ""
    group_note: str = ""
    warnings: tuple[Remark, ...] = ()
    counts: LogCounts | WithoutRecords
    clusters: Clusters | None = None

    @property
    def prices(self) -> PriceList:
        """The prices under the primary counter."""
        return self.book.lists[self.book.primary]


class Choices(Struct, frozen=True, kw_only=True):
    """What a user may choose.

    Attributes:
        preset: what the decisions mean, where the log does not say.
        rule: None means exact where it applies.
        counter: the primary counter; None means the one that the preset's publication used.
        table: a saved cost table.
        table_source: the table's name.
        variants: component -> variant.
        components: component -> specification in place of the log's.
        by: ``class`` or ``difficulty``.
        difficulty: ``cost``, ``margin``, ``correct``, or one of the log's ``extra`` columns.
        steps: length of a video, for a table of shares that does not give it; a log must agree.
        shares_of: whether a table's shares are of ``frames`` or of ``decisions``.
        normalize: divide shares by their sum.
        allow_truncated: leave out a last line that is cut off.
        duplicates: ``error`` or ``first``.
        resamples: number of bootstrap resamples; 0 for no intervals.
        seed: seed of their generator.
        cluster: what videos that belong together have in common: one of the log's ``extra``
            columns, or ``id:SEP`` for what stands before the last SEP of an id.
        random_seed: deal the decisions of the log out again among its videos, with this seed: a
            random policy that costs exactly as much.
        refresh: measure prices again.
        alone: price under the primary counter only.
        may_measure: whether to measure a price that neither the table nor the cache has.
        fresh_code: take no price of your own code from the cache.
        beside: all logs that a command prices, for messages; empty for one log.

    Raises:
        InputError: a negative number of resamples, or a negative seed.
    """

    preset: str | None = None
    rule: Rule | None = None
    counter: str | None = None
    table: CostTable | None = None
    table_source: str = ""
    variants: Mapping[str, str] | None = None
    components: Mapping[str, str] | None = None
    by: str | None = None
    difficulty: str = COST
    steps: int | None = None
    shares_of: str = "frames"
    normalize: bool = False
    allow_truncated: bool = False
    duplicates: str = "error"
    resamples: int = RESAMPLES
    seed: int = 0
    cluster: str | None = None
    random_seed: int | None = None
    refresh: bool = False
    alone: bool = False
    may_measure: bool = True
    fresh_code: bool = False
    beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("resamples", "seed"):
            if (value := getattr(self, name)) < 0:
                raise InputError(f"{name} is {value} where 0 or more was expected")


def run_of_log(
    patterns: str | Path | Sequence[str | Path],
    choices: Choices | None = None,
    *,
    progress: Progress | None = None,
    keep_scores: bool = False,
) -> Run:
    """Estimate what a run cost, from its policy log.

    Args:
        patterns: a file or glob of one log, of any form, or several.
        choices: see ``Choices``.
        progress: called before each measurement.
        keep_scores: keep ids, scores and predictions for accuracies.

    Raises:
        InputError: a file, preset, component, variant or column that does not exist.
        DataError: a defect in the log; the message names file, record and field.
        MeasureError: a component could not be counted.

    Example:
        >>> print(run_of_log("run.jsonl"))
    """
    choices = choices or Choices()
    counts = counts_of_log(patterns, choices, keep_scores=keep_scores)
    return _run(counts, choices, progress, patterns)


def run_of_counts(
    patterns: str | Path | Sequence[str | Path],
    choices: Choices | None = None,
    *,
    progress: Progress | None = None,
) -> Run:
    """Estimate what a run cost, from the parts of its counts or from ready-made counts.

    Args:
        patterns: the parts that ``reduce_log`` wrote, in any order: files or globs; or one file of
            ready-made counts (``policy.ready``).
        choices: as for ``run_of_log``, but for what needs scores or columns of the log.
        progress: called before each measurement.

    Raises:
        InputError: as ``run_of_log``; or a choice that needs the log.
        DataError: as ``run_of_log``; or a record that two parts hold.
        MeasureError: as ``run_of_log``.

    Example:
        >>> print(run_of_counts("parts/*.counts"))
    """
    from flopbench.estimate.reducing import merged_counts

    choices = choices or Choices()
    if choices.by == "difficulty" and choices.difficulty != COST:
        raise InputError(
            f"--difficulty {choices.difficulty} needs the log",
            f"counts have no scores, and no columns of 'extra'; --difficulty {COST} needs neither",
        )
    counts = merged_counts(
        patterns, preset=choices.preset, cluster=choices.cluster, duplicates=choices.duplicates
    )
    return _run(counts, choices, progress, patterns)


def counts_of_log(
    patterns: str | Path | Sequence[str | Path],
    choices: Choices | None = None,
    *,
    keep_scores: bool = False,
) -> LogCounts | ShareCounts:
    """Count a policy log, or read a table of shares, as ``run_of_log``; no prices are needed."""
    from flopbench.policy.forms import SHARE_FORMS, sniff
    from flopbench.policy.forms.base import Options
    from flopbench.policy.log import at_random, count_log, open_log
    from flopbench.policy.shards import find_files

    choices = choices or Choices()
    paths = find_files(patterns)
    form = sniff(paths[0])
    if form in SHARE_FORMS:
        from flopbench.policy.usage import read_usage

        if len(paths) > 1:
            raise InputError(f"{paths[0]} holds shares of actions: give one file at a time")
        if choices.cluster is not None and not keep_scores:  # beside logs it has no interval
            raise InputError(f"{paths[0]} holds shares of actions: no --cluster", NO_CLUSTERS)
        if choices.random_seed is not None:
            raise InputError(
                f"{paths[0]} holds shares of actions: no --random", "it needs the log's decisions"
            )
        return read_usage(
            paths[0],
            form,
            preset=choices.preset,
            of=choices.shares_of,
            normalize=choices.normalize,
        )
    options = Options(allow_truncated=choices.allow_truncated)
    log = open_log(paths, preset=choices.preset, options=options)
    if choices.random_seed is not None:
        log = at_random(log, choices.random_seed)
    columns: dict[str, Any] = {}
    fields: list[str] = []
    if choices.by == "difficulty":
        columns, fields = difficulty_needs(choices.difficulty, log.plan.header.class_names)
    if keep_scores:
        from flopbench.estimate.scores import score_columns

        columns = {**columns, **score_columns()}
        fields = [*fields, "scores", "prediction"]
    gathered = None if choices.cluster is None else Gathered(choices.cluster)
    if gathered is not None:
        columns, fields = {**columns, **gathered.columns}, [*fields, *gathered.fields]
    counts = count_log(
        log,
        columns=columns,
        fields=list(dict.fromkeys(fields)),
        keep_ids=keep_scores or gathered is not None,
        duplicates=choices.duplicates,
    )
    if gathered is not None:
        gathered.check(counts)
    return counts


def _run(
    counts: LogCounts | WithoutRecords,
    choices: Choices,
    progress: Progress | None,
    files: str | Path | Sequence[str | Path],
) -> Run:
    files = [files] if isinstance(files, (str, Path)) else files
    counts = _with_length(counts, choices.steps)
    plan = counts.plan
    book = price_book(
        plan.header,
        counter=choices.counter,
        table=choices.table,
        table_source=choices.table_source,
        variants=choices.variants,
        overrides=choices.components,
        refresh=choices.refresh,
        progress=progress,
        alone=choices.alone,
        may_measure=choices.may_measure,
        fresh_code=choices.fresh_code,
        make_table=table_command(choices.beside or files, choices.preset, choices.counter),
        log=str(counts.source),
    )
    prices = book.lists[book.primary]
    totals = counts.totals()
    rule: Rule = choices.rule or ("published" if totals.decisions is None else "exact")
    primary = estimate(totals, plan, prices, rule)
    published = primary if rule == "published" else None
    if published is None and not totals.own_spans:
        published = estimate(totals, plan, prices, "published")
    clusters, drawn, costs = None, None, None
    warnings = [*counts.warnings, *_flagged(primary, prices), *_idle(primary, plan)]
    if isinstance(counts, LogCounts):
        costs = video_costs(counts, prices, rule)
        if choices.cluster is not None:
            clusters = clusters_of(counts, choices.cluster)
        warnings += signs_of_clusters(counts, costs) if clusters is None else clusters.remarks
        drawn = None if clusters is None else clusters.drawn
    terms = {"resamples": choices.resamples, "seed": choices.seed}
    ci95 = interval_of_costs(counts, prices, rule, costs, clusters=drawn, **terms)
    groups: tuple[Group, ...] = ()
    group_note = ""
    if choices.by is not None:
        from flopbench.estimate.groups import groups_of

        groups, group_note = groups_of(
            counts,
            prices,
            rule,
            by=choices.by,
            difficulty=choices.difficulty,
            clusters=clusters,
            **terms,
        )
    return Run(
        method=method_name(counts),
        header=plan.header,
        source=counts.source,
        table=prices.source,
        book=book,
        primary=primary,
        published=published,
        interval=ci95,
        under_counters={
            name: primary if own is prices else estimate(totals, plan, own, rule)
            for name, own in book.lists.items()
        },
        groups=groups,
        grouped_by=choices.by or "",
        group_note=group_note,
        warnings=tuple(warnings),
        counts=counts,
        clusters=clusters,
    )


def method_name(counts: LogCounts | WithoutRecords) -> str:
    """Return the method named in the log's header, else the name of its first file."""
    return counts.plan.header.method or counts.source.name


def _flagged(primary: Estimate, prices: PriceList) -> list[Remark]:
    """Return the notes on flagged prices of components that ran."""
    used = [
        prices.prices[name] for name, cost in primary.by_component.items() if cost.runs_per_video
    ]
    return [Remark(price.note, price.component) for price in used if price.flagged]


def _idle(primary: Estimate, plan: Plan) -> list[Remark]:
    """Name the components that nothing of the log charges."""
    idle = [name for name in plan.header.components or {} if name not in primary.by_component]
    what = "charged by no action, exit or charge, and counted by no sample: it costs nothing here"
    return [Remark(what, name) for name in idle]


def _with_length(
    counts: LogCounts | WithoutRecords, steps: int | None
) -> LogCounts | WithoutRecords:
    """Set the length of a video in a table of shares; check that a log agrees with it."""
    own = counts.plan.steps
    if isinstance(counts, LogCounts):
        if steps is not None and (counts.steps != steps).any():
            low, high = int(counts.steps.min()), int(counts.steps.max())
            has = f"{low}" if low == high else f"{low} to {high}"
            raise InputError(
                f"--steps is {steps}, but the samples of {counts.source} have {has} steps",
                "only a table of shares needs --steps",
            )
        return counts
    if isinstance(counts, SumCounts):
        if steps is not None:
            raise InputError(f"{counts.source}: sums need no --steps", "leave it out")
        return counts
    if steps is not None and own is not None and steps != own:
        raise InputError(f"--steps is {steps}, but the header of {counts.source} says {own}")
    if steps is None and own is None and counts.plan.actions:
        words = counts.plan.words
        raise InputError(
            f"{counts.source} does not say how many steps {words.a_sample} has, so figures per "
            f"{words.sample} are unknown",
            f"give it, such as --steps 16; figures per {words.step} are the same for any number",
        )
    header = msgspec.structs.replace(counts.plan.header, steps=own if steps is None else steps)
    return replace(counts, plan=plan_of(header))


def parse_pairs(texts: Sequence[str], flag: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` arguments.

    Raises:
        InputError: no ``=``, or a name given twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise InputError(f"{flag} {text!r}: expected NAME=VALUE")
        if name in pairs:
            raise InputError(f"{flag} names {name!r} twice")
        pairs[name] = value
    return pairs
