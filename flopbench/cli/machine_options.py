"""Options of ``latency`` and ``replay`` for where and how networks run."""

from __future__ import annotations

import argparse

from flopbench.cli.common import positive


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, ``--threads``, ``--channels-last`` and ``--compile``."""
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="cpu, cuda or mps (default: cuda if there is a device, else cpu)",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="CPU threads of the numerical libraries (default: 1)",
    )
    parser.add_argument(
        "--channels-last", action="store_true", help="weights and inputs in channels-last format"
    )
    parser.add_argument("--compile", action="store_true", help="compile models with torch.compile")
