"""Reads AR-Net's file of a validation run, ``meta-val-*.npy.npz`` (repository mengyuest/AR-Net).

``rs`` (N, T, A) one-hot rows, ``names`` (N,), ``results`` (N, C) video logits, ``targets`` (N, 3)
label ids padded with -1, ``indices`` (N, T) frame numbers counted from 1, and ``all_preds``, which
is ignored. It names no actions, so it needs a preset.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from flopbench.core.errors import DataError, near_match
from flopbench.policy.blocks import Block, Place, one_hot_codes
from flopbench.policy.header import Header
from flopbench.policy.plan import Plan
from flopbench.policy.readers.npy_stream import ROWS_AT_ONCE, Member, NpzFile, padded, sayer
from flopbench.policy.samples import OnDefect, Sample

_ARNET_KINDS = {
    "rs": ("biuf", (3,)),
    "names": ("iuU", (1,)),
    "results": ("iuf", (2,)),
    "targets": ("iu", (1, 2)),
    "indices": ("iu", (2,)),
}
"""Kinds of numbers, and how many dimensions, of AR-Net's arrays."""
ARNET_ARRAYS = ("rs", "names", "results", "targets", "indices", "all_preds")


class ArnetNpzReader(NpzFile):
    """AR-Net's file of a validation run."""

    form = "arnet-npz"

    def header(self) -> Header | None:
        """Return None: the file names no actions."""
        return None

    def _checked(self, archive: zipfile.ZipFile, plan: Plan) -> dict[str, Member]:
        names = [n.removesuffix(".npy") for n in archive.namelist()]
        for name in names:
            if name not in ARNET_ARRAYS:
                hint = near_match(name, ARNET_ARRAYS, "arrays")
                raise DataError(f"{self.path}: unknown array {name!r} in an AR-Net log", hint)
        members = self._members(archive, [n for n in names if n != "all_preds"])
        if "names" not in members:
            raise DataError(f"{self.path} lacks the array 'names'")
        for name, member in members.items():
            kinds, shapes = _ARNET_KINDS[name]
            if member.dtype.kind not in kinds or len(member.shape) not in shapes:
                raise DataError(
                    f"{self.path}: {name} has shape {member.shape} of type {member.dtype}, which "
                    "AR-Net does not write"
                )
        rs = members["rs"]
        actions = plan.size("") if plan.streams == ("",) else -1
        if rs.shape[2] != actions or not actions:
            raise DataError(
                f"{self.path}: rs has {rs.shape[2]} actions, the preset has {actions}",
                "choose the preset that the run was made with",
            )
        n = rs.shape[0]
        for name, member in members.items():
            if member.shape[:1] != (n,):
                raise DataError(
                    f"{self.path}: {name} has shape {member.shape}, but rs holds {n} videos"
                )
        return members

    def blocks(self, plan: Plan, report: OnDefect, columns: Iterable[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays, straight from the file."""
        wanted = set(columns)
        with self._open() as archive:
            members = self._checked(archive, plan)
            n, steps, actions = members["rs"].shape
            for first in range(0, n, ROWS_AT_ONCE):
                size = min(ROWS_AT_ONCE, n - first)
                place = self._place(first + 1)
                rows = members["rs"].rows(size).reshape(-1, actions)
                codes = one_hot_codes(rows, actions, sayer(place, steps, report, "rs"))
                labels, label_lengths = None, None
                if "targets" in members:
                    labels, label_lengths = padded(_targets(members["targets"].rows(size)))
                extra: dict[str, Any] = {name: [None] * size for name in wanted}
                if "results" in members and "scores" in wanted:
                    extra["scores"] = members["results"].rows(size).tolist()
                if "indices" in members and "frames" in wanted:
                    # AR-Net counts frames from 1, a log from 0.
                    extra["frames"] = (members["indices"].rows(size).astype(np.int64) - 1).tolist()
                yield Block(
                    place=place,
                    ids=[str(name) for name in members["names"].rows(size).tolist()],
                    codes=codes,
                    lengths=np.full(size, steps),
                    labels=() if labels is None else labels,
                    label_lengths=label_lengths,
                    columns=extra,
                )

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples, their decisions as ids."""
        for block in self.blocks(plan, report, ("scores", "frames")):
            steps = block.lengths[0] if block.size else 0
            codes = block.codes.reshape(block.size, steps).tolist()
            ends = np.cumsum(block.label_lengths) if block.label_lengths is not None else None
            samples = []
            for i, name in enumerate(block.ids):
                labels = None
                if ends is not None:
                    labels = block.labels[ends[i] - block.label_lengths[i] : ends[i]].tolist()
                samples.append(
                    Sample(
                        id=name,
                        labels=labels or None,
                        scores=block.columns["scores"][i],
                        actions=codes[i],
                        frames=block.columns["frames"][i],
                    )
                )
            yield samples, block.place


def _targets(targets: Any) -> Any:
    return targets if targets.ndim == 2 else targets[:, None]
