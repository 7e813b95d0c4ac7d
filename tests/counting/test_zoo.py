"""Tables of whole libraries: which models, what a file keeps, shards as one, published figures.

Quoted constants stand for models: they are rows that need no measuring.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, RunCli
from msgspec.structs import replace

from flopbench.cli import table
from flopbench.cli.table import LIBRARIES
from flopbench.core.errors import DataError, FlopbenchError, InputError, NotComparableError
from flopbench.counting import zoo
from flopbench.counting.against import Against, against
from flopbench.counting.cost_row import CostRow
from flopbench.counting.table import CostTable
from flopbench.counting.table_text import flat_csv
from flopbench.counting.zoo import chosen_names, count_into, library_models, merged
from flopbench.models.spec import LIBRARY_SOURCES, ModelSpec, parse_spec

NAMES = ["vit_s", "resnet18", "vit_b", "convnext", "vit_b_in22k"]
SPECS = [parse_spec(f"value:{number}00") for number in range(1, 6)]


@pytest.mark.parametrize(
    ("match", "exclude", "shard", "expected"),
    [
        ((), (), (1, 1), ["convnext", "resnet18", "vit_b", "vit_b_in22k", "vit_s"]),
        (("vit_*",), (), (1, 1), ["vit_b", "vit_b_in22k", "vit_s"]),
        (("vit_?", "RES*", "conv*"), (), (1, 1), ["convnext", "vit_b", "vit_s"]),
        (("vit_*",), ("*in22k", "x"), (1, 1), ["vit_b", "vit_s"]),
        ((), (), (1, 3), ["convnext", "vit_b_in22k"]),
        ((), (), (2, 3), ["resnet18", "vit_s"]),
        ((), (), (3, 3), ["vit_b"]),
    ],
)
def test_names(
    match: tuple[str, ...], exclude: tuple[str, ...], shard: tuple[int, int], expected: list[str]
) -> None:
    """One of the patterns, none of the others, case and all; shards take turns."""
    assert chosen_names(NAMES, match, exclude, shard) == expected


def test_models_of_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names come from another process; where none is left, near ones are named."""
    monkeypatch.setattr(zoo, "run_job", lambda _target, job: [f"{job['library']}_net", *NAMES])
    assert list(map(str, library_models("timm", ["vit_?"]))) == ["timm:vit_b", "timm:vit_s"]
    assert list(map(str, library_models("torchvision", ["*net"]))) == ["torchvision_net"]
    with pytest.raises(InputError, match=r"matches 'vitb'\n.*mean 'vit_b'"):
        library_models("timm", ["vit_s", "vitb"], ["vit_s"])
    with pytest.raises(InputError, match="no model of timm is left"):
        library_models("timm", ["vit_s"], ["vit_*"])
    assert LIBRARIES == LIBRARY_SOURCES


def counting(path: Path | None, specs: list[ModelSpec], **options: object) -> list[str]:
    """Count into a file; return what was counted, in order."""
    counted: list[str] = []

    def told(spec: ModelSpec, _answer: object) -> None:
        counted.append(str(spec))
        if options.get("stop") == len(counted):
            raise KeyboardInterrupt

    given = {name: value for name, value in options.items() if name != "stop"}
    count_into(path, specs, ["torch"], told=told, **given)  # type: ignore[arg-type]
    return counted


def test_a_file_is_continued(tmp_path: Path) -> None:
    """Interrupted after two of five: these are kept, the others counted, as in one run."""
    path, whole = tmp_path / "zoo.json", tmp_path / "whole.json"
    with pytest.raises(KeyboardInterrupt):
        counting(path, SPECS, stop=2)
    assert [row.spec for row in CostTable.load(path)] == ["value:100", "value:200"]
    assert counting(path, SPECS, jobs=2)  # what came first is not told
    assert counting(path, SPECS) == []
    counting(whole, SPECS[::-1])
    assert path.read_bytes() == whole.read_bytes()


STOPPED = """
import os, signal, sys
from pathlib import Path
from flopbench.core import stopping
from flopbench.counting.zoo import count_into
from flopbench.models.spec import parse_spec
stopping.install()
specs = [parse_spec(f"value:{number}") for number in range(1, 9)]
count_into(
    Path(sys.argv[1]), specs, ["torch"], told=lambda *_: os.kill(os.getpid(), signal.SIGTERM)
)
"""


def test_a_signal_leaves_what_was_counted(tmp_path: Path) -> None:
    """A process that SIGTERM ends after its first model has that one's row in the file."""
    path = tmp_path / "zoo.json"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", STOPPED, str(path)], env=env)
    assert done.returncode == 143
    assert [row.spec for row in CostTable.load(path)] == ["value:1"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_failed_is_counted_again_on_request(tmp_path: Path) -> None:
    """A failed row stays a row; rows of models that were not asked for stay, too."""
    path = tmp_path / "zoo.json"
    counting(path, SPECS[:2])
    saved = CostTable.load(path)
    failed = replace(saved.rows[0], status="failed", total_macs=None, notes=("too slow",))
    other = replace(failed, model="other", spec="other")
    CostTable(rows=(other, failed, saved.rows[1]), environment=saved.environment).save(path)
    assert counting(path, SPECS[:3]) == ["value:300"]
    assert counting(path, SPECS[:3], retry_failed=True) == ["value:100"]
    rows = {row.spec: row.status for row in CostTable.load(path)}
    assert rows == {"other": "failed", **dict.fromkeys(["value:100", "value:200"], "quoted")} | {
        "value:300": "quoted"
    }


def row(spec: str, macs: int | None = 100, *, counter: str = "torch", **more: object) -> CostRow:
    """Return a row of a model."""
    model, _, size = spec.partition("@")
    counts = {"total_macs": macs, "dense_macs": macs, "status": "verified" if macs else "failed"}
    return CostRow(
        **{"model": model, "input": size, "counter": counter, "spec": spec, **counts, **more}
    )


def test_another_file_is_not_continued(tmp_path: Path) -> None:
    """Other counters, other versions, something else: refused, and untouched."""
    path = tmp_path / "zoo.json"

    def refused(text: str, error: type[FlopbenchError], needle: str) -> None:
        path.write_text(text)
        with pytest.raises(error, match=needle):
            counting(path, SPECS[:1])
        assert path.read_text() == text

    refused("{}", DataError, "schema")
    thop = CostTable(rows=(row("a", counter="thop"),), environment={})
    refused(thop.dumps(), InputError, "was counted with thop, not with torch")
    old = CostTable(rows=(row("a"),), environment={"python": "2.7", "flopbench": "0.0.1"})
    refused(old.dumps(), NotComparableError, r"zoo.json has counts of flopbench 0.0.1")


def test_shards_are_one_table() -> None:
    """In any order the same rows; what failed in one and not in another was counted."""
    rows = [row(f"net{number}@64", number) for number in range(1, 9)]
    shards = {f"{k}": CostTable(rows=tuple(rows[k::3]), environment={"a": "1"}) for k in range(3)}
    mixed = dict(random.Random(0).sample(list(shards.items()), 3))
    found = merged(mixed)
    assert sorted(found.rows, key=lambda r: r.model) == rows
    assert found.environment == {"a": "1"}
    again = {**mixed, "failed": CostTable(rows=(row("net1@64", None), row("net9", None)))}
    assert len(merged(again)) == 9
    with pytest.raises(NotComparableError, match="differ about net1@64 under torch"):
        merged({**shards, "x": CostTable(rows=(row("net1@64", 7),))})
    with pytest.raises(NotComparableError, match="0 has counts of a 1, x is a 2"):
        merged({**shards, "x": CostTable(rows=(), environment={"a": "2"})})


VIT = {"activations": 2_484_000, "params": 11_689_512}
TABLE = CostTable(
    rows=(
        row("timm:vit@224", 1_814_073_344, **VIT),
        row("timm:vit@224", 1_819_065_856, counter="fvcore", dense_macs=1_814_073_344, **VIT),
        row("timm:cnn@160", 500_000_000, params=1000),
        row("timm:ours@160", 500_000_000),
    )
)
PUBLISHED = """model,infer_img_size,infer_step_time,infer_gmacs,infer_macts,param_count
vit.some_tag,224,3.1,1.82,2.48,11.69
vit,288,3.1,3.01,4.11,11.69
cnn,160,1.0,0.49,,0.00
cnn,160,1.0,9.9,,
theirs,160,1.0,0.44,0,"1,136.00"
"""


def test_one_line_a_model() -> None:
    """timm's columns hold fvcore's MACs; exact counts and those of every counter come with them."""
    header, vit, cnn, _ = flat_csv(TABLE).splitlines()
    assert header == (
        "model,infer_img_size,infer_gmacs,infer_macts,param_count,status,dense_macs,activations,"
        "params,feature_dim,torch_macs,torch_status,fvcore_macs,fvcore_status,spec,notes"
    )
    assert vit == (
        "vit,224,1.819065856,2.484,11.689512,verified,1814073344,2484000,11689512,,1814073344,"
        "verified,1819065856,verified,timm:vit@224,"
    )
    assert cnn.startswith("cnn,160,,,0.001,verified,500000000,,1000,,500000000,verified,,,timm")


def compared(tmp_path: Path, text: str) -> Against:
    """Compare the table with a published file."""
    path = tmp_path / "published.csv"
    path.write_text(text)
    return against(TABLE, path)


def test_published_figures(tmp_path: Path) -> None:
    """To the last decimal of the column, which is the second; the first row of a model counts."""
    found = compared(tmp_path, PUBLISHED)
    assert found.agreeing == {
        ("GMACs", "fvcore"): 1,
        ("M activations", "torch"): 1,
        ("M params", "torch"): 2,
    }
    (wrong,) = found.differences
    assert (wrong.model, wrong.quantity, wrong.published, wrong.ours) == (
        "cnn",
        "GMACs",
        "0.49",
        0.5,
    )
    assert wrong.share == pytest.approx(-0.02)
    assert (found.compared, found.other_size, found.only_ours, found.only_theirs) == (2, 0, 1, 1)
    elsewhere = compared(tmp_path, "model,img_size,param_count\nvit,512,11\n")
    assert (elsewhere.compared, elsewhere.other_size) == (0, 1)


def test_our_own_file_agrees(tmp_path: Path) -> None:
    """The flat CSV of a table, given as published figures, differs in nothing."""
    found = compared(tmp_path, flat_csv(TABLE))
    assert (found.differences, found.compared, found.only_ours) == ((), 3, 0)


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("", "has nothing"),
        ("x" * 200_000, "is no CSV: field larger"),
        ("model,top1\nvit,80\n", r":1: has model, top1"),
        ("model,infer_img_size,infer_gmacs\nvit,224\n", r":2: 2 fields, the header has 3"),
        ("model,infer_img_size,infer_gmacs\n\nvit,224,fast\n", r":3: infer_gmacs is 'fast'"),
        ("model,infer_img_size,infer_gmacs\nvit,224,-1\n", r":2: infer_gmacs is '-1'"),
        ("model,infer_img_size,infer_gmacs\nvit,224,nan\n", r":2: infer_gmacs is 'nan'"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, needle: str) -> None:
    """Line and field are named."""
    with pytest.raises(DataError, match=needle):
        compared(tmp_path, text)


@pytest.mark.parametrize(
    ("args", "needle"),
    [
        (("resnet18", "--match", "vit_*"), "--match needs --all"),
        (("resnet18", "--retry-failed"), "--retry-failed needs --all"),
        (("--all", "timm", "resnet18"), "--all names the models itself"),
        (("--all", "timm", "-o", "zoo.csv"), "flopbench table --all timm -o zoo.json, then"),
        (("--all", "timm", "-o", "zoo.json", "--flat"), "-o holds the table of --all"),
        (("--all", "timm", "--shard", "3/2"), "'3/2': parts are 1/2 to 2/2"),
        (("--all", "timm", "--shard", "half"), "where I/N was expected"),
        (("--from", "t.json", "--flat", "-o", "t.csv", "--format", "md"), "--flat is CSV"),
        (("--from", "a.json", "b.json"), "cannot read a.json"),
        (("--from", "t.json", "--against", "none.csv"), "cannot read none.csv"),
    ],
)
def test_options_that_cannot_apply(
    run_cli: RunCli, tmp_path: Path, args: tuple[str, ...], needle: str
) -> None:
    """Status 2 and one message, before anything is counted or written."""
    TABLE.save(tmp_path / "t.json")
    done = run_cli("table", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert needle in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_saved_tables_on_the_command_line(run_cli: RunCli, tmp_path: Path) -> None:
    """Two shards as one CSV of a row a model, and against published figures."""
    for name, rows in (("a", TABLE.rows[:2]), ("b", TABLE.rows[2:])):
        CostTable(rows=rows).save(tmp_path / f"{name}.json")
    (tmp_path / "published.csv").write_text(PUBLISHED)
    flat = run_cli("table", "--from", "b.json", "a.json", "--flat", "--sort", "model")
    assert [line.partition(",")[0] for line in flat.stdout.splitlines()] == [
        *("model", "cnn", "ours", "vit")
    ]
    shown = run_cli("table", "--from", "a.json", "b.json", "--against", "published.csv")
    assert (
        shown.stdout
        == """Figures of published.csv that differ in a printed decimal
model  input  quantity  published    ours  counter  difference
cnn      160  GMACs          0.49  0.5000  torch        −2.0 %
GMACs: 1 agree (fvcore 1), 1 differ.
M activations: 1 agree, 0 differ.
M params: 2 agree, 0 differ.
2 models at the same input; 0 at other inputs only, 1 in the table alone, 1 in the file alone.
"""
    )


def test_a_library_on_the_command_line(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log file hears how far it is and what came out; a second run says what is there."""
    monkeypatch.setattr(zoo, "library_models", lambda *_: SPECS[:3])
    monkeypatch.setattr(table, "LOG_EVERY_S", 0.0)
    args = ("table", "--all", "timm", "--counter", "torch", "-o", "zoo.json")
    first, second = run_cli(*args), run_cli(*args, "--jobs", "2")
    assert first.returncode == second.returncode == 0, first.stderr
    assert "flopbench: 2 of 3 counted, 0:00:0" in first.stderr
    assert first.stderr.endswith("flopbench: 3 quoted\n")
    assert second.stderr.startswith("flopbench: zoo.json has 3 models of 3 already, 0 to count\n")
    assert len(CostTable.load(tmp_path / "zoo.json")) == 3
