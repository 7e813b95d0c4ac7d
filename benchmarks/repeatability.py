"""Two runs of one ``flopbench latency`` command: is the second in the interval of the first?

Prints each row's headline in both runs, the interval that the first run stated for a repeat, and
whether the second is in it; a row that is unstable in either run does not count.

    flopbench latency -o one.json && flopbench latency -o two.json
    python benchmarks/repeatability.py one.json two.json
"""

from __future__ import annotations

import argparse

from flopbench import TimingFile, summarise


def main() -> None:
    """Compare two files row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs=2)
    first, second = (TimingFile.load(path) for path in parser.parse_args().files)
    others = {row.what: row for row in second.rows}
    kept = promised = 0
    for row in first.rows:
        one = summarise(row, first.device_of(row))
        other = summarise(others[row.what], second.device_of(others[row.what]))
        if one.headline_s is None or other.headline_s is None or one.interval_s is None:
            print(f"{row.what.spec:32s} nothing to compare")
            continue
        low, high = one.interval_s
        inside = low <= other.headline_s <= high
        unstable = "unstable" in {one.verdict, other.verdict}
        promised += not unstable
        kept += inside and not unstable
        print(
            f"{row.what.spec:32s} {one.headline_s * 1e3:8.3f} ms, repeat {low * 1e3:8.3f} to "
            f"{high * 1e3:8.3f}; then {other.headline_s * 1e3:8.3f} "
            f"{'inside' if inside else 'OUTSIDE'} ({one.verdict}, then {other.verdict})"
        )
    print(f"{kept} of {promised} rows that were not unstable are inside")


if __name__ == "__main__":
    main()
