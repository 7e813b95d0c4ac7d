"""The GitHub action, its shell steps run here: in real repositories, with the files of a job.

GitHub itself cannot be run: expressions are evaluated by a few lines below, and an executable named
``gh`` that notes its arguments stands where the real one would ask GitHub.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from repositories import GIT, commit, git
from running import run_here, run_shell

from flopbench.check.init.finding import CI_SNIPPET
from flopbench.core.version import VERSION

yaml = pytest.importorskip("yaml")

TEXT = (ROOT / "action.yml").read_text(encoding="utf-8")
ACTION = yaml.safe_load(TEXT)
STEPS = ACTION["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
NETS = """from torch import nn


def net():
    return nn.Sequential(nn.Conv2d(3, {width}, 3, padding=1), nn.ReLU())
"""
CONFIG = '[[entries]]\nmodel = "nets.py:net@8"\nname = "net"\n'
GH = """#!{python}
import json, pathlib, sys
arguments = sys.argv[1:]
body = next((a[6:] for a in arguments if a.startswith("body=@")), None)
text = pathlib.Path(body).read_text(encoding="utf-8") if body else None
with open({log!r}, "a", encoding="utf-8") as stream:
    stream.write(json.dumps({{"arguments": arguments, "body": text}}) + "\\n")
if body is None:
    sys.stdout.write({answer!r})
sys.exit({status})
"""


@dataclass(slots=True)
class Job:
    """What a run of the action left: outputs, exit status, text, the summary."""

    status: int = 0
    text: str = ""
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)


def evaluate(expression: str, context: Mapping[str, str]) -> Any:
    """Evaluate an expression of the kind that the action uses; what is unknown is empty."""
    tokens = re.findall(r"'[^']*'|&&|\|\||==|!=|[a-z_.-]+", expression)
    assert "".join(tokens) == re.sub(r"\s(?=(?:[^']*'[^']*')*[^']*$)", "", expression)
    words = {"&&": "and", "||": "or", "==": "==", "!=": "!="}
    terms = [
        words.get(token) or (token if token[0] == "'" else repr(context.get(token, "")))
        for token in tokens
    ]
    return eval(" ".join(terms), {"__builtins__": {}})


def filled(value: str, context: Mapping[str, str]) -> str:
    """Fill in the expressions of a value."""
    return EXPRESSION.sub(lambda match: str(evaluate(match[1], context)), value)


def run_action(
    folder: Path,
    inputs: Mapping[str, str] | None = None,
    event: Mapping[str, str] | None = None,
    path: tuple[Path, ...] = (),
) -> Job:
    """Run the action's steps in order, each as a runner runs it, until one fails."""
    scratch = folder.parent / "runner"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    context = {
        "github.repository": "me/nets",
        "github.token": "token",
        "github.action_path": str(ROOT),
        "github.server_url": "https://github.com",
        **(event or {}),
    }
    for name, about in ACTION["inputs"].items():
        context[f"inputs.{name}"] = filled(str(about["default"]), context)
    context.update({f"inputs.{name}": value for name, value in (inputs or {}).items()})
    files = {name: scratch / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.touch()
    folders = [*path, *os.environ["PATH"].split(os.pathsep)]
    job = Job()
    for step in STEPS:
        if "if" in step and not evaluate(step["if"], context):
            continue
        script = scratch / "script.sh"
        script.write_text(step["run"], encoding="utf-8")
        files["GITHUB_OUTPUT"].write_text("", encoding="utf-8")
        done = run_shell(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            folder,
            {
                **os.environ,
                **GIT,
                **{name: str(file) for name, file in files.items()},
                "CI": "true",
                "RUNNER_TEMP": str(scratch),
                "PATH": os.pathsep.join(map(str, folders)),
                **{name: filled(value, context) for name, value in step["env"].items()},
            },
        )
        job.ran.append(step["name"])
        job.text += done.stdout + done.stderr
        job.status = done.returncode
        for line in files["GITHUB_OUTPUT"].read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            context[f"steps.{step['id']}.outputs.{name}"] = value
        if done.returncode:
            break
    job.summary = files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")
    for name, about in ACTION["outputs"].items():
        job.outputs[name] = filled(about["value"], context)
    return job


def pull_request(base: str, *, head: str = "me/nets") -> dict[str, str]:
    """Return what GitHub tells about a pull request."""
    return {
        "github.event_name": "pull_request",
        "github.event.pull_request.base.sha": base,
        "github.event.pull_request.number": "7",
        "github.event.pull_request.head.repo.full_name": head,
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository with a model and its accepted cost, once."""
    folder = tmp_path_factory.mktemp("made") / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "nets.py").write_text(NETS.format(width=8), encoding="utf-8")
    (folder / "flopbench.toml").write_text(CONFIG, encoding="utf-8")
    (folder / ".gitignore").write_text("__pycache__\n", encoding="utf-8")
    accept = ("accept", "--all", "--reason", "first", "--in-ci")
    assert run_here(accept, folder, os.environ).returncode == 0
    commit(folder, "first")
    return folder


@pytest.fixture
def repository(made: Path, tmp_path: Path) -> Path:
    """Return a copy of that repository."""
    return Path(shutil.copytree(made, tmp_path / "repository"))


def widen(folder: Path) -> str:
    """Make the model wider in a commit; return the commit before."""
    base = git(folder, "rev-parse", "HEAD")
    (folder / "nets.py").write_text(NETS.format(width=16), encoding="utf-8")
    commit(folder, "wider")
    return base


def fake_gh(folder: Path, answer: str = "", status: int = 0) -> tuple[Path, Path]:
    """Put a ``gh`` in a folder that notes each call; return the folder and the notes."""
    place = folder / "bin"
    place.mkdir()
    log = place / "calls"
    script = GH.format(python=sys.executable, log=str(log), answer=answer, status=status)
    (place / "gh").write_text(script, encoding="utf-8")
    (place / "gh").chmod(0o755)
    return place, log


def calls(log: Path) -> list[dict[str, Any]]:
    """Return the calls of ``gh``."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def test_no_expression_stands_in_a_script() -> None:
    """Inputs and events reach a shell as variables: nothing is pasted into a script."""
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS:
        assert "${{" not in step["run"]
        assert "uses" not in step  # no code of others
        for value in step["env"].values():
            assert EXPRESSION.fullmatch(value)
    assert "secrets." not in TEXT
    assert "contents: read" in TEXT
    assert set(ACTION["outputs"]) == {"status", "report"}
    for about in ACTION["inputs"].values():
        assert isinstance(about["default"], str)


@pytest.mark.parametrize("step", STEPS, ids=[step["name"] for step in STEPS])
def test_scripts_are_sound(step: dict[str, Any]) -> None:
    """Bash reads every script without running it; every variable of ours comes from ``env``."""
    done = subprocess.run(["bash", "-n"], input=step["run"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    own = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", step["run"])) - {"GITHUB_OUTPUT", "RUNNER_TEMP"}
    assert own <= set(step["env"])


def test_a_model_that_costs_the_same_passes(repository: Path) -> None:
    """Status 0, a report, a summary, JUnit where it was asked for; nothing is asked of GitHub."""
    job = run_action(repository, {"junit": "out.xml"})
    assert job.status == 0, job.text
    assert job.ran == ["Base", "Check", "Verdict"]
    assert job.outputs["status"] == "0"
    report = json.loads(Path(job.outputs["report"]).read_text(encoding="utf-8"))
    assert (report["kind"], report["status"]) == ("flopbench.check", 0)
    assert job.summary.startswith("<!-- flopbench-check -->")
    assert ElementTree.parse(repository / "out.xml").getroot() is not None


def test_a_costlier_model_fails_the_job(repository: Path) -> None:
    """The job ends with the status of the check, and the annotation names the model's file."""
    base = widen(repository)
    job = run_action(repository, event=pull_request(base))
    assert job.status == 1, job.text
    assert job.outputs["status"] == "1"
    report = json.loads(Path(job.outputs["report"]).read_text(encoding="utf-8"))
    assert report["baseline"].startswith(base)
    assert "::error" in job.text
    # 3·3·3 MACs a position and channel, 64 positions, 8 more channels.
    assert "+13,824 MACs" in job.summary
    # The current baseline says the same.
    assert run_action(repository, {"against": "none"}, pull_request(base)).status == 1


def test_growth_that_the_pull_request_accepts_passes(repository: Path) -> None:
    """Held against its base, a pull request may carry the baseline that accepts its growth."""
    base = widen(repository)
    accept = ("accept", "net", "--reason", "needed", "--in-ci")
    assert run_here(accept, repository, os.environ).returncode == 0
    job = run_action(repository, event=pull_request(base))
    assert job.status == 0, job.text


def test_a_shallow_checkout_fetches_the_base(repository: Path, tmp_path: Path) -> None:
    """A checkout of one commit lacks the base: that one commit is fetched, by id or by name."""
    git(repository, "branch", "stable")
    base = widen(repository)
    shallow = tmp_path / "shallow" / "checkout"
    shallow.parent.mkdir()
    source = repository.as_uri()
    git(tmp_path, "clone", "-q", "--depth=1", "--branch", "main", source, str(shallow))
    job = run_action(shallow, event=pull_request(base))
    assert job.status == 1, job.text
    assert base in job.text or base in job.summary
    job = run_action(shallow, {"against": "stable"})
    assert (job.status, job.outputs["status"]) == (1, "1"), job.text
    job = run_action(shallow, {"against": "no-such-branch"})
    assert (job.status, job.outputs) == (2, {"status": "2", "report": ""}), job.text
    assert "no-such-branch" in job.text


def merged(repository: Path, folder: Path, depth: int = 1) -> tuple[Path, str, dict[str, str]]:
    """Widen the model on a branch while the main branch moves on; check out what merging gives.

    Returns:
        The checkout, the branch to merge into as it is now, what GitHub tells, with an older base.
    """
    old = git(repository, "rev-parse", "HEAD")
    git(repository, "switch", "-q", "-c", "branch")
    widen(repository)
    git(repository, "switch", "-q", "main")
    (repository / "readme").write_text("Moved on.")
    base = commit(repository, "moved on")
    git(repository, "merge", "-q", "--no-ff", "--no-edit", "branch")
    head = git(repository, "rev-parse", "HEAD")
    checkout = folder / "merged" / "checkout"
    checkout.parent.mkdir()
    git(folder, "clone", "-q", f"--depth={depth}", repository.as_uri(), str(checkout))
    return checkout, base, {**pull_request(old), "github.sha": head}


def test_a_pull_request_is_held_against_what_it_is_merged_into(
    repository: Path, tmp_path: Path
) -> None:
    """The first parent of the merge commit; that of another commit with two parents is not it."""
    checkout, base, event = merged(repository, tmp_path)
    job = run_action(checkout, event=event)
    report = json.loads(Path(job.outputs["report"]).read_text(encoding="utf-8"))
    assert (job.status, report["baseline"].split(":")[0]) == (1, base), job.text
    other = {**event, "github.sha": event["github.event.pull_request.base.sha"]}
    job = run_action(checkout, event=other)
    report = json.loads(Path(job.outputs["report"]).read_text(encoding="utf-8"))
    assert report["baseline"].split(":")[0] == event["github.event.pull_request.base.sha"]


@pytest.mark.parametrize("kind", ["merge_group", "push", "push of a branch", "schedule"])
def test_queues_and_pushes_have_a_base(repository: Path, kind: str) -> None:
    """What was there before; a new branch and other events are held against the own baseline."""
    base = widen(repository)
    told, expected = {
        "merge_group": ({"github.event.merge_group.base_sha": base}, base),
        "push": ({"github.event.before": base}, base),
        "push of a branch": ({"github.event.before": "0" * 40}, ".flopbench/baseline.json"),
        "schedule": ({}, ".flopbench/baseline.json"),
    }[kind]
    job = run_action(repository, event={"github.event_name": kind.split()[0], **told})
    report = json.loads(Path(job.outputs["report"]).read_text(encoding="utf-8"))
    assert (job.status, report["baseline"].split(":")[0]) == (1, expected), job.text


PRIVATE_GIT = """#!/bin/bash
if [[ " $* " == *" fetch "* ]]; then
  [[ "$GIT_CONFIG_KEY_0" == http.https://github.com/.extraheader ]] || exit 128
  [[ "$GIT_CONFIG_VALUE_0" == "AUTHORIZATION: basic eC1hY2Nlc3MtdG9rZW46dG9rZW4=" ]] || exit 128
  unset GIT_CONFIG_COUNT
fi
exec {git} "$@"
"""


def test_a_private_repository_is_fetched_with_the_token(repository: Path, tmp_path: Path) -> None:
    """Where the checkout kept no credentials (x-access-token:token, in base 64)."""
    place = tmp_path / "private"
    place.mkdir()
    (place / "git").write_text(PRIVATE_GIT.format(git=shutil.which("git")), encoding="utf-8")
    (place / "git").chmod(0o755)
    checkout, _, event = merged(repository, tmp_path)
    assert run_action(checkout, event=event, path=(place,)).status == 1
    shutil.rmtree(checkout)
    git(tmp_path, "clone", "-q", "--depth=1", repository.as_uri(), str(checkout))
    job = run_action(checkout, {"github-token": "expired"}, event, (place,))
    assert (job.status, job.outputs["status"]) == (2, "2"), job.text
    assert "expired" not in job.text


def test_the_token_is_not_where_models_run() -> None:
    """Checking imports the pull request's code, which may read the environment."""
    holders = [
        step["name"] for step in STEPS if any("token" in value for value in step["env"].values())
    ]
    assert holders == ["Base", "Comment"]
    (base,) = (step["run"] for step in STEPS if step["name"] == "Base")
    assert "flopbench " not in base


def test_another_version_than_the_actions_is_a_warning(repository: Path, tmp_path: Path) -> None:
    """The job names both, and goes on."""
    assert "::warning::" not in run_action(repository).text
    other = tmp_path / "action" / "flopbench" / "core"
    other.mkdir(parents=True)
    (other / "version.py").write_text('"""The version."""\n\nVERSION = "9.8.7"\n')
    job = run_action(repository, event={"github.action_path": str(tmp_path / "action")})
    assert job.status == 0
    assert f"::warning::the action is of flopbench 9.8.7, and flopbench {VERSION} is" in job.text


def test_the_workflow_of_init_fails_a_costlier_model(repository: Path, tmp_path: Path) -> None:
    """Its last step, in a checkout of two commits as its first step makes it."""
    workflow = yaml.safe_load(CI_SNIPPET)
    (job,) = workflow["jobs"].values()
    checkout, _, _ = merged(repository, tmp_path, job["steps"][0]["with"]["fetch-depth"])
    summary = tmp_path / "summary.md"
    environment = {**os.environ, **GIT, "CI": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    command = job["steps"][-1]["run"]
    assert run_shell(command, checkout, environment).returncode == 1
    assert "+13,824 MACs" in summary.read_text(encoding="utf-8")
    accept = ("accept", "net", "--reason", "needed", "--in-ci")
    assert run_here(accept, checkout, os.environ).returncode == 0
    assert run_shell(command, checkout, environment).returncode == 0


@pytest.mark.parametrize(
    "inputs",
    [
        {"config": "$(touch pwned).toml"},
        {"config": "`touch pwned`"},
        {"config": '"; touch pwned; "'},
        {"config": "--refresh"},
        {"against": "; touch pwned"},
        {"against": "HEAD\nreport=pwned"},
        {"against": "--upload-pack=touch pwned"},
        {"paired": "$(touch pwned)"},
        {"args": "; touch pwned"},
        {"args": "$(touch pwned)\n&& touch pwned"},
        {"junit": "no/$(touch pwned)/x.xml"},
        {"working-directory": "$(touch pwned)"},
        {"working-directory": "-; touch pwned"},
    ],
    ids=str,
)
def test_hostile_inputs_are_only_text(repository: Path, inputs: dict[str, str]) -> None:
    """What an input holds is never run: it names nothing, and the status is 2."""
    job = run_action(repository, inputs)
    assert (job.status, job.outputs) == (2, {"status": "2", "report": ""}), job.text
    assert "Traceback" not in job.text
    assert not list(repository.parent.rglob("pwned*"))
    assert git(repository, "status", "--porcelain") == ""


def test_arguments_stand_one_a_line(repository: Path) -> None:
    """Further arguments may hold spaces; empty lines are none."""
    job = run_action(repository, {"args": "--badge\n\nmy badge.json\n"})
    assert job.status == 0, job.text
    assert (repository / "my badge.json").is_file()


def test_another_directory_and_configuration(repository: Path) -> None:
    """The working directory and the configuration may have spaces in their names."""
    place = repository / "my models"
    place.mkdir()
    for name in ("nets.py", "flopbench.toml", ".flopbench"):
        (repository / name).rename(place / name)
    (place / "flopbench.toml").rename(place / "cost check.toml")
    job = run_action(repository, {"working-directory": "my models", "config": "cost check.toml"})
    assert job.status == 0, job.text


def test_without_flopbench_the_job_says_so(repository: Path, tmp_path: Path) -> None:
    """Nothing is installed: an error tells the step to add."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "mktemp", "git"):
        (tools / name).symlink_to(shutil.which(name) or "")
    (step,) = (step for step in STEPS if step["name"] == "Check")
    script = tmp_path / "script.sh"
    script.write_text(step["run"], encoding="utf-8")
    output = tmp_path / "output"
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-eo", "pipefail", str(script)],
        cwd=repository,
        env={
            **dict.fromkeys(step["env"], ""),
            "WORKING_DIRECTORY": ".",
            "PATH": str(tools),
            "GITHUB_OUTPUT": str(output),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout.startswith("::error::flopbench is not installed in this job")
    assert output.read_text(encoding="utf-8") == "status=2\n"


def test_a_first_comment_and_the_next(repository: Path, tmp_path: Path) -> None:
    """Without a comment of ours one is made; with one, that one is replaced."""
    base = widen(repository)
    wanted = {"comment": "true"}
    (tmp_path / "first").mkdir()
    place, log = fake_gh(tmp_path / "first")
    job = run_action(repository, wanted, pull_request(base), (place,))
    assert job.ran == ["Base", "Check", "Comment", "Verdict"]
    assert job.status == 1, job.text
    found, made = calls(log)
    assert "repos/me/nets/issues/7/comments?per_page=100" in found["arguments"]
    assert 'startswith("<!-- flopbench-check -->")' in found["arguments"][-1]
    assert 'user.type == "Bot"' in found["arguments"][-1]
    assert made["arguments"][:5] == [
        "api",
        "--silent",
        "--method",
        "POST",
        "repos/me/nets/issues/7/comments",
    ]
    assert made["body"].startswith("<!-- flopbench-check -->")
    assert "+13,824 MACs" in made["body"]

    (tmp_path / "next").mkdir()
    place, log = fake_gh(tmp_path / "next", answer="41\n42\n")
    job = run_action(repository, wanted, pull_request(base), (place,))
    assert job.status == 1
    changed = calls(log)[1]["arguments"]
    assert changed[2:5] == ["--method", "PATCH", "repos/me/nets/issues/comments/41"]


@pytest.mark.parametrize("inputs", [{"comment": "true"}, {}], ids=["fork", "not asked for"])
def test_no_comment_for_forks_nor_unasked(
    repository: Path, tmp_path: Path, inputs: dict[str, str]
) -> None:
    """A fork's pull request is still checked, and GitHub is asked for nothing."""
    head = "stranger/nets" if inputs else "me/nets"
    place, log = fake_gh(tmp_path)
    base = git(repository, "rev-parse", "HEAD")
    job = run_action(repository, inputs, pull_request(base, head=head), (place,))
    assert (job.status, job.ran) == (0, ["Base", "Check", "Verdict"])
    assert not log.exists()


def test_a_comment_that_fails_does_not_hide_the_verdict(repository: Path, tmp_path: Path) -> None:
    """Where GitHub refuses the comment, a warning says so and the status is unchanged."""
    base = widen(repository)
    place, _ = fake_gh(tmp_path, status=1)
    job = run_action(repository, {"comment": "true"}, pull_request(base), (place,))
    assert job.status == 1
    assert "::warning::flopbench could not comment" in job.text
    assert "pull-requests: write" in job.text


def test_a_long_comment_is_cut_at_a_whole_explanation(repository: Path, tmp_path: Path) -> None:
    """Beyond GitHub's limit, the comment ends before an explanation, and says so."""
    base = widen(repository)
    names = [f"net {number:04d}" for number in range(200)]
    entries = [f'[[entries]]\nmodel = "nets.py:net@8"\nname = "{name}"\n' for name in names]
    budgets = '[[budgets]]\nmetric = "dense_macs"\nlimit = "1 kMACs"\n'
    (repository / "flopbench.toml").write_text("\n".join([*entries, budgets]), encoding="utf-8")
    place, log = fake_gh(tmp_path)
    job = run_action(repository, {"comment": "true"}, pull_request(base), (place,))
    assert job.status == 1, job.text
    body = calls(log)[1]["body"]
    assert 1000 < len(body) < 65_536 < len(job.summary)
    assert body.count("<details>") == body.count("</details>")
    assert body.count("<pre>") == body.count("</pre>")
    assert body.rstrip().endswith("Cut here: the job summary has all of it.")


def test_the_hook_of_each_push(repository: Path) -> None:
    """The pre-push hook's entry passes, then fails as the check does."""
    text = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    entry = {hook["id"]: hook["entry"] for hook in yaml.safe_load(text)}["flopbench-check"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def hook() -> int:
        env = {**os.environ, "PATH": path}
        return subprocess.run(["bash", "-c", entry], cwd=repository, env=env).returncode

    assert hook() == 0
    widen(repository)
    assert hook() == 1
