"""The pages on CI are one session, the recipes another: files as shown, commands in order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from conftest import ROOT
from msgspec.structs import fields
from running import run_shell
from test_docs import SESSIONS, matches

from flopbench.check import report
from flopbench.check.init.finding import CI_SNIPPET

PAGES = ("ci.md", "ci-reference.md", "ci-json.md")
RECIPES = ("recipes.md",)
STEP = re.compile(
    r"^(?:[^\n]*`(?P<name>[\w.-]+)`:\n\n)?```(?P<tag>\w*)\n(?P<body>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
"""A fenced block; a file of the session where the line above ends with its name and a colon."""

OUTSIDE = {"CI", "COLUMNS", "LINES", "PY_COLORS", "FORCE_COLOR", "NO_COLOR"}
"""Variables of the tests' environment that would change what the session prints."""


pytestmark = pytest.mark.usefixtures("warm_workers")


def text_of(pages: Sequence[str]) -> str:
    """Return the text of some pages."""
    return "\n".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in pages)


TEXT = text_of(PAGES)


def steps(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield a session in order: ("file", name, content) and ("command", line, output)."""
    for block in STEP.finditer(text):
        if block["tag"] == "console":
            for part in re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]:
                command, _, expected = part.partition("\n")
                yield "command", command, expected
        elif block["name"]:
            yield "file", block["name"], block["body"]


def surroundings() -> dict[str, str]:
    """Return the environment of a reader: no CI job, a git identity, no git settings."""
    outer = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("GIT_", "GITHUB_", "PYTEST_")) and key not in OUTSIDE
    }
    identity = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "A reader"), ("EMAIL", "reader@example.org"))
    }
    return {
        **outer,
        **identity,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C.UTF-8",
    }


def table_keys(heading: str) -> set[str]:
    """Return every word in backticks in the first column of the first table below a heading."""
    below = TEXT.partition(f"\n{heading}")[2]
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert rows is not None
    cells = [row.split("|")[1] for row in rows[0].splitlines()]
    return {word for cell in cells for word in re.findall(r"`([\w-]+)", cell)}


def test_every_session_is_run() -> None:
    """A page that is left to this file is in it."""
    assert {*PAGES, *RECIPES} >= SESSIONS


@pytest.mark.parametrize("pages", [PAGES, RECIPES], ids=["ci", "recipes"])
def test_the_session_prints_what_the_pages_show(tmp_path: Path, pages: Sequence[str]) -> None:
    """Every command of the pages, in order and in one folder, prints what is shown below it."""
    text, commands = text_of(pages), 0
    for kind, what, content in steps(text):
        if kind == "file":
            (tmp_path / what).write_text(content, encoding="utf-8")
            continue
        commands += 1
        printed = run_shell(what, tmp_path, surroundings(), together=True).stdout
        assert matches(content, printed), f"$ {what}\n{printed}"
    assert commands == len(re.findall(r"^\$ ", text, re.MULTILINE)) > 0


def test_the_workflow_is_the_one_that_init_prints() -> None:
    """ci.md shows the workflow as ``flopbench init`` prints it."""
    assert f"```yaml\n{CI_SNIPPET}```" in TEXT


def test_the_inputs_are_those_of_the_action() -> None:
    """The table of ci-reference.md names each input of ``action.yml``, and no other."""
    yaml = pytest.importorskip("yaml")
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert table_keys("**The action**") == set(action["inputs"])
    assert set(action["outputs"]) == {"status", "report"}


def test_the_yaml_is_yaml() -> None:
    """Each YAML block of the pages can be read, and names only hooks that exist."""
    yaml = pytest.importorskip("yaml")
    read = [
        yaml.safe_load(block["body"]) for block in STEP.finditer(TEXT) if block["tag"] == "yaml"
    ]
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    shown = [one for one in read if isinstance(one, dict) and "repos" in one]
    assert [hook["id"] for hook in shown[0]["repos"][0]["hooks"]] == [hook["id"] for hook in hooks]


def test_no_workflow_installs_cuda_or_keeps_credentials() -> None:
    """Where a page installs torch, it is a CPU build; workflows name what they may do."""
    yaml = pytest.importorskip("yaml")
    read = [yaml.safe_load(b["body"]) for b in STEP.finditer(TEXT) if b["tag"] == "yaml"]
    workflows = [one for one in read if isinstance(one, dict) and "jobs" in one]
    assert len(workflows) == 3
    parts = [one for one in read if isinstance(one, list)]
    for workflow in workflows:
        assert workflow["permissions"]
        (job,) = workflow["jobs"].values()
        parts.append(job["steps"])
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
    installs = [step for steps in parts for step in steps if "flopbench[" in step.get("run", "")]
    assert len(installs) == 4
    for step in installs:
        index = step.get("env", {}).get("PIP_EXTRA_INDEX_URL", "")
        assert "--torch-backend cpu" in step["run"] or index.startswith("${{ vars.")


def test_the_table_of_the_report_has_all_keys() -> None:
    """ci-json.md names every key of every record of a report."""
    section = TEXT.partition("\n## 1. The report\n")[2].partition("\n## 2.")[0]
    named = set(re.findall(r"`(\w+)", section))
    records = [
        report.Report,
        report.EntryResult,
        report.MetricResult,
        report.CauseShare,
        report.ModuleChange,
        report.Split,
        report.EventShare,
        report.ComponentChange,
        report.SelfTestResult,
    ]
    keys = {field.name for record in records for field in fields(record)}
    assert keys - named == set()
