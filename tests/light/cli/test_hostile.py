"""Files and arguments of hostile sizes and kinds: one clear message, or a cache that is rebuilt."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, RunCli, assert_refused

from flopbench.core.limits import MOST_UNPACKED
from flopbench.counting import cache
from flopbench.policy.samples import Sample
from flopbench.present.figures.frames.media import Unreadable, pictures_of, source_of

HOSTILE = ROOT / "tests" / "data" / "hostile"
HEADER: dict[str, Any] = {
    "format": "flopbench.policy-log",
    "actions": [{"name": "run", "costs": {"net": 1}}, "skip"],
    "components": {"net": "value:5"},
    "steps": 2,
}
HUGE = 10**400
DEEP = "[" * 10_000 + "]" * 10_000


def lines(header: dict[str, Any], *samples: str) -> str:
    """Return a log as JSONL."""
    return "\n".join([json.dumps(header), *samples, ""])


GOOD = '{"id": "v", "actions": [0, 1]}'
LOGS = {
    "span": (lines({**HEADER, "actions": [{"name": "a", "span": HUGE}]}, GOOD), "has span 1000"),
    "skip": (lines({**HEADER, "actions": [f"skip {'9' * 40}"]}, GOOD), "not a component"),
    "skip-5000": (lines({**HEADER, "actions": [f"skip {'9' * 5000}"]}, GOOD), "not a component"),
    "action": (lines(HEADER, f'{{"id": "v", "actions": [0, {HUGE}]}}'), "actions[1] is"),
    "label": (lines(HEADER, GOOD[:-1] + f', "labels": [-{HUGE}]}}'), "labels: is -1000"),
    "steps": (lines(HEADER, GOOD[:-1] + f', "steps": {HUGE}}}'), "steps: is 1000"),
    "deep": (lines(HEADER, f'{{"id": "v", "actions": {DEEP}}}'), ":2"),
    "deep-header": (f'{{"format": "flopbench.policy-log", "actions": {DEEP}}}\n', ":1"),
    "surrogate": (lines(HEADER, '{"id": "\\ud800", "actions": [0, 1]}'), ":2 is not JSON"),
    "long-id": (lines(HEADER, f'{{"id": "{"v" * 100_000}", "actions": [2, 1]}}'), "actions[0]"),
    "long-key": (lines(HEADER, f'{{"id": "v", "{"k" * 100_000}": 1}}'), "unknown field"),
    "streams": (lines({**HEADER, "streams": ["a"], "actions": {"a": 5}}, GOOD), "actions[0] is 5"),
    "actions": (lines({**HEADER, "actions": [f"skip {n}" for n in range(1, 4098)]}), "4,096 items"),
    "twice": (lines(HEADER, '{"id": "v", "actions": [0, 1], "id": "w"}'), "'id' is there twice"),
    "twice-header": (lines(HEADER, GOOD).replace('"steps"', '"format": 1, "format"', 1), "twice"),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_refused_in_one_message(name: str, run_cli: RunCli, tmp_path: Path) -> None:
    """Numbers of 40 to 5,000 digits, nesting, long texts, keys twice: file, line and field."""
    text, said = LOGS[name]
    (tmp_path / "run.jsonl").write_text(text, encoding="utf-8")
    done = run_cli("log", "validate", "run.jsonl")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "run.jsonl" in done.stderr
    assert said in done.stderr
    assert len(done.stderr) < 20_000


def test_a_key_that_is_twice_in_a_json_sample_is_found(run_cli: RunCli, tmp_path: Path) -> None:
    """One of 600 samples, which are read in groups; the place is that of the sample."""
    samples = [f'{{"id": "v{n}", "actions": [0, 1]}}' for n in range(600)]
    samples[550] = '{"id": "x", "actions": [0, 1], "actions": [1, 1]}'
    text = f'{{"header": {json.dumps(HEADER)}, "samples": [\n' + ",\n".join(samples) + "]}"
    (tmp_path / "run.json").write_text(text)
    done = run_cli("log", "validate", "run.json")
    assert done.returncode == 2
    assert "run.json:552, sample 551: the key 'actions' is there twice in one object" in done.stderr


ARGUMENTS = [
    (["table", "resnet50@" + "9" * 400], "is beyond any model"),
    (["table", "gru:12x5,layers=" + "9" * 400], "cannot read layers="),
    (["table", f"gru:{'9' * 5000}x5"], "needs its widths"),
    (["table", f"gru:{'9' * 40}x5"], "needs its widths"),
    (["table", "value:" + "9" * 400], "has too many digits"),
    (["table", "value:" + " " * 3000 + "x"], "has too many digits or letters"),
    (["table", "x" * 100_000], "has 100,000 characters"),
    (["table", "a:b@" + "(1" + " " * 20_000 + "x"], "characters"),
    (["table", "--for", "x" * 300 + ".json"], "there is no such policy log"),
    (["table", "--from", "x" * 300 + ".json"], "File name too long"),
    (["log", "validate", "\udcff.jsonl"], "no policy log matches"),
    (["estimate", "run.rank0-of-99999999999.jsonl"], "is missing number 1, 2, 3"),
    (["log", "validate", "run1\u00b22.jsonl"], "actions[0] is 5"),
    (["completion", "\udcff"], "invalid choice"),
]


@pytest.mark.parametrize(("args", "said"), ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_an_argument_is_refused_in_one_message(
    args: list[str], said: str, run_cli: RunCli, tmp_path: Path
) -> None:
    """Numbers and texts without end, names that no file can have, file names of any characters."""
    bad = lines(HEADER, '{"id": "v", "actions": [5, 1]}')
    for name in ("run.rank0-of-99999999999.jsonl", "run1\u00b22.jsonl"):
        (tmp_path / name).write_text(bad, encoding="utf-8")
    done = run_cli(*args)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert said in done.stderr
    assert len(done.stderr) < 20_000


def test_a_csv_file_has_at_most_1000_columns(run_cli: RunCli, tmp_path: Path) -> None:
    """Each column is looked for among the others."""
    (tmp_path / "run.csv").write_text("id,action" + ",extra.x" * 1000 + "\n")
    (tmp_path / "run.header.json").write_text(json.dumps(HEADER))
    assert_refused(run_cli("estimate", "run.csv"), "run.csv:1 has more than 1,000 columns")


def test_a_configuration_has_at_most_1000_entries(run_cli: RunCli, tmp_path: Path) -> None:
    """Each budget is matched with each entry."""
    entries = "".join(f'[[entries]]\nmodel = "linear:8x{n}"\n' for n in range(1, 1002))
    (tmp_path / "flopbench.toml").write_text(entries)
    done = run_cli("check", "--verify-baseline")
    assert_refused(done, "flopbench.toml has more than 1,000 entries or budgets")


def pack(path: Path, data: bytes) -> Path:
    """Write a packed file."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(data))
    elif path.suffix == ".zst":
        zstandard = pytest.importorskip("zstandard")
        path.write_bytes(zstandard.ZstdCompressor().compress(data))
    elif path.suffix == ".npz":
        header = np.array(json.dumps(HEADER))
        actions = np.zeros((len(data) // 16, 2), np.int64)
        ids = np.array([f"{n}" for n in range(len(actions))])
        np.savez_compressed(path, header=header, id=ids, actions=actions)
    else:
        duckdb = pytest.importorskip("duckdb")
        pytest.importorskip("nanoarrow")
        rows = f"SELECT range::VARCHAR AS id, [0, 1] AS actions FROM range({len(data) // 20})"
        header = json.dumps(HEADER)
        options = f"FORMAT parquet, KV_METADATA {{'flopbench.policy-log': '{header}'}}"
        duckdb.sql(f"COPY ({rows}) TO '{path}' ({options})")
    return path


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst", "json.gz", "npz", "parquet"])
def test_a_packed_file_unpacks_to_a_limit(suffix: str, run_cli: RunCli, tmp_path: Path) -> None:
    """2 MB are refused where 1 MB is allowed, with what raises the limit; 4 MB reads them."""
    blanks = b" " * 2_000_000
    log = lines(HEADER, GOOD).encode()
    if suffix == "json.gz":
        data = (
            b'{"header": ' + json.dumps(HEADER).encode() + b',"samples": [' + GOOD.encode() + b"]"
        )
        data += blanks + b"}"
    else:
        data = log + blanks
    name = pack(tmp_path / f"run.{suffix}", data).name
    assert (tmp_path / name).stat().st_size < 1_000_000
    for verb in (["estimate"], ["log", "validate"]):
        done = run_cli(*verb, name, env={MOST_UNPACKED: "1"})
        assert_refused(done, name, "unpacks to more than 1 MB", f"set {MOST_UNPACKED}")
    assert run_cli("log", "validate", name, env={MOST_UNPACKED: "4"}).returncode == 0


def test_a_long_line_is_put_together_once(tmp_path: Path) -> None:
    """A line of several pieces is joined when its end comes; what is read stays the same."""
    from flopbench.policy.forms.raw import open_bytes, pieces

    path = tmp_path / "x"
    path.write_bytes(b"ab\ncdefghijkl\n\nm")
    with open_bytes(path) as stream:
        assert list(pieces(stream, path, 3)) == [b"ab\n", b"cdefghijkl\n\n", b"m"]


@pytest.mark.parametrize(
    "spoilt",
    [
        ("spec", ["linear:8x4"]),
        ("total", 10**400),
        ("activations", 1e400),
        ("operators", "DEEP"),
        ("notes", float("nan")),
    ],
    ids=lambda spoilt: str(spoilt[0]),
)
def test_a_damaged_entry_of_the_cache_is_measured_again(
    spoilt: tuple[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list or NaN where a name stood, numbers and nesting without end: a warning, and None."""
    from records import profile

    where = cache.CacheEntry(key="k", path=tmp_path / "entry.json")
    cache.store(where, profile("torch"))
    assert cache.load(where) is not None
    stored = json.loads(where.path.read_text())
    stored["profile"][spoilt[0]] = spoilt[1]
    where.path.write_text(json.dumps(stored).replace('"DEEP"', DEEP))
    assert cache.load(where) is None
    assert "entry.json is damaged and will be measured again (" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [("damaged-array.npz", "v1 is damaged"), ("header-not-python.npy", "cannot be read")],
)
def test_a_damaged_array_of_frames_is_no_image(name: str, said: str, tmp_path: Path) -> None:
    """It has no pixels and a reason; numpy raises what zlib and its own parser do."""
    path = HOSTILE / name
    if path.suffix == ".npy":  # found under the id of a video
        (tmp_path / "v1.npy").write_bytes(path.read_bytes())
    source = source_of(path if path.suffix == ".npz" else tmp_path, tmp_path / "run.jsonl")
    sample = Sample(id="v1", actions=[0, 1], frames=[0, 1])
    found, _, problem = pictures_of(sample, 2, [(0, (8, 8))], source)
    assert found[0, (8, 8)].pixels is None
    assert said in problem
    assert issubclass(Unreadable, Exception)
