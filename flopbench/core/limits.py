"""How large an input may be: every bound on what is read, with its reason.

What is larger is a typing error, a damaged file or an attack. It is refused before it is computed
with, because it would take minutes, fill the memory, or fail far from its cause.
"""

from __future__ import annotations

import os

from flopbench.core.errors import InputError

# --- numbers
LARGEST_INTEGER = 1 << 64
"""Integers in a JSON file are smaller: sums of larger ones exceed floating point."""
LARGEST_COST = 10**24
"""MACs; a million times the training of the largest models."""
LARGEST_AMOUNT = 10**12
"""A count, a share or a number of frames of a claim."""
LONGEST_NUMBER = 60
"""Characters of an amount: the largest cost in the smallest unit with many decimals."""
LARGEST_EXPONENT = 99
"""A larger power of 10 is slow to write out."""
MOST_DIGITS = 50
"""Of a share: with more digits or zeros the exact fraction could fill the memory."""

# --- models
LONGEST_SPECIFICATION = 10_000
"""Characters of a model's specification or its shapes, which are tried in several ways."""
MOST_ELEMENTS = 10**12
"""Of one tensor, and in any option of a model."""
MOST_LAYERS = 1000
"""Of one stack: to build more takes hours. The deepest networks published have about 1,000."""
MOST_PARTS = 500_000
"""Modules and parameters together: a mixture of 60 layers of 256 experts has 100,000."""
MODEL_LIMIT_S = 900.0
"""Of a whole library, each model: the largest of timm take two minutes of one core."""

# --- policy logs
MOST_STEPS = 2**31 - 1
"""The largest 32-bit count; no video has so many frames."""
MOST_ACTIONS = 4096
"""Of a log, exits and components too: every sample has a number for each."""
MOST_RESAMPLES = 1_000_000
"""More do not improve a 95 % interval, and their means do not fit into memory."""

# --- text
DEEPEST = 256
"""Nesting of JSON; no file of ours nests so deeply, and decoders give up somewhat later."""
MOST_COLUMNS = 1000
"""Of a CSV file."""
MOST_KEY_PARTS = 32
"""Of a dotted key of TOML: tomllib takes the square of their number."""
LARGEST_SOURCE_BYTES = 1_000_000
"""A larger file of Python was generated, and parsing it takes a minute."""

MOST_ENTRIES = 1000
"""Of the check's configuration, and budgets too: each budget is matched with each entry."""

# --- packed files
MOST_UNPACKED_MB = 200
MOST_UNPACKED = "FLOPBENCH_MOST_UNPACKED_MB"
"""Environment variable: another limit in place of ``MOST_UNPACKED_MB``."""
USUAL_RATIO = 100
"""A packed file may also unpack to so many times its size: logs shrink to a tenth, bombs to a
thousandth, so that a large log needs no other limit."""


def most_unpacked_bytes(packed_bytes: int) -> int:
    """Return how much a packed file of some size may unpack to.

    Raises:
        InputError: the environment variable is not a whole number.
    """
    given = os.environ.get(MOST_UNPACKED)
    if not given:
        return max(MOST_UNPACKED_MB * 10**6, USUAL_RATIO * packed_bytes)
    if not (given.isascii() and given.isdigit() and len(given) < LONGEST_NUMBER):
        raise InputError(f"{MOST_UNPACKED} is {given[:40]!r} where a number of MB was expected")
    return int(given) * 10**6


def too_much(name: object, limit: int) -> InputError:
    """Return the error for a file that unpacks to more than it may."""
    return InputError(
        f"{name} unpacks to more than {limit / 10**6:,.0f} MB, which may be an attack",
        f"if it is not, set {MOST_UNPACKED} to a larger number of MB",
    )
