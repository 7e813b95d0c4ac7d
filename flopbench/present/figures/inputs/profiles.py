"""What the figures of cost profiles share: reading them and the order of families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from flopbench.counting.agreement import CounterVerdict
from flopbench.counting.profile import DENSE_FAMILIES, OTHER_FAMILIES
from flopbench.counting.profiles_file import load
from flopbench.counting.run import Explanation
from flopbench.policy.file_kinds import PROFILES
from flopbench.present.figures.inputs.files import read_all

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


def profiled(profiles: Profiles | Sequence[Profiles]) -> list[Explanation]:
    """Read one or several profiles files, as ``read_all``."""
    return read_all(profiles, PROFILES, Explanation, load)


def doubt_of(counter: str, verdicts: Mapping[str, CounterVerdict]) -> str:
    """Return ``fvcore: partial - why`` for a counter that is not plainly verified, else nothing."""
    found = verdicts.get(counter)
    if found is None or found.plain:
        return ""
    return f"{counter}: {found.text}"
