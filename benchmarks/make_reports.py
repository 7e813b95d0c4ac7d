"""Remake everything under ``reports/`` that is not a time measurement, by its committed command.

    python benchmarks/make_reports.py [--only WORD] [--into DIR]

The commands are the lines of ``reports/commands.txt``, in order: each is a ``flopbench`` command or
a script of this folder, run from the repository's root. With ``--into`` they run in a copy of what
they read, and write there instead: that is how the tests compare the committed files with them.

Measured times (``latency-*``, ``replay-*``, ``policy_logs.txt``, ``timer_agreement.txt``) are not
remade: the figures are drawn from those files. ``reports/environment.txt`` names the versions that
the files were made with: other versions of matplotlib write other bytes.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from flopbench.cli import main as main_of_flopbench

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ROOT / "reports" / "commands.txt"
ENVIRONMENT = ROOT / "reports" / "environment.txt"
LIBRARIES = ("flopbench", "torch", "torchvision", "thop", "fvcore", "numpy", "matplotlib", "jinja2")
READ = ("benchmarks", "reports", "tests/data")
"""What commands may read: copied for ``--into``."""


def commands(text: str) -> list[list[str]]:
    """Return the commands of the list, without comments."""
    lines = [line.strip() for line in text.splitlines()]
    return [shlex.split(line) for line in lines if line and not line.startswith("#")]


def outputs(command: Sequence[str]) -> list[str]:
    """Return the files or folders that a command writes."""
    flags = ("-o", "--data")
    return [value for flag, value in pairwise(command) if flag in flags]


def run(command: Sequence[str], root: Path) -> None:
    """Run one command in a repository's root; its own output is not shown.

    ``flopbench`` runs in this process: importing torch and matplotlib takes longer than drawing.

    Raises:
        SystemExit: it failed; its stderr is passed on.
    """
    errors = io.StringIO()
    if command[:2] == ["flopbench", "report"]:
        # Without its page, which is not committed, the folder would not be taken for one.
        shutil.rmtree(root / outputs(command)[0], ignore_errors=True)
    if command[0] == "flopbench":
        before = Path.cwd()
        os.chdir(root)
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(errors):
                status = main_of_flopbench(command[1:])
        finally:
            os.chdir(before)
    else:
        script = [sys.executable, *command[1:]]
        done = subprocess.run(script, cwd=root, capture_output=True, text=True, check=False)
        status, _ = done.returncode, errors.write(done.stderr)
    if status:
        raise SystemExit(f"{shlex.join(command)}: exit status {status}\n{errors.getvalue()}")


def environment() -> str:
    """Return the versions that affect the bytes, one per line."""
    lines = [f"Python {platform.python_version()}", f"{platform.system()} {platform.machine()}"]
    return "\n".join([*lines, *(f"{name} {version(name)}" for name in LIBRARIES)]) + "\n"


def copy_to(folder: Path) -> None:
    """Copy what the commands read."""
    for name in READ:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the commands."""
    parser = argparse.ArgumentParser(description="Make the reports again.")
    parser.add_argument("--only", metavar="WORD", help="only commands that contain this word")
    parser.add_argument("--into", metavar="DIR", type=Path, help="write into a copy there")
    args = parser.parse_args(argv)
    root = ROOT
    if args.into is not None:
        copy_to(args.into)
        root = args.into
    for command in commands(COMMANDS.read_text(encoding="utf-8")):
        if args.only is None or any(args.only in part for part in command):
            print(shlex.join(command), flush=True)
            run(command, root)
    (root / ENVIRONMENT.relative_to(ROOT)).write_text(environment(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
