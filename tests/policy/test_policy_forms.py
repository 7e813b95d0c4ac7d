"""One log in every form: the same counts to the bit, the same estimate, nothing lost on the way."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
msgspec = pytest.importorskip("msgspec")
pytest.importorskip("duckdb")
pytest.importorskip("nanoarrow")
pytest.importorskip("zstandard")
pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from flopbench.cli import main  # noqa: E402
from flopbench.core.limits import LARGEST_AMOUNT  # noqa: E402
from flopbench.policy import log as log_module  # noqa: E402
from flopbench.policy.counts import LogCounts  # noqa: E402
from flopbench.policy.forms import csv_fast, csv_form  # noqa: E402
from flopbench.policy.forms.base import Options  # noqa: E402
from flopbench.policy.forms.csv_fast import fast_blocks  # noqa: E402
from flopbench.policy.header import Header, header_json, read_header  # noqa: E402
from flopbench.policy.log import Log, count_log, open_log  # noqa: E402
from flopbench.policy.ready import read_counts  # noqa: E402
from flopbench.policy.samples import Sample, raise_first  # noqa: E402
from flopbench.policy.writers import convert_file  # noqa: E402

VIDEOS, STEPS, ACTIONS = 2_000, 16, 7
PRESET = """\
schema = 1
title = "AR-Net's actions at round prices"
source = "made for this test"
classes = 200

[policy]
step_unit = "frame"
encoding = "per_step"
actions = [
    { name = "large", costs = { large = 1 } },
    { name = "medium", costs = { medium = 1 } },
    { name = "small", costs = { small = 1 } },
    { name = "tiny", kind = "reuse" },
    { name = "skip 1", kind = "skip", span = 1 },
    { name = "skip 2", kind = "skip", span = 2 },
    { name = "skip 4", kind = "skip", span = 4 },
]
charges = { per_decision = { policy = 1 } }

[policy.components]
large = 'value:4120000000 "round"'
medium = 'value:2060000000 "round"'
small = 'value:470000000 "round"'
policy = 'value:55000000 "round"'
"""
TEXT_FORMS = ("json", "jsonl", "jsonl.gz", "json.zst", "jsonl.zst", "csv", "csv.gz", "csv.zst")
FORMS = (*TEXT_FORMS, "parquet", "npz")


def policy_rows(seed: int) -> Any:
    """Return (VIDEOS, STEPS) ids of a policy whose skips last as long as declared."""
    rng = np.random.default_rng(seed)
    rows = np.empty((VIDEOS, STEPS), np.int64)
    spans = np.array([1, 1, 1, 1, 1, 2, 4])
    for video in range(VIDEOS):
        step = 0
        for action in rng.integers(0, ACTIONS, STEPS).tolist():
            rows[video, step : step + spans[action]] = action
            step += int(spans[action])
            if step >= STEPS:
                break
    return rows


def padded_labels(seed: int) -> Any:
    """Return (VIDEOS, 3) class indices, padded with -1 behind one to three labels."""
    rng = np.random.default_rng(seed)
    labels = np.argsort(rng.random((VIDEOS, 200)), axis=1)[:, :3].astype(np.int64)
    labels[np.arange(3) >= rng.integers(1, 4, VIDEOS)[:, None]] = -1
    return labels


class Corpus:
    """The same videos in every format."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.preset = str(folder / "actions.toml")
        Path(self.preset).write_text(PRESET, encoding="utf-8")
        self.rows, self.labels = policy_rows(1), padded_labels(2)
        lines = [header_json(Header(preset=self.preset))]
        for i, (row, labels) in enumerate(zip(self.rows, self.labels, strict=True)):
            own = [label for label in labels.tolist() if label >= 0]
            lines.append(msgspec.json.encode(Sample(id=f"v{i}", labels=own, actions=row.tolist())))
        self.lines = lines
        self.path("jsonl").write_bytes(b"\n".join(lines) + b"\n")
        for form in FORMS:
            if form != "jsonl":
                convert_file(self.path("jsonl"), self.path(form))
        self._write_arnet()
        self._write_shards()
        self._write_counts()

    def path(self, form: str) -> Path:
        """Return the path of a format."""
        return self.folder / f"log-{form.replace('.', '-')}.{form}"

    def _write_arnet(self) -> None:
        np.savez_compressed(
            self.folder / "meta-val-0101.npy.npz",
            rs=np.eye(ACTIONS, dtype=np.float32)[self.rows],
            names=np.array([f"v{i}" for i in range(VIDEOS)]),
            results=np.zeros((VIDEOS, 5), np.float32),
            targets=self.labels,
            indices=np.tile(np.arange(1, STEPS + 1), (VIDEOS, 1)),
            all_preds=np.zeros((VIDEOS, STEPS, 2), np.float32),
        )

    def _write_shards(self) -> None:
        bounds = [0, 700, 701, VIDEOS]
        for rank, (a, b) in enumerate(itertools.pairwise(bounds)):
            part = [self.lines[0], *self.lines[1 + a : 1 + b]]
            path = self.folder / f"shard.rank{rank}-of-3.jsonl.gz"
            path.write_bytes(gzip.compress(b"\n".join(part) + b"\n", 1))

    def _write_counts(self) -> None:
        counts = self.counts(self.path("jsonl"))
        lines = ["video,label,action,n,decisions"]
        for i, action in zip(*np.nonzero(counts.frames), strict=True):
            label = self.labels[i, 0]
            frames, decisions = counts.frames[i, action], counts.decisions[i, action]
            lines.append(f"v{i},{label},{action},{frames},{decisions}")
        (self.folder / "counts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def counts(self, path: Path | str, exact: bool = False) -> LogCounts:
        """Count one format."""
        return count_log(open_log([path], preset=self.preset, options=Options(exact=exact)))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The log in every format, written once."""
    return Corpus(tmp_path_factory.mktemp("forms"))


def test_arnet_counts_frames_from_one(corpus: Corpus) -> None:
    """AR-Net's indices count from 1, the frames of a log from 0."""
    log = open_log([corpus.folder / "meta-val-0101.npy.npz"], preset=corpus.preset)
    samples, _ = next(log.samples())
    assert samples[0].frames == list(range(STEPS))
    block = next(log.blocks(raise_first, ["frames"]))
    assert list(block.columns["frames"][0]) == list(range(STEPS))


def assert_same_counts(one: LogCounts, other: LogCounts) -> None:
    """Compare two counts bit by bit, labels by their values."""
    for name in ("frames", "decisions", "steps", "label_lengths"):
        a, b = (np.asarray(getattr(c, name), np.int64) for c in (one, other))
        assert np.array_equal(a, b), name
    values = [[c.label_values[code] for code in c.label_codes] for c in (one, other)]
    assert values[0] == values[1]
    assert one.totals() == other.totals()


SOURCES = [
    *((f"log-{form.replace('.', '-')}.{form}", exact) for form in FORMS for exact in (False, True)),
    ("meta-val-0101.npy.npz", False),
    ("shard.jsonl.gz", False),
    ("shard.rank*.jsonl.gz", False),
]


@pytest.mark.parametrize(("name", "exact"), SOURCES)
def test_counts_are_bit_identical_in_every_form(corpus: Corpus, name: str, exact: bool) -> None:
    """Frames, decisions, steps and labels of each video are those that were put in."""
    counts = corpus.counts(corpus.folder / name, exact)
    one_hot = np.eye(ACTIONS, dtype=np.int64)[corpus.rows]
    assert np.array_equal(np.asarray(counts.frames, np.int64), one_hot.sum(axis=1))
    assert_same_counts(counts, corpus.counts(corpus.path("json"), exact=True))
    labels = np.array([counts.label_values[code] for code in counts.label_codes])
    assert np.array_equal(labels, corpus.labels[corpus.labels >= 0])
    assert not counts.warnings


def test_decisions_of_the_log_are_those_of_a_loop(corpus: Corpus) -> None:
    """A run of n rows of an action of span k is ceil(n / k) decisions, counted one by one."""
    spans = [1, 1, 1, 1, 1, 2, 4]
    wanted = np.zeros((VIDEOS, ACTIONS), np.int64)
    for video, row in enumerate(corpus.rows.tolist()):
        for action, run in itertools.groupby(row):
            wanted[video, action] += math.ceil(len(list(run)) / spans[action])
    assert np.array_equal(np.asarray(corpus.counts(corpus.path("npz")).decisions), wanted)


def single_labels(corpus: Corpus, path: Path) -> Path:
    """Write the log with one label per video, as CSV for the fast way."""
    lines = ["id,step,action,labels"]
    names = ["large", "medium", "small", "tiny", "skip 1", "skip 2", "skip 4"]
    for i, row in enumerate(corpus.rows.tolist()):
        for step, action in enumerate(row):
            shown = names[action] if i % 2 else action
            label = corpus.labels[i, 0] if step == 0 or i % 3 else ""
            lines.append(f"v{i},{step},{shown},{label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_fast_way_through_csv_counts_the_same(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB decodes a large CSV, and the counts equal those of the exact reader."""
    path = single_labels(corpus, tmp_path / "one[1].csv")
    (tmp_path / "one1.csv").write_text("id,action\nother,0\n")  # what a glob would find
    exact = corpus.counts(path)
    monkeypatch.setattr(csv_form, "LARGE_BYTES", 1)
    monkeypatch.setattr(csv_fast, "ROWS_AT_ONCE", 1 << 13)  # fewer than there are
    log = open_log([path], preset=corpus.preset)
    blocks = fast_blocks(path, log.plan)
    assert blocks is not None
    assert sum(block.size for block in blocks) == VIDEOS
    assert_same_counts(count_log(log), exact)


def test_the_fast_way_through_csv_names_the_line(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blank lines and line ends within quotes do not shift the line that a message names."""
    monkeypatch.setattr(csv_form, "LARGE_BYTES", 1)
    path = tmp_path / "odd.csv"
    path.write_text('id,action\na,0\na,1\n\n"b\nc",0\n"b\nc",1\nd,0\nd,1\nd,1\n')
    with pytest.raises(log_module.DataError, match=r"odd\.csv:9: actions: 3 steps where 2"):
        corpus.counts(path)
    path.write_text("id,action\na,0\na,1\nd,0\nd,1\nd,1\n")
    with pytest.raises(log_module.DataError, match=r"odd\.csv:4: actions: 3 steps where 2"):
        corpus.counts(path)


@pytest.mark.parametrize("counts", [False, True])
def test_ready_counts_hold_what_the_log_holds(corpus: Corpus, counts: bool, tmp_path: Path) -> None:
    """Counts that any engine made, as CSV or as Parquet, give the same totals as the log."""
    path = corpus.folder / "counts.csv"
    if counts:
        import duckdb

        target = tmp_path / "counts.parquet"
        duckdb.sql(f"COPY (FROM read_csv('{path}')) TO '{target}' (FORMAT parquet)")
        path = target
    ready = read_counts(path, preset=corpus.preset)
    log = corpus.counts(corpus.path("jsonl"))
    for name in ("frames", "decisions", "steps"):
        assert np.array_equal(getattr(ready, name), np.asarray(getattr(log, name), np.int64)), name


def estimated(corpus: Corpus, capsys: pytest.CaptureFixture[str], *source: str) -> str:
    """Return the estimate as JSON text, without file names and warnings of the format."""
    status = main(
        ["estimate", *source, "--preset", corpus.preset, "--format", "json", "--by", "difficulty"]
    )
    data = json.loads(capsys.readouterr().out)
    assert status == 0
    return json.dumps({k: v for k, v in data.items() if k not in {"source", "method", "warnings"}})


def test_estimates_are_equal_in_every_form(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    """The estimate as text, its interval and its groups do not depend on the format."""
    first = estimated(corpus, capsys, "--policy-log", str(corpus.path("jsonl")))
    assert '"gflops' in first
    for name, exact in SOURCES:
        if not exact:
            assert estimated(corpus, capsys, "--policy-log", str(corpus.folder / name)) == first
    assert estimated(corpus, capsys, "--counts", str(corpus.folder / "counts.csv")) == first


@pytest.mark.parametrize("form", FORMS)
def test_converting_back_gives_the_same_bytes(corpus: Corpus, form: str, tmp_path: Path) -> None:
    """JSONL converted to any format and back is the original file, its own preset written out."""
    target = tmp_path / "back.jsonl"
    assert convert_file(corpus.path(form), target) == VIDEOS
    header, *samples = target.read_bytes().splitlines()
    assert samples == corpus.path("jsonl").read_bytes().splitlines()[1:]
    assert b'"preset"' not in header
    assert b'"actions"' in header


AWKWARD = [
    "007", "1e5", "-3", "NaN", "true", "null", "[]", "[1]", "{}", '"', '""', "a,b", "a\nb", "a\r",
    "a\r\nb", " x ", "x\0", "\0", "\ufeff", "\u2028", "\x85", "🎬", "-", "-0", "1.0", "inf", "=1+1",
    "9" * 20, "9" * 400, "'", "''", "\\", "\\N", "é", "e\u0301",
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(AWKWARD), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
NAMES = TEXTS.filter(bool)
INTEGERS = st.one_of(
    st.integers(-3, 300), st.sampled_from([2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**30])
)
FLOATS = st.one_of(
    st.sampled_from([0.1, 1e-300, -0.0, 0.0, 1e22, 5e-324, 1.7976931348623157e308, 3.0]),
    st.floats(allow_nan=False, allow_infinity=False),
)
AMOUNTS = FLOATS.map(abs)
RUNS = st.floats(0, LARGEST_AMOUNT)
ACTION_NAMES = ["run", "skip 4", "7", "-1", "", "[]", "a,b", 'q"', "x\r"]
STREAMS = ["rgb", "Flow, 2", "x_json", "x_offsets"]


def header_of(kind: str) -> Header:
    """Return a header of one kind: ``steps``, ``spans``, ``streams`` or ``stream spans``."""
    streams = STREAMS if "stream" in kind else None
    actions = [
        {"name": name, **({"stream": stream} if streams else {})}
        for stream in streams or [None]
        for name in ACTION_NAMES
    ]
    data = {
        "method": "méthode 🎬",
        "encoding": "per_decision" if "spans" in kind else "per_step",
        "steps": "varies",
        "actions": actions,
        "exits": [{"name": name, "costs": {"net": 1}} for name in ("first", "2", "")],
        "components": {"net": "value:1 'x'", "\0": 'value:2 "y"'},
        "metrics": {"mAP": 73.8},
    }
    if streams:
        data["streams"] = streams
    return read_header(data, "here")


@st.composite
def decisions(draw: st.DrawFn, kind: str, spans: bool) -> tuple[list[Any], list[int] | None]:
    """Draw the decisions of one sequence and, in logs with spans, how long each lasts."""
    choice: Any = st.one_of(
        st.sampled_from(ACTION_NAMES),
        st.integers(0, len(ACTION_NAMES) - 1),
        st.integers(0, len(ACTION_NAMES) - 1).map(
            lambda at: [float(i == at) for i in range(len(ACTION_NAMES))]
        ),
    )
    actions = draw(st.lists(choice, max_size=5))
    if not spans:
        return actions, None
    span = st.integers(1, 2**31)
    return actions, draw(st.lists(span, min_size=len(actions), max_size=len(actions)))


@st.composite
def samples(draw: st.DrawFn, kind: str, name: str, view: int | str | None) -> Sample:
    """Draw a sample that a log of one kind may hold."""
    optional = st.booleans()
    fields: dict[str, Any] = {"id": name, "view": view}
    spans = "spans" in kind and draw(optional)
    length = draw(st.integers(0, 4))
    if "stream" in kind:
        own = {s: draw(decisions(kind, spans)) for s in STREAMS if draw(optional)}
        fields["actions"] = {s: actions for s, (actions, _) in own.items()}
        if spans:
            fields["spans"] = {s: lengths for s, (_, lengths) in own.items()}
    elif draw(st.integers(0, 4)):
        fields["actions"], fields["spans"] = draw(decisions(kind, spans))
        if kind == "steps":
            length = len(fields["actions"])
    if not fields.get("actions") or draw(optional):
        fields["exit"] = draw(st.sampled_from(["first", "2", "", 0, 2]))
    if draw(optional):
        fields["counts"] = draw(st.dictionaries(st.sampled_from(["net", "\0"]), RUNS))
    if draw(optional):
        frame = draw(st.sampled_from([TEXTS, INTEGERS, st.one_of(TEXTS, INTEGERS)]))
        fields["frames"] = draw(st.lists(frame, min_size=length, max_size=length))
    value = st.one_of(st.none(), st.booleans(), INTEGERS, FLOATS, TEXTS)
    rest = {
        "labels": st.lists(st.one_of(INTEGERS, TEXTS), max_size=3),
        "prediction": st.one_of(INTEGERS, TEXTS),
        "scores": st.lists(FLOATS, max_size=3),
        "steps": st.integers(0, 2**31),
        "latency_ms": AMOUNTS,
        "extra": st.dictionaries(TEXTS, value, max_size=3),
    }
    return Sample(**fields, **{k: draw(v) for k, v in rest.items() if draw(optional)})


@st.composite
def logs(draw: st.DrawFn) -> tuple[Header, list[Sample]]:
    """Draw a header and up to five samples with distinct names."""
    kind = draw(st.sampled_from(["steps", "spans", "streams", "stream spans"]))
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    view = draw(st.sampled_from([st.none(), st.integers(-2, 2), TEXTS, st.one_of(TEXTS, INTEGERS)]))
    return header_of(kind), [draw(samples(kind, name, draw(view))) for name in names]


def canonical(samples: Sequence[Sample], header: Header) -> list[str]:
    """Return samples as text that shows every type: decisions as ids, ``[]`` labels as none."""
    names = [exit.name for exit in header.exits or []]

    def code(choice: Any) -> int:
        if isinstance(choice, list):
            return choice.index(1.0)
        return ACTION_NAMES.index(choice) if isinstance(choice, str) else choice

    shown = []
    for sample in samples:
        data = msgspec.to_builtins(sample)
        actions = data.get("actions")
        if isinstance(actions, dict):
            data["actions"] = {name: list(map(code, own)) for name, own in actions.items()}
        elif actions is not None:
            data["actions"] = list(map(code, actions))
        if isinstance(data.get("exit"), str):
            data["exit"] = names.index(data["exit"])
        for name in ("actions", "spans"):
            if data.get(name) == {}:
                del data[name]
        if data.get("labels") == []:
            del data["labels"]
        shown.append(json.dumps(data, sort_keys=True))
    return shown


def read_back(path: Path) -> tuple[Header, list[Sample]]:
    """Return the header and the samples of a file."""
    log: Log = open_log([path])
    return log.header, [sample for group, _ in log.samples() for sample in group]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with brackets in its name, which DuckDB would take for a pattern."""
    path = tmp_path_factory.mktemp("chain") / "[x] it's, *"
    path.mkdir()
    return path


@settings(max_examples=80, suppress_health_check=list(HealthCheck), derandomize=True)
@given(logs(), st.lists(st.sampled_from(FORMS), min_size=1, max_size=4))
def test_no_chain_of_forms_loses_anything(
    folder: Path, log: tuple[Header, list[Sample]], chain: list[str]
) -> None:
    """Everything in a log survives any chain of formats: every text, number and type."""
    header, samples = log
    path = folder / "start.jsonl"
    lines = [header_json(header), *map(msgspec.json.encode, samples)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    wanted = canonical(samples, header)
    for number, form in enumerate(chain):
        target = folder / f"step {number}.{form}"
        assert convert_file(path, target) == len(samples)
        found, back = read_back(target)
        assert found == header
        assert canonical(back, header) == wanted, form
        path = target
