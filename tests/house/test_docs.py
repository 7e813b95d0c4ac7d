"""The documentation is executed: every block of every page, except the kinds named here."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from running import Done, run_shell

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(
    r"^`([\w.-]+)`:\n\n```(?:json|toml|text|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
"""A file that a page shows in full: its name on a line by itself, its content below."""
pytestmark = pytest.mark.usefixtures("warm_workers")

SHOWN_ONLY = {"json", "toml", "text", "python", "yaml"}
SESSIONS = {"ci.md", "ci-reference.md", "recipes.md"}
"""Pages that are a session, each command in the state that the previous one left: their files and
console blocks are run by ``test_docs_ci``.
"""
EXTRAS = {
    "parquet": "duckdb",
    ".zst": "zstandard",
    "log reduce": "duckdb",
    "flopbench compare": "sklearn",
    "plot tradeoff '": "sklearn",
    "flopbench report": "sklearn",
}
"""Part of a command -> the library of the extra ``logs`` that it needs."""
AS_A_PROCESS = (
    "flopbench audit arnet",
    "flopbench counters",
    "flopbench log validate typo.jsonl",
    'flopbench compare reports/cascade/clips.jsonl other.jsonl; echo "status $?"',
)
"""Run by the installed program, in a separate process; all others in this one (``run_shell``)."""
INSTALLS = (
    "python -m pip install -c constraints.txt '.[measure,logs,plots]' && flopbench table",
    "python -m pip install -c constraints.txt tox && tox",
)
FACTORY = """
from torch import nn

def build(width=16):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(width, 10))
"""


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page, text) of every fenced block in one language."""
    return [
        (page.name, text)
        for page in PAGES
        for tag, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if tag == language
    ]


def console_commands() -> list[tuple[str, str, str]]:
    """Return (page, command, expected output) of every prompt in console blocks."""
    found = []
    for page, text in blocks("console"):
        if page in SESSIONS:
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            found.append((page, command, expected))
    return found


def shell_commands() -> list[tuple[str, str]]:
    """Return (page, command) of every line in sh blocks, without comments."""
    return [
        (page, re.sub(r"\s+#.*", "", line))
        for page, text in blocks("sh")
        for line in text.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def named_files() -> dict[str, str]:
    """Return name -> content of every file that a page shows in full."""
    found: dict[str, str] = {}
    for page in PAGES:
        if page.name in SESSIONS:
            continue
        for name, content in NAMED.findall(page.read_text(encoding="utf-8")):
            assert found.setdefault(name, content) == content, f"{page.name}: {name} differs"
    return found


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder as the pages assume it: test data, the reports, the files that the pages show, the
    reader's factories, a saved table.
    """
    (tmp_path / "tests").mkdir()
    for data in ("tests/data", "reports"):
        (tmp_path / data).symlink_to(ROOT / data)
    for name, content in named_files().items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "nets.py").write_text(FACTORY)
    (tmp_path / "my_pkg").mkdir()
    (tmp_path / "my_pkg" / "__init__.py").write_text("")
    (tmp_path / "my_pkg" / "nets.py").write_text(FACTORY)
    saved = ROOT / "tests" / "data" / "table-schema1.json"
    (tmp_path / "table.json").write_bytes(saved.read_bytes())
    return tmp_path


def shown() -> dict[str, list[tuple[str, str | None]]]:
    """Return command -> (page, expected output; None in a sh block) wherever it is shown."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for page, command, expected in console_commands():
        found.setdefault(command, []).append((page, expected))
    for page, command in shell_commands():
        if command not in INSTALLS:  # executed by CI itself
            found.setdefault(command, []).append((page, None))
    return found


def run(command: str, folder: Path) -> Done:
    """Run one command line as the reader's shell would; skip it where an extra is missing."""
    for part, library in EXTRAS.items():
        if part in command:
            pytest.importorskip(library)
    if command not in AS_A_PROCESS:
        return run_shell(command, folder, os.environ)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )


def matches(expected: str, actual: str) -> bool:
    """Compare texts line by line; ``...`` matches anything, across lines too."""
    pattern = "\n".join(line.rstrip() for line in expected.strip().splitlines())
    text = "\n".join(line.rstrip() for line in actual.strip().splitlines())
    return re.fullmatch(re.escape(pattern).replace(r"\.\.\.", ".*"), text, re.DOTALL) is not None


def test_every_block_is_of_a_known_kind() -> None:
    """A block that no test executes is of a kind that cannot be executed."""
    for page in PAGES:
        for tag, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            assert tag in {"console", "pycon", "sh", *SHOWN_ONLY}, f"{page.name}: {text[:60]}"


@pytest.mark.parametrize("command", shown())
def test_commands(command: str, workplace: Path) -> None:
    """It prints what each page shows; in a sh block, which shows no output, it succeeds."""
    for library in ("timm", "transformers", "ptflops", "calflops", "torchinfo", "deepspeed"):
        if library in command:
            pytest.importorskip(library)
    done = run(command, workplace)
    for page, expected in shown()[command]:
        if expected is None:
            assert done.returncode == 0, f"{page}: {command}\n{done.stderr}"
            assert done.stdout or "-o" in command
        else:
            assert matches(expected, done.stdout + done.stderr), f"{page}: $ {command}\n{done}"


def test_commands_that_run_as_a_process_are_shown() -> None:
    """The commands that check the installed program are on the pages."""
    assert set(AS_A_PROCESS) <= set(shown())


@pytest.mark.parametrize(("page", "text"), blocks("pycon"))
def test_python_blocks(
    page: str, text: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session prints what the page shows."""
    needed = {"to_dataframe": "pandas", "transformers": "transformers", "reduce_log": "duckdb"}
    for part, library in needed.items():
        if part in text:
            pytest.importorskip(library)
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("COLUMNS", "120")
    parser = doctest.DocTestParser()
    example = parser.get_doctest(text, {}, page, page, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_ci_runs_the_readme_command() -> None:
    """What CI executes is what the README tells the reader to type."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert INSTALLS[1] in script.splitlines()
    assert {command for _, command in shell_commands()} >= set(INSTALLS)
