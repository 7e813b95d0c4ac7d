"""What must never be in a file of this project."""

from __future__ import annotations

import re
import subprocess

import pytest
from conftest import ROOT

# Spelled in pieces, so that this file does not hold what it forbids.
FORBIDDEN = {
    "a package registry's host": re.compile(r"(pypi|pythonhosted|npmjs)\.(" + "org|com)"),
    "an absolute path of a machine": re.compile(r"(?<![\w.])/(home|root|work|Users|tmp)/\w"),
    "an unfinished place": re.compile(r"#.*\b(" + "TO" + "DO|FIX" + "ME|XX" + "X)"),
}


def tracked() -> list[str]:
    """List the text files of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    """The repository names no registry host and no machine's path, and has no unfinished places."""
    found = []
    for name in tracked():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{name}:{number}"
            for number, line in enumerate(text.splitlines(), 1)
            if FORBIDDEN[what].search(line)
        ]
    assert not found
