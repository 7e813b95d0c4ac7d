"""``flopbench`` and ``python -m flopbench``: signals are handled before more is imported."""

import gc

from flopbench.core import stopping

RARELY = (200_000, 50, 100)
"""Garbage collection thresholds: importing torch makes a million objects that all stay, and
scanning them again and again takes a tenth of a short process."""


def main() -> int:
    """Run the command line of this process; return its exit status."""
    stopping.install()
    gc.set_threshold(*RARELY)
    from flopbench.cli import main

    try:
        status = main()
    except SystemExit as end:  # argparse's, after --help or a wrong argument
        status = int(end.code or 0)
    return stopping.leave(status)


if __name__ == "__main__":
    raise SystemExit(main())
