"""``flopbench`` and ``python -m flopbench``: signals are handled before more is imported."""

from flopbench.core import stopping


def main() -> int:
    """Run the command line of this process; return its exit status."""
    stopping.install()
    from flopbench.cli import main

    return stopping.leave(main())


if __name__ == "__main__":
    raise SystemExit(main())
