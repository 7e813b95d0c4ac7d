"""What ``flopbench init`` finds, and the files it proposes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flopbench.check.config import read_config
from flopbench.check.init import finding
from flopbench.check.init.finding import CI_SNIPPET, config_text, find_entries
from flopbench.check.records import METRICS, Entry
from flopbench.core.limits import LARGEST_SOURCE_BYTES
from flopbench.core.toml_lines import tomllib

LOG = '{"format": "flopbench.policy-log", "version": 1}\n'


def write(root: Path, files: dict[str, str]) -> None:
    """Write some files, with their folders."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def found(root: Path) -> list[tuple[str, str]]:
    """Return name and specification, or log, of what is found."""
    return [(entry.name, entry.what) for entry, _ in find_entries(root)]


def names(root: Path, source: str) -> list[str]:
    """Return what is found in one file of this source."""
    write(root, {"nets.py": source})
    return [entry.model.removeprefix("nets.py:") for entry, _ in find_entries(root)]


FORWARD = "    def forward(self, x):\n        return x\n"


@pytest.mark.parametrize(
    "source",
    [
        "from torch import nn\nclass Net(nn.Module):\n",
        "import torch\nclass Net(torch.nn.Module):\n",
        "from torch.nn import Module\nclass Net(Module):\n    def __init__(self, width=8): ...\n",
        "class Net(nn.Module):\n    def __init__(self, *args, width=8, **more): ...\n",
        "class Net(Mixin, nn.Module):\n    @property\n    def x(self): ...\n",
    ],
)
def test_a_module_that_needs_no_arguments_is_a_model(tmp_path: Path, source: str) -> None:
    """Each way to name the base class; arguments with defaults do not matter."""
    assert names(tmp_path, source + FORWARD) == ["Net"]


@pytest.mark.parametrize(
    "source",
    [
        "class Net(nn.Module):\n    def __init__(self, width): ...\n" + FORWARD,
        "class Net(nn.Module):\n    def __init__(self, *, width): ...\n" + FORWARD,
        "class Net(nn.Module):\n    def __init__(self): ...\n",  # no forward: a base of others
        "class _Net(nn.Module):\n" + FORWARD,
        "class Net(Base):\n" + FORWARD,
        "@dataclass\nclass Net(nn.Module):\n    width: int\n" + FORWARD,
        "def f():\n    class Net(nn.Module):\n        def forward(self, x): ...\n",
        "class Net(nn.Module)\n" + FORWARD,  # no Python
        "x = '\0'",
    ],
)
def test_what_is_no_model_of_its_own_is_left_out(tmp_path: Path, source: str) -> None:
    """It needs arguments, is private, cannot run, is not a Module, or cannot be parsed."""
    assert names(tmp_path, source) == []


def test_parts_of_other_models_are_left_out(tmp_path: Path) -> None:
    """A block that another class mentions is no model; what a script runs, or names itself, is."""
    source = (
        "class Block(nn.Module):\n" + FORWARD + "class Head(nn.Module):\n" + FORWARD + "class Stem"
        "(nn.Module):\n" + FORWARD + "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super(Net, self).__init__()\n"
        "        self.body = stack(Block, n=2)\n"
        "        self.head = Head()\n" + FORWARD + "def main():\n    Net()\n"
    )
    assert names(tmp_path, source) == ["Stem", "Net"]


@pytest.mark.parametrize(
    "head",
    [
        "def anything() -> nn.Module:",
        "def anything() -> torch.nn.Module:",
        "def anything() -> Net:",
        "def anything() -> 'Net':",
        "def anything() -> Net | None:",
        "def anything() -> Optional[Net]:",
        "def anything() -> tuple[nn.Module, Tensor]:",
        "def anything(width: int = 8, *, depth=2, **more) -> Net:",
        "@torch.no_grad()\ndef anything() -> Net:",
        "def build():",
        "def model():",
        "def make_model():",
        "def build_small_net():",
        "def create_resnet50():",
        "def get_backbone() -> Any:",
    ],
)
def test_a_factory_is_preferred_over_the_class_it_makes(tmp_path: Path, head: str) -> None:
    """By its annotation, or by its name where it has none."""
    source = "class Net(nn.Module):\n" + FORWARD + head + "\n    net = Net()\n    return net\n"
    function = head.split("def ")[1].split("(")[0]
    assert names(tmp_path, source) == [function]


@pytest.mark.parametrize(
    "head",
    [
        "def build(width):",
        "def build(*, width):",
        "async def build():",
        "def _build():",
        "def build() -> str:",
        "def build() -> list[nn.Module]:",
        "def build() -> type[nn.Module]:",
        "def build() -> Callable[[], nn.Module]:",
        "def build() -> 'no type at all (':",
        "def get_model_name():",
        "def make_model_config():",
        "def get_widgets():",
        "def get_policy():",
        "def train_model():",
        "@pytest.fixture\ndef model():",
        "@app.command('x')\ndef build():",
    ],
)
def test_functions_that_make_no_model_are_left_out(tmp_path: Path, head: str) -> None:
    """It needs arguments, says that it returns something else, or is not meant to be called."""
    assert names(tmp_path, head + "\n    return something()\n") == []


@pytest.mark.parametrize("body", ["pass", "yield 1", "return"])
def test_a_name_alone_is_no_factory_where_nothing_is_returned(tmp_path: Path, body: str) -> None:
    """``build`` often builds something else."""
    assert names(tmp_path, f"def build():\n    {body}\n") == []


def test_nothing_is_imported_and_nothing_is_run(tmp_path: Path) -> None:
    """The user's code is read only, also where it would do something when imported."""
    mark = tmp_path / "mark"
    source = f"open({str(mark)!r}, 'w')\ndef build():\n    return open({str(mark)!r}, 'w')\n"
    write(tmp_path, {"pkg/__init__.py": source, "nets.py": source})
    assert found(tmp_path) == [("nets", "nets.py:build"), ("pkg", "pkg:build")]
    assert not mark.exists()
    assert "pkg" not in sys.modules


BUILD = "def build():\n    return 1\n"


def test_a_package_is_named_by_module_and_a_lone_file_by_path(tmp_path: Path) -> None:
    """A dotted name only where Python would import it from the root."""
    write(
        tmp_path,
        {
            "top.py": BUILD,
            "pkg/__init__.py": "",
            "pkg/nets.py": BUILD,
            "pkg/deep/__init__.py": "",
            "pkg/deep/more.py": BUILD,
            "pkg/loose/file.py": BUILD,
            "scripts/run.py": BUILD,
            "odd-pkg/__init__.py": "",
            "odd-pkg/nets.py": BUILD,
            "class/__init__.py": "",
            "class/nets2.py": BUILD,
        },
    )
    assert {entry.model for entry, _ in find_entries(tmp_path)} == {
        "top.py:build",
        "pkg.nets:build",
        "pkg.deep.more:build",
        "pkg/loose/file.py:build",
        "scripts/run.py:build",
        "odd-pkg/nets.py:build",
        "class/nets2.py:build",
    }


def test_an_installed_package_below_src_is_named_by_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the module's name works there, because of relative imports; and only if installed."""
    write(tmp_path, {"src/my_own_pkg/__init__.py": "", "src/my_own_pkg/nets.py": BUILD})
    assert found(tmp_path) == [("nets", "src/my_own_pkg/nets.py:build")]
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    assert found(tmp_path) == [("nets", "my_own_pkg.nets:build")]


def test_names_are_short_and_unique(tmp_path: Path) -> None:
    """A general name gives way to the file's; duplicates are distinguished."""
    net = "class Net(nn.Module):\n" + FORWARD
    write(
        tmp_path,
        {
            "a.py": net + "def build_model():\n    return 1\n",
            "b.py": net,
            "c/b.py": net + BUILD,
            "d/b.py": net,
            "b.json": LOG,
            "d/b.jsonl": LOG,
        },
    )
    assert found(tmp_path) == [
        ("Net", "a.py:Net"),
        ("a", "a.py:build_model"),
        ("b.Net", "b.py:Net"),
        ("b.Net-2", "c/b.py:Net"),
        ("b.build", "c/b.py:build"),
        ("b.Net-3", "d/b.py:Net"),
        ("b", "b.json"),
        ("d/b", "d/b.jsonl"),
    ]


def test_tests_and_what_others_wrote_are_skipped(tmp_path: Path) -> None:
    """Tests, hidden folders, environments, installed packages, build outputs, set-up files."""
    folders = ["tests", "test", ".hidden", "venv", "env", "x/site-packages", "build", "dist"]
    folders += ["node_modules", "__pycache__", "a.egg-info"]
    files = {f"{folder}/{name}": BUILD for folder in folders for name in ("nets.py", "b.py")}
    files |= {f"{folder}/run.jsonl": LOG for folder in folders}
    files |= dict.fromkeys(("setup.py", "conftest.py", "test_x.py", "x_test.py"), BUILD)
    files |= {"mine/pyvenv.cfg": "", "mine/nets.py": BUILD, ".nets.py": BUILD}
    write(tmp_path, files)
    assert found(tmp_path) == []


def test_policy_logs_are_known_by_their_head(tmp_path: Path) -> None:
    """Other JSON is left alone, and so is a log whose head comes too late."""
    write(
        tmp_path,
        {
            "logs/run.jsonl": LOG,
            "one.json": "{\n  " + LOG[1:],
            "late.json": " " * 2000 + LOG,
            "package.json": "{}",
            "run.txt": LOG,
        },
    )
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe" + LOG.encode())
    assert found(tmp_path) == [
        ("bytes", "bytes.json"),
        ("one", "one.json"),
        ("run", "logs/run.jsonl"),
    ]
    assert {why for _, why in find_entries(tmp_path)} == {"holds flopbench.policy-log"}


def test_paths_that_a_specification_cannot_hold_are_skipped(tmp_path: Path) -> None:
    """``@`` and ``,`` mean something there; an entry that cannot be read back is useless."""
    write(tmp_path, {"a,b.py": BUILD, "x@2/nets.py": BUILD, "fine 1.py": BUILD})
    (tmp_path / "dangling.py").symlink_to("nowhere.py")
    assert found(tmp_path) == [("fine 1", "fine 1.py:build")]


def test_a_search_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files beyond the maximum are not searched, nor are those too large to be hand-written."""
    write(tmp_path, {f"n{number}.py": BUILD for number in range(5)})
    write(tmp_path, {"a.py": BUILD + "#" * LARGEST_SOURCE_BYTES})
    assert len(find_entries(tmp_path)) == 5
    monkeypatch.setattr(finding, "MOST_FILES", 3)
    assert [name for name, _ in found(tmp_path)] == ["n0", "n1"]


def test_models_say_why_they_were_found(tmp_path: Path) -> None:
    """For the list that ``init`` prints."""
    source = (
        "class Net(nn.Module):\n" + FORWARD + "def make_net():\n    return load()\n"
        "def other() -> nn.Module:\n    return load()\n"
    )
    write(tmp_path, {"nets.py": source})
    assert {entry.name: why for entry, why in find_entries(tmp_path)} == {
        "Net": "a Module that needs no arguments",
        "make_net": "named like a model factory",
        "other": "returns a Module",
    }


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ("pretrained=True", "pretrained=False"),
        ("width=4, *, pretrained_backbone=True", "pretrained_backbone=False"),
        ("use_pretrained: bool = True, weights=Net_Weights.DEFAULT",
         "use_pretrained=False,weights=None"),
        ("encoder_weights='imagenet'", "encoder_weights=None"),
        ("pretrained='imagenet', checkpoint_path='a.pth'", "checkpoint_path=None,pretrained=None"),
        ("pretrained=False, weights=None, init_weights=True, share_weights='all'", ""),
        ("loss_weights=(1, 2), weights_init='he', tie_weights=True", ""),
    ],
)  # fmt: skip
def test_weights_that_a_factory_loads_by_itself_are_left_out(
    tmp_path: Path, parameters: str, options: str
) -> None:
    """They do not change a cost; what only sounds like it is left as it is."""
    source = f"def build({parameters}):\n    return load()\n"
    net = "class Net(nn.Module):\n" + FORWARD + f"    def __init__(self, {parameters}): pass\n"
    write(tmp_path, {"a.py": source, "b.py": net})
    more = f",{options}" if options else ""
    assert [e.model for e, _ in find_entries(tmp_path)] == [f"a.py:build{more}", f"b.py:Net{more}"]


# --- the text

ENTRIES = (
    Entry(name="net", model="nets.py:build@224"),
    Entry(name="run", policy_log="logs/run.jsonl"),
    Entry(name='odd "name" \\ [x]', model="resnet18"),
)


def written(folder: Path, text: str) -> Path:
    """Write a configuration."""
    path = folder / "flopbench.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_text_says_what_it_was_made_of(tmp_path: Path) -> None:
    """It reads back to the same entries, defaults and no budgets."""
    config = read_config(written(tmp_path, config_text(ENTRIES, {})))
    assert tuple(replace(entry, line=0) for entry in config.entries) == ENTRIES
    assert config.budgets == ()


def test_its_examples_work_when_they_are_uncommented(tmp_path: Path) -> None:
    """A budget for each metric, every key of a budget at least once."""
    text = re.sub(r"(?m)^#(?=\S)", "", config_text(ENTRIES, {}))
    config = read_config(written(tmp_path, text))
    assert [budget.metric for budget in config.budgets] == list(METRICS)
    used = {name for budget in tomllib.loads(text)["budgets"] for name in budget}
    assert used == {"metric", "limit", "max-increase", "min-delta", "gate", "note"}
    for name in ("match", *used, "name", "model", "policy-log", "preset", "rule"):
        assert re.search(rf"(?m)^#   {name}  ", text), f"{name} is not explained"


def test_an_entry_that_could_not_be_measured_is_a_comment_with_its_reason(tmp_path: Path) -> None:
    """A reason of several lines stays a comment; the others are guarded."""
    text = config_text(
        ENTRIES, {"net": "nets.py:build raised\nImportError: no\x00 'x'\r[[entries]]"}
    )
    config = read_config(written(tmp_path, text))
    assert [entry.name for entry in config.entries] == ["run", 'odd "name" \\ [x]']
    assert (
        "# Could not be measured: nets.py:build raised ImportError: no 'x' [[entries]]\n"
        '#[[entries]]\n#name = "net"\n#model = "nets.py:build@224"\n'
    ) in text


PRINTABLE = st.text(min_size=1, max_size=30).map(
    lambda text: "".join(sign for sign in text if sign.isprintable()).strip() or "x"
)


@given(PRINTABLE, PRINTABLE, st.text(max_size=60))
def test_any_name_and_any_reason_can_be_written(name: str, log: str, reason: str) -> None:
    """Quoted text comes back; text in a comment stays there."""
    entries = [Entry(name=name, policy_log=log), Entry(name=name + "2", policy_log=log)]
    data = tomllib.loads(config_text(entries, {name + "2": reason}))
    assert data["entries"] == [{"name": name, "policy-log": log}]


def test_the_workflow_checks_changes_with_reading_rights_only() -> None:
    """Each way to the main branch; two commits, no credentials; a CPU build of torch, cached."""
    yaml = pytest.importorskip("yaml")
    workflow: dict[Any, Any] = yaml.safe_load(CI_SNIPPET)
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"pull_request", "merge_group", "push"}  # YAML reads on as true
    assert "github.ref" in workflow["concurrency"]["group"]
    (job,) = workflow["jobs"].values()
    uses = {step["uses"].split("@")[0]: step.get("with") for step in job["steps"] if "uses" in step}
    assert uses["actions/checkout"] == {"fetch-depth": 2, "persist-credentials": False}
    assert uses["astral-sh/setup-uv"]["enable-cache"] is True
    assert uses["astral-sh/setup-uv"]["activate-environment"] is True
    assert [step["run"] for step in job["steps"] if "run" in step] == [
        'uv pip install --torch-backend cpu "flopbench[measure]"',
        "flopbench check --github --against HEAD^",
    ]
