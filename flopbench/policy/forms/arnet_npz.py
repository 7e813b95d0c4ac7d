"""AR-Net's file of a validation run, ``meta-val-*.npy.npz`` (repository mengyuest/AR-Net).

``rs`` (N, T, A) one-hot rows, ``names`` (N,), ``results`` (N, C) video logits, ``targets`` (N, 3)
label ids padded with -1, ``indices`` (N, T) frame numbers counted from 1, and ``all_preds``, which
is ignored. It names no actions, so it needs a preset.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flopbench.core.errors import DataError, near_match
from flopbench.policy.blocks import one_hot_codes, says, says_item
from flopbench.policy.forms.npz_form import NpzReader, array_names, is_arnet, load_array
from flopbench.policy.header import Header
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect

_ARNET_KINDS = {
    "rs": ("biuf", (3,)),
    "names": ("iuU", (1,)),
    "results": ("iuf", (2,)),
    "targets": ("iu", (1, 2)),
    "indices": ("iu", (2,)),
}
"""Kinds of numbers, and how many dimensions, of AR-Net's arrays."""
ARNET_ARRAYS = ("rs", "names", "results", "targets", "indices", "all_preds")


class ArnetNpzReader(NpzReader):
    """AR-Net's file, read as flopbench's own layout."""

    @staticmethod
    def recognises(head: bytes, path: Path) -> bool:
        """Whether it has an array ``rs`` and no header."""
        return is_arnet(path)

    def header(self) -> Header | None:
        """Return None: the file names no actions."""
        return None

    def arrays(self, plan: Plan, report: OnDefect) -> dict[str, Any]:
        """Return the columns as arrays, decisions as ids and frames counted from 0."""
        arrays = self._checked(plan)
        n, steps, actions = arrays["rs"].shape
        say = says_item(says(self._place(0), report), np.full(n, steps), "rs")
        codes = one_hot_codes(arrays["rs"].reshape(-1, actions), actions, say)
        columns = {"id": arrays["names"].astype(str), "actions": codes.reshape(n, steps)}
        if "targets" in arrays:
            columns["labels"] = arrays["targets"]
        if "results" in arrays:
            columns["scores"] = arrays["results"]
        if "indices" in arrays:
            columns["frames"] = arrays["indices"].astype(np.int64) - 1
        return columns

    def _checked(self, plan: Plan) -> dict[str, Any]:
        names = array_names(self.path)
        for name in names:
            if name not in ARNET_ARRAYS:
                hint = near_match(name, ARNET_ARRAYS, "arrays")
                raise DataError(f"{self.path}: unknown array {name!r} in an AR-Net log", hint)
        arrays = {name: load_array(self.path, name) for name in names if name != "all_preds"}
        if "names" not in arrays:
            raise DataError(f"{self.path} lacks the array 'names'")
        for name, array in arrays.items():
            kinds, dimensions = _ARNET_KINDS[name]
            if array.dtype.kind not in kinds or array.ndim not in dimensions:
                raise DataError(
                    f"{self.path}: {name} has shape {array.shape} of type {array.dtype}, which "
                    "AR-Net does not write"
                )
        n, _, width = arrays["rs"].shape
        actions = plan.size("") if plan.streams == ("",) else -1
        if width != actions or not actions:
            raise DataError(
                f"{self.path}: rs has {width} actions, the preset has {actions}",
                "choose the preset that the run was made with",
            )
        for name, array in arrays.items():
            if array.shape[:1] != (n,):
                raise DataError(
                    f"{self.path}: {name} has shape {array.shape}, but rs holds {n} videos"
                )
        return arrays
