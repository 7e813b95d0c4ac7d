"""Options of ``latency`` and ``replay`` for where and how networks run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from flopbench.cli.common import positive, require
from flopbench.cli.parser import Group, Parser


def add_machine(parser: Parser) -> Group:
    """Add ``--device``, ``--threads``, ``--channels-last``, ``--compile``; return their group."""
    group = parser.group("where and how it runs")
    group.option(
        "--device NAME",
        "cpu, cuda (or gpu) or mps (default: cuda if there is a device, else cpu)",
        type=lambda name: "cuda" if name == "gpu" else name,
    )
    group.option(
        "--threads N", "CPU threads of the numerical libraries (default: 1)", type=positive
    )
    group.option("--channels-last", "weights and inputs in channels-last format")
    group.option("--compile", "compile models with torch.compile")
    return group


def given_of(args: argparse.Namespace, names: Sequence[str]) -> list[str]:
    """Return which of the options were given, as they are written; ``names`` are those of ``args``.

    An option that was not given is None, False, empty or ``error``.
    """
    values = {name: getattr(args, name) for name in names}
    return [
        "MODEL" if name == "models" else f"--{name.replace('_', '-')}"
        for name, value in values.items()
        if value is not None and value is not False and value not in ([], "error")
    ]


def refuse_measuring(args: argparse.Namespace, names: Sequence[str], what: str) -> None:
    """Refuse options that affect what is measured next to ``--from``.

    ``names`` are those of ``given_of``; ``what`` is what ``--from`` prints (``timings``).
    """
    given = given_of(args, names)
    require(not given, f"--from prints saved {what} as they are: {', '.join(given)} cannot apply")
