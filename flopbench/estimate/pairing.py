"""Which videos two logs share, and whether they agree on them.

Where two logs hold the same videos, differences are resampled in pairs. A pair is one video with
all its views: costs are sums over them, and scores are means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flopbench.core.errors import NotComparableError
from flopbench.core.remarks import Remark
from flopbench.estimate.clusters import same_clusters
from flopbench.estimate.methods import Method
from flopbench.estimate.runs import Run
from flopbench.policy.counts import LogCounts


def video_order(a: Run, b: Run) -> list[int] | None:
    """Return the index in ``b`` of each video of ``a``; None where their ids are not the same."""
    if not isinstance(a.counts, LogCounts) or not isinstance(b.counts, LogCounts):
        return None
    ids, others = a.counts.video_ids, b.counts.video_ids
    if ids is not None and ids == others:
        return list(range(len(ids)))
    if ids is None or others is None or len(ids) != len(others) or set(ids) != set(others):
        return None
    where = {name: i for i, name in enumerate(others)}
    return [where[name] for name in ids]


def check_pairs(methods: Sequence[Method], anyway: bool) -> list[Remark]:
    """Check that runs over the same videos agree on their labels and clusters; note other views.

    Raises:
        NotComparableError: they differ in the labels of a video (``anyway`` notes it), or in which
            videos are drawn together.
    """
    notes = []
    first = methods[0]
    for method in methods[1:]:
        order = video_order(first.run, method.run)
        if order is not None:
            notes += _other_labels(first, method, order, anyway)
            notes += _other_views(first, method)
            _check_clusters(first.run, method.run, order)
    return notes


def _other_labels(
    first: Method, method: Method, order: Sequence[int], anyway: bool
) -> list[Remark]:
    a, b = first.predictions, method.predictions
    if a is None or b is None or a.has_labels_of(b, order):
        return []
    for i, (at, name) in enumerate(zip(order, _names(first.run), strict=True)):
        ours, theirs = a.labels(i), b.labels(at)
        if ours != theirs:
            text = f"the logs differ in the labels of {name!r}: {ours} and {theirs}"
            if not anyway:
                raise NotComparableError(
                    text,
                    "accuracies over different labels are not comparable; --anyway compares them",
                )
            return [Remark(text)]
    return []


def _other_views(first: Method, method: Method) -> list[Remark]:
    """Note where two logs hold different views of the same videos."""
    if all(_view_column(one.run) is None for one in (first, method)):
        return []  # as many as videos, which are the same
    a, b = (_views(one.run) for one in (first, method))
    if a == b:
        return []
    each = [len(views) / len(_names(first.run)) for views in (a, b)]
    same = f"the same {first.run.header.words.samples}, {each[0]:.4g} and {each[1]:.4g} each"
    text = f"the logs hold different views of {same}"
    return [Remark(f"{text}: costs are sums, and scores means, over a log's own", method.name)]


def _views(run: Run) -> set[tuple[str, object]]:
    assert isinstance(run.counts, LogCounts)
    ids, views = run.counts.ids or (), _view_column(run)
    return set(zip(ids, [None] * len(ids) if views is None else views, strict=True))


def _view_column(run: Run) -> Any:
    assert isinstance(run.counts, LogCounts)
    return run.counts.columns.get("view")


def _check_clusters(a: Run, b: Run, order: Sequence[int]) -> None:
    if a.clusters is None or b.clusters is None:
        return
    other = same_clusters(a.clusters, b.clusters, order)
    if other is not None:
        raise NotComparableError(
            f"the logs differ in which {a.header.words.samples} share the --cluster "
            f"{a.clusters.column} of {_names(a)[other]!r}",
            f"the same {a.header.words.samples} are drawn in pairs, so both logs must group them "
            "alike",
        )


def _names(run: Run) -> Sequence[str]:
    assert isinstance(run.counts, LogCounts)
    return run.counts.video_ids or ()
