"""What the figures of cost profiles share: reading them and the order of families."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from flopbench.core.errors import InputError
from flopbench.counting.profile import DENSE_FAMILIES, OTHER_FAMILIES
from flopbench.counting.profiles_file import load
from flopbench.counting.run import Explanation
from flopbench.policy.file_kinds import PROFILES, require_kind
from flopbench.present.figures.inputs.logs import Takers

Profiles: TypeAlias = "str | Path | Explanation"
"""One profiles file, or what was read from it."""

PLAIN_NAMES = {
    "conv": "convolution",
    "conv_transpose": "transposed convolution",
    "deform_conv": "deformable convolution",
    "linear": "linear",
    "bilinear": "bilinear",
    "matmul": "matrix product",
    "attention": "attention",
    "recurrent": "recurrent",
    "batch_norm": "batch norm",
    "norm": "layer or group norm",
    "pool": "pooling",
    "resample": "resampling",
    "activation": "activation",
    "softmax": "softmax",
    "other": "other",
}
"""Operator family -> its name in a legend."""


def in_order(families: Iterable[str]) -> tuple[str, ...]:
    """Return families in the order of stacking: dense ones first."""
    there = set(families)
    return tuple(name for name in (*DENSE_FAMILIES, *OTHER_FAMILIES) if name in there)


def profiled(
    profiles: Profiles | Sequence[Profiles], *, user: str, takers: Takers | None = None
) -> list[Explanation]:
    """Read profiles files.

    Args:
        profiles: one or several.
        user: name of the caller, for messages.
        takers: which figures accept which files, for messages.

    Raises:
        InputError: a file of another kind, or none.
        DataError: a damaged file.
    """
    single = isinstance(profiles, (str, Path, Explanation))
    given: list[Profiles] = [profiles] if single else list(profiles)  # type: ignore[list-item,arg-type]
    if not given:
        raise InputError("no profiles file was given")
    found = []
    for one in given:
        if isinstance(one, Explanation):
            found.append(one)
            continue
        require_kind(one, (PROFILES,), user=user, takers=takers or {})
        found.append(load(one))
    return found
