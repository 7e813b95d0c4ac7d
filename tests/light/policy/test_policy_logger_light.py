"""PolicyLogger without torch: what it writes, what it refuses, and what survives a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sweeps import each

from flopbench.core.errors import DataError, FlopbenchError
from flopbench.policy.batches import short_floats
from flopbench.policy.forms.base import Options
from flopbench.policy.forms.jsonl_form import JsonlReader
from flopbench.policy.header import Header, read_header
from flopbench.policy.log import check_log, count_log, open_log
from flopbench.policy.logger import PolicyLogger
from flopbench.policy.samples import Sample

ACTIONS = ["resnet50@224", "resnet34@168", "resnet18@112", "mobilenet_v2@84"]
ACTIONS += ["skip 1", "skip 2", "skip 4"]
IDS = ["v_0", "v_1"]
ROWS = [[0, 1, 6, 6, 6, 6, 2, 3], [3, 3, 5, 5, 4, 0, 1, 2]]
STREAMED: dict[str, Any] = {
    "streams": ["rgb", "flow"],
    "components": {"a": "resnet18@112", "b": "resnet18@224"},
    "actions": [
        {"name": "run", "stream": "rgb", "costs": {"a": 1}},
        {"name": "skip", "stream": "rgb", "kind": "skip"},
        {"name": "run", "stream": "flow", "costs": {"b": 1}},
        {"name": "half", "stream": "flow", "costs": {"b": 0.5}},
        {"name": "skip", "stream": "flow", "kind": "skip"},
    ],
}
PER_DECISION: dict[str, Any] = {
    "encoding": "per_decision",
    "steps": 4,
    "components": {"a": "resnet18@112"},
    "actions": [{"name": "run", "costs": {"a": 1}}, {"name": "skip", "kind": "skip", "span": 2}],
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove launchers' variables: the tests run as one process."""
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's log goes."""
    return tmp_path / "run.jsonl"


def read(path: Path, *, truncated: bool = False) -> list[Sample]:
    """Return the samples of one file as the reader gives them."""
    log = open_log([path], options=Options(allow_truncated=truncated))
    return [sample for samples, _ in log.samples() for sample in samples]


def lines(path: Path) -> list[bytes]:
    """Return the lines below the header."""
    return path.read_bytes().splitlines(keepends=True)[1:]


def logged(path: Path, *args: Any, header: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """Log one batch; return what follows the header."""
    with PolicyLogger(path, **(header or {"preset": "arnet-resnet"})) as log:
        log.add(*args, **fields)
    return b"".join(lines(path))


def one_hot(rows: Any, width: int = 7) -> Any:
    """(B, T) ids -> (B, T, width) one-hot rows."""
    return np.eye(width)[np.array(rows)]


def refuses(call: Callable[[], object], *needles: str) -> None:
    """Require that a call is refused with a message that holds every needle."""
    with pytest.raises(FlopbenchError) as refused:
        call()
    missing = [needle for needle in needles if needle not in str(refused.value)]
    assert not missing, f"{missing} not in {refused.value}"


def _add(log: PolicyLogger) -> None:
    log.add(IDS, ROWS, labels=[1, 2], scores=np.array([[0.1, 0.2], [0.3, 0.4]]))


def _add_and_fail(log: PolicyLogger) -> None:
    _add(log)
    raise ZeroDivisionError


def run_python(code: str, *args: object, env: dict[str, str] | None = None) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


EXPECTED = b'{"id":"v_0","actions":[0,1,6,6,6,6,2,3]}\n{"id":"v_1","actions":[3,3,5,5,4,0,1,2]}\n'


def test_every_kind_of_actions_gives_one_file(path: Path) -> None:
    """Ids, one-hot rows and names, in arrays and lists, are stored as the same ids."""
    rows = one_hot(ROWS)
    names = [[ACTIONS[choice] for choice in row] for row in ROWS]
    kinds = (
        ROWS,
        tuple(map(tuple, ROWS)),
        *(np.array(ROWS, kind) for kind in (int, np.uint8, np.float32)),
        [np.array(row, np.int32) for row in ROWS],
        [[np.int64(choice) for choice in row] for row in ROWS],
        [[float(choice) for choice in row] for row in ROWS],
        *(rows.astype(kind) for kind in (float, np.float16, np.int8, bool)),
        rows.tolist(),
        list(rows),
        [list(row) for row in rows.astype(bool)],
        names,
        np.array(names),
        [[names[i][t] if t % 2 else c for t, c in enumerate(row)] for i, row in enumerate(ROWS)],
        [ROWS[0], rows[1]],
    )

    def check(actions: Any) -> None:
        path.unlink(missing_ok=True)
        assert logged(path, IDS, actions) == EXPECTED

    each([(kind,) for kind in kinds], check)


@pytest.mark.parametrize(
    "ids", [[7, 8], (7, 8), np.array([7, 8]), ["7", "8"], list(np.arange(7, 9))]
)
def test_ids_become_text(path: Path, ids: Any) -> None:
    """Samples may be named by numbers of any kind, as by text."""
    logged(path, ids, ROWS)
    assert [sample.id for sample in read(path)] == ["7", "8"]


def test_all_fields_come_back(path: Path, tmp_path: Path) -> None:
    """The JSONL reader reads back everything that was logged."""
    with PolicyLogger(path, preset="arnet-resnet", method="gumbel", seed=np.int64(3)) as log:
        log.add(
            IDS,
            np.array(ROWS),
            labels=np.array([[4, -1, -1], [7, 2, -1]]),
            predictions=np.array([4.0, 2.0]),
            scores=np.array([[0.1, 0.9], [0.25, 1e-9]], np.float32),
            views=[0, 0],
            counts={"resnet18": np.array([1, 0])},
            steps=8,
            frames=[[tmp_path / f"{t}.jpg" for t in range(8)], list(range(8))],
            latency_ms=np.array([1.5, 2.5], np.float32),
            extra={"brightness": np.array([0.5, 2.0]), "night": [True, None], "camera": ["a", "b"]},
        )
        log.add_one(
            "v_2",
            ROWS[0],
            labels="cat",
            prediction="dog",
            scores=[0.5, 0.5],
            view=0,
            extra={"a": 1},
        )
    reader = JsonlReader(path, Options())
    header = reader.header()
    assert header is not None
    assert (header.method, header.seed, header.preset) == ("gumbel", 3, "arnet-resnet")
    assert header.environment is not None
    assert header.environment["python"].startswith("3.")
    first, second, third = read(path)
    assert first == Sample(
        id="v_0",
        view=0,
        labels=[4],
        prediction=4,
        scores=[0.100000001, 0.899999976],
        actions=list(ROWS[0]),
        counts={"resnet18": 1.0},
        steps=8,
        frames=[str(tmp_path / f"{t}.jpg") for t in range(8)],
        latency_ms=1.5,
        extra={"brightness": 0.5, "night": True, "camera": "a"},
    )
    assert (second.labels, second.frames, second.prediction) == ([7, 2], list(range(8)), 2)
    assert second.scores is not None
    assert np.array_equal(np.float32(second.scores), np.float32([0.25, 1e-9]))
    assert (third.labels, third.prediction, third.scores) == (["cat"], "dog", [0.5, 0.5])


@pytest.mark.parametrize("view", [2, "left"])
def test_one_view_for_a_whole_batch(path: Path, view: Any) -> None:
    """A loop over crops names the crop once a batch."""
    logged(path, IDS, ROWS, views=view)
    assert [sample.view for sample in read(path)] == [view, view]


def test_a_log_counts_as_it_was_decided(path: Path) -> None:
    """The row of AR-Net's supplement has nine decisions over sixteen frames."""
    row = [0, 1, 6, 6, 6, 6, 2, 3, 6, 6, 6, 6, 0, 5, 5, 1]
    logged(path, ["v"], [row])
    counts = count_log(open_log([path]))
    assert (int(counts.decisions.sum()), int(counts.steps.sum())) == (9, 16)


def test_the_first_line_is_a_header_that_names_its_format(path: Path) -> None:
    """Format and version are in the file although they are the defaults."""
    PolicyLogger(path, preset="arnet-resnet").close()
    data = json.loads(path.read_bytes())
    assert (data["format"], data["version"]) == ("flopbench.policy-log", 1)
    assert "shard" not in data
    assert set(data["environment"]) >= {"flopbench", "python"}


def test_a_header_may_be_a_record_or_a_dict(tmp_path: Path) -> None:
    """Keywords override the fields of a header; another run's environment and shard are dropped."""
    old = read_header(
        {"preset": "arnet-resnet", "seed": 1, "shard": {"rank": 1, "of": 2}}
        | {"environment": {"torch": "0.1", "gpu": "none"}},
        "test",
    )
    for number, header in enumerate((old, {"preset": "arnet-resnet", "seed": 1})):
        with PolicyLogger(tmp_path / f"{number}.jsonl", header=header, seed=2) as log:
            log.add(IDS, ROWS)
        assert isinstance(log.header, Header)
        assert (log.header.seed, log.header.preset) == (2, "arnet-resnet")
        assert log.header.shard is None
        assert (log.header.environment or {}).get("torch") != "0.1"


def test_streams_and_spans(tmp_path: Path) -> None:
    """Decisions of several modalities, and decisions with their spans."""
    path = tmp_path / "streams.jsonl"
    actions = {"rgb": np.array([[0, 1], [1, 1]]), "flow": [["half", "skip"], [0, 1]]}
    logged(path, IDS, actions, header=STREAMED)
    assert [s.actions for s in read(path)] == [
        {"rgb": [0, 1], "flow": [1, 2]},
        {"rgb": [1, 1], "flow": [0, 1]},
    ]
    path = tmp_path / "spans.jsonl"
    logged(path, IDS, [[0, 1, 0], [1, 1]], spans=[np.array([1, 2, 1]), [3, 1]], header=PER_DECISION)
    assert [s.spans for s in read(path)] == [[1, 2, 1], [3, 1]]
    path = tmp_path / "one.jsonl"
    with PolicyLogger(path, **STREAMED) as log:
        log.add_one("v", {"rgb": one_hot([0, 1], 2), "flow": ["run", "run"]})
    assert read(path)[0].actions == {"rgb": [0, 1], "flow": [0, 0]}


def test_exits_by_id_and_name(path: Path) -> None:
    """A log of early exits needs no actions."""
    with PolicyLogger(path, preset="frameexit") as log:
        log.add(["a", "b"], exits=np.array([2, 9]))
        log.add(["c", "d"], exits=["frame 1", "frame 10"], labels=[1, 2])
        log.add_one("e", exit="frame 2", prediction=3)
    assert [s.exit for s in read(path)] == [2, 9, 0, 9, 1]


def test_samples_of_several_lengths(path: Path) -> None:
    """Ragged rows are valid if the header says that steps vary, else an error."""
    logged(path, IDS, [[0], [1, 2, 3]], header={"preset": "arnet-resnet", "steps": "varies"})
    assert [len(s.actions or ()) for s in read(path)] == [1, 3]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([3, 5], [[3], [5]]),
        (np.array([3, -1]), [[3], None]),
        (np.array([[3, 1], [5, -1]]), [[3, 1], [5]]),
        (np.array([3.0, 5.0]), [[3], [5]]),
        ([[3, 4, 9], "cat"], [[3, 4, 9], ["cat"]]),
        ([np.array([3, -1]), None], [[3], None]),
        (np.array(["cat", "dog"]), [["cat"], ["dog"]]),
    ],
)
def test_labels_of_every_kind(path: Path, labels: Any, expected: Any) -> None:
    """One label, several, padded ones and names; padding is dropped."""
    logged(path, IDS, ROWS, labels=labels)
    assert [s.labels for s in read(path)] == expected


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(1e-45)
@example(-3.4028234663852886e38)
@example(0.0)
@example(9.999999e9)
@example(0.1)
def test_scores_print_short_and_are_the_ones_held(value: float) -> None:
    """The written number rounds back to the same float32, bit for bit, in at most 9 digits."""
    held = np.array([value], np.float32)
    short = short_floats(held)
    assert np.float32(short[0]).tobytes() == held.tobytes()
    if 1e-12 < abs(value) < 1e20:
        digits = (
            repr(float(short[0])).replace(".", "").replace("-", "").partition("e")[0].strip("0")
        )
        assert len(digits) <= 9


def test_wide_scores_are_written_in_full(path: Path) -> None:
    """A float64 loses nothing."""
    logged(path, ["v"], [ROWS[0]], scores=np.array([[1 / 3, 2 / 3]]))
    assert read(path)[0].scores == [1 / 3, 2 / 3]


SOFT = one_hot(ROWS)
SOFT[1, 2] = [0.1, 0.9, 0, 0, 0, 0, 0]
NOT_A_NUMBER = np.zeros((2, 3), np.float32)
NOT_A_NUMBER[1, 2] = np.nan
SAMPLE = "batch sample 1 (id 'w_1')"
BAD = [[0] * 8, [0] * 7]


@pytest.mark.parametrize(
    ("actions", "fields", "needles"),
    [
        (SOFT, {}, (SAMPLE, "actions[2] is [0.1, 0.9", "not one-hot")),
        (SOFT.tolist(), {}, (SAMPLE, "actions[2]", "not one-hot")),
        (SOFT * np.nan, {}, ("batch sample 0", "actions[0]", "NaN")),
        ([ROWS[0], [0, 1, 9, 0, 0, 0, 0, 0]], {}, (SAMPLE, "actions[2] is 9", "ids 0 to 6")),
        (np.array([ROWS[0], [-1] * 8]), {}, (SAMPLE, "actions[0] is -1")),
        ([ROWS[0], ["skip4"] * 8], {}, (SAMPLE, "'skip4'", "did you mean 'skip 4'")),
        (np.full((2, 8), 0.5), {}, ("batch sample 0", "actions[0] is 0.5", "(B, T, A)")),
        (np.ones((2, 8), bool), {}, ("actions", "bool", "give ids")),
        (one_hot(ROWS)[..., :6], {}, ("actions", "one-hot rows of 6", "7 actions")),
        (np.zeros(2, int), {}, ("actions", "(2,)", "(B, T)")),
        (np.zeros((2, 2, 2, 2)), {}, ("actions", "(2, 2, 2, 2)")),
        ([0, 1], {}, ("batch sample 0", "actions is 0", "a list of decisions")),
        ([ROWS[0]], {}, ("actions: 1 values for 2 ids",)),
        ("ab", {}, ("actions: str",)),
        ({"rgb": ROWS}, {}, ("actions", "declares no 'streams'")),
        (BAD, {}, (SAMPLE, "7 steps where 8 were expected")),
        ([[0] * 7] * 2, {}, ("batch sample 0", "7 steps", "the first sample (id 'v_0')")),
        (None, {}, ("batch sample 0", "nothing to count")),
        (ROWS, {"scores": NOT_A_NUMBER}, (SAMPLE, "scores[2] is nan")),
        (ROWS, {"scores": [[1.0, np.inf], [0, 0]]}, ("batch sample 0", "scores[1] is inf")),
        (ROWS, {"scores": [[1.0, 2], [0]]}, ("scores", "other shapes")),
        (ROWS, {"scores": np.zeros(2)}, ("scores", "(2,)", "(B, C)")),
        (ROWS, {"scores": np.zeros((3, 2))}, ("scores: 3 values for 2 ids",)),
        (ROWS, {"labels": [1]}, ("labels: 1 values for 2 ids",)),
        (ROWS, {"labels": [1, 1.5]}, (SAMPLE, "labels", "float")),
        (ROWS, {"labels": [1, True]}, (SAMPLE, "labels", "bool")),
        (ROWS, {"labels": np.array([1, -2])}, (SAMPLE, "labels", "-2")),
        (ROWS, {"labels": np.eye(5, dtype=int)[:2]}, ("batch sample 0", "multi-hot")),
        (ROWS, {"labels": np.zeros((2, 2, 2), int)}, ("labels", "(2, 2, 2)")),
        (ROWS, {"predictions": np.zeros((2, 5))}, ("predictions", "(2, 5)", "scores=")),
        (ROWS, {"predictions": [1, 1.5]}, (SAMPLE, "prediction", "float")),
        (ROWS, {"latency_ms": 3.0}, ("latency_ms", "one value for each of 2 ids")),
        (ROWS, {"latency_ms": [1.0, float("nan")]}, (SAMPLE, "latency_ms is nan")),
        (ROWS, {"latency_ms": [1.0, -1.0]}, (SAMPLE, "latency_ms")),
        (ROWS, {"extra": {"a": [1, float("inf")]}}, (SAMPLE, "extra.a is inf")),
        (ROWS, {"extra": {"a": [1, [2]]}}, (SAMPLE, "extra")),
        (ROWS, {"extra": {"a": ["fine", "\udc80"]}}, (SAMPLE, "surrogates")),
        (ROWS, {"extra": [1, 2]}, ("extra", "dict of names")),
        (ROWS, {"counts": {"resnet19": [1, 1]}}, ("counts", "did you mean 'resnet18'")),
        (ROWS, {"counts": {"resnet18": [1, -1]}}, (SAMPLE, "counts.resnet18")),
        (ROWS, {"steps": 9}, ("batch sample 0", "steps: is 9, but there are 8 actions")),
        (ROWS, {"spans": [[1] * 8] * 2}, ("spans", "per_decision")),
        (ROWS, {"exits": [0, 0]}, ("batch sample 0", "exit")),
        (ROWS, {"frames": ["a.jpg", "b.jpg"]}, ("batch sample 0", "frames is 'a.jpg'")),
        (ROWS, {"frames": [[1] * 8, [1] * 7]}, (SAMPLE, "frames", "7 entries for 8")),
        (ROWS, {"views": [0, 0]}, ("view", "some samples of this log name a view")),
    ],
)
def test_a_refused_batch_leaves_nothing(
    path: Path, actions: Any, fields: dict[str, Any], needles: tuple[str, ...]
) -> None:
    """A defect names the sample, its id and the field; nothing of the batch is written."""
    with PolicyLogger(path, preset="arnet-resnet") as log:
        log.add(IDS, ROWS)
        log.flush()
        before = path.read_bytes()
        refuses(lambda: log.add(["w_0", "w_1"], actions, **fields), *needles)
        assert log.records == 2
        log.flush()
        assert path.read_bytes() == before
        log.add(["w_0", "w_1"], ROWS)  # the names are still free
    assert [s.id for s in read(path)] == ["v_0", "v_1", "w_0", "w_1"]


@pytest.mark.parametrize(
    ("header", "actions", "needles"),
    [
        (STREAMED, ROWS, ("actions", "rgb, flow")),
        (STREAMED, {"rbg": ROWS}, ("no stream 'rbg'", "did you mean 'rgb'")),
        (STREAMED, {"rgb": [[0, 1], [0, 2]]}, ("actions.rgb[1] is 2",)),
        (STREAMED, {"rgb": [[0, 1]] * 2, "flow": [[0], [0]]}, ("different lengths",)),
        (STREAMED, {"rgb": np.full((2, 2, 2), 0.5)}, ("actions.rgb[0]", "not one-hot")),
        (PER_DECISION, [[0, 1, 1], [1, 1, 1]], ("batch sample 1", "cover 6 steps", "has 4")),
        ({**PER_DECISION, "class_names": ["x", "y"]}, [[1, 1]] * 2, ("labels", "'cat'")),
    ],
)
def test_defects_of_other_headers(
    path: Path, header: dict[str, Any], actions: Any, needles: tuple[str, ...]
) -> None:
    """Streams, spans and class names must match the header."""
    with PolicyLogger(path, **header) as log:
        refuses(lambda: log.add(IDS, actions, labels=["cat", "x"]), *needles)
    assert lines(path) == []


def test_names_that_are_none(path: Path) -> None:
    """One name for a batch, bytes, fractions and None are not ids; an empty batch is nothing."""
    with PolicyLogger(path, preset="arnet-resnet") as log:
        for ids in ("ab", [None, 1], [b"a", "b"], [1.5, 2], 7, np.array(7), [True, 1]):
            refuses(lambda ids=ids: log.add(ids, ROWS), "ids")  # type: ignore[misc]
        log.add([], np.zeros((0, 8), int))
    assert lines(path) == []


def test_an_id_comes_once(path: Path) -> None:
    """Within a batch and across batches, unless views distinguish the records."""
    with PolicyLogger(path, preset="arnet-resnet") as log:
        log.add(["a", "b"], ROWS)
        again = "batch sample 1 (id 'b'): id already appeared"
        refuses(lambda: log.add(["c", "b"], ROWS), again, "several crops or clips")
        refuses(lambda: log.add(["d", "d"], ROWS), "batch sample 1 (id 'd')")
    with PolicyLogger(path.with_name("views.jsonl"), preset="arnet-resnet") as log:
        log.add(["a", "a"], ROWS, views=[0, 1])
        refuses(lambda: log.add(["a"], ROWS[:1], views=[1]), "id and view 1 already appeared")
    shard = path.with_name("s.jsonl")
    with PolicyLogger(shard, preset="arnet-resnet", rank=0, world_size=2) as log:
        log.add(["a", "b"], ROWS)
        refuses(lambda: log.add(["a"], ROWS[:1]), "even out the ranks")


@pytest.mark.parametrize(
    ("fields", "needle"),
    [
        ({}, "declares no actions"),
        ({"preset": "arnet-resnt"}, "did you mean 'arnet-resnet'"),
        ({"preset": "arnet-resnet", "datset": "x"}, "did you mean 'dataset'"),
        ({"preset": "arnet-resnet", "seed": "x"}, "seed"),
        ({"preset": "arnet-resnet", "encoding": "per_frame"}, "encoding"),
        ({"preset": "arnet-resnet", "metrics": {"mAP": object()}}, "cannot write"),
        ({"actions": [{"name": "a", "costs": {"b": 1}}]}, "does not declare"),
        ({"actions": [{"name": "a"}, {"name": "a"}]}, "repeats the name 'a'"),
        ({"header": "arnet-resnet"}, "header is a str"),
        ({"header": {"format": "else"}}, "'format' is 'else'"),
        ({"preset": "arnet-resnet", "buffer": 0}, "buffer is 0"),
        ({"preset": "arnet-resnet", "rank": 1}, "rank 1 of None"),
        ({"preset": "arnet-resnet", "rank": 2, "world_size": 2}, "rank 2 of 2"),
    ],
)
def test_mistakes_surface_before_the_evaluation(
    path: Path, fields: dict[str, Any], needle: str
) -> None:
    """An invalid header is refused at once, and no file is left."""
    refuses(lambda: PolicyLogger(path, **fields), needle)
    assert not path.exists()


def test_names_that_cannot_be_logged_to(tmp_path: Path) -> None:
    """Compressed and foreign formats are made afterwards."""
    cases = [
        ("run.jsonl.gz", "flopbench log convert run.jsonl run.jsonl.gz"),
        ("run.jsonl.zst", "compressed"),
        ("run.csv", ".jsonl, .ndjson or .parquet"),
        ("run", ".jsonl, .ndjson or .parquet"),
        ("nowhere/run.jsonl", "there is no directory"),
    ]
    for name, needle in cases:
        refuses(lambda name=name: PolicyLogger(tmp_path / name, preset="arnet-resnet"), needle)  # type: ignore[misc]


def test_an_own_preset_is_written_out(path: Path, tmp_path: Path) -> None:
    """A log does not depend on a preset file that only its author has."""
    preset = tmp_path / "mine.toml"
    preset.write_text(
        'schema = 1\ntitle = "t"\nsource = "s"\n[policy]\nactions = [{ name = "run", costs = '
        '{ a = 1 } }]\n[policy.components]\na = "resnet18@112"\n',
        encoding="utf-8",
    )
    logged(path, ["v"], [["run", "run"]], header={"preset": str(preset)})
    preset.unlink()
    assert read(path)[0].actions == [0, 0]
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_an_existing_file_is_refused(path: Path) -> None:
    """A second run neither overwrites the first one nor appends to it by default."""
    before = logged(path, IDS, ROWS)
    refuses(lambda: PolicyLogger(path, preset="arnet-resnet"), "append=True continues it")
    assert b"".join(lines(path)) == before


def test_a_run_is_replaced(path: Path) -> None:
    """``overwrite`` replaces a log, once its header is valid, and nothing that is no log."""
    again = partial(PolicyLogger, path, overwrite=True)
    before = logged(path, IDS, ROWS)
    refuses(lambda: again(actions=["x"]), "which is not a component")
    assert b"".join(lines(path)) == before
    with again(preset="arnet-resnet") as log:
        log.add(["v_2"], ROWS[:1])
    assert [s.id for s in read(path)] == ["v_2"]
    refuses(lambda: again(preset="arnet-resnet", append=True), "exclude each other")
    path.write_text("my notes\n", encoding="utf-8")
    refuses(lambda: again(preset="arnet-resnet"), "is not a policy log")
    assert path.read_text(encoding="utf-8") == "my notes\n"
    path.write_bytes(b"")
    again(preset="arnet-resnet").close()
    assert read(path) == []


def test_a_run_of_other_processes_is_replaced(path: Path) -> None:
    """What would be read with the new shards, or instead of them, goes; their own do not."""
    for rank, of in ((0, 1), (0, 3), (1, 3), (1, 2)):
        name = path if of > 1 else path.with_name("plain.jsonl")
        PolicyLogger(name, preset="arnet-resnet", rank=rank, world_size=of, overwrite=True).close()
    path.with_name("plain.jsonl").rename(path)
    with PolicyLogger(path, preset="arnet-resnet", rank=0, world_size=2, overwrite=True):
        pass
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "run.rank0-of-2.jsonl",
        "run.rank1-of-2.jsonl",
    ]


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (b"", 2),
        (b'{"id":"torn","actions":[0,1', 2),
        (b'{"id":"torn \xc3', 2),
        (b'{"id":"whole","actions":[0,0,0,0,0,0,0,0]}', 3),
        (b'{"id":"long","extra":{"a":"' + b"x" * 200_000, 2),
    ],
)
def test_going_on_after_a_torn_line(path: Path, tail: bytes, kept: int) -> None:
    """A partial last line is removed; a complete one that only lacks its end stays."""
    logged(path, IDS, ROWS)
    path.write_bytes(path.read_bytes() + tail)
    with PolicyLogger(path, preset="arnet-resnet", append=True) as log:
        log.add(["v_2"], ROWS[:1])
    ids = [s.id for s in read(path)]
    assert (ids[:2], ids[-1], len(ids)) == (IDS, "v_2", kept + 1)


@pytest.mark.parametrize("content", [None, b"", b'{"form', b'{"format":"flopbench.policy-log","v'])
def test_going_on_after_a_torn_header(path: Path, content: bytes | None) -> None:
    """A run that was killed at its first line, or never began, starts; one that began goes on."""
    if content is not None:
        path.write_bytes(content)
    for name in ("a", "b"):
        with PolicyLogger(path, preset="arnet-resnet", append=True) as log:
            log.add([name], ROWS[:1])
    assert [s.id for s in read(path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "needle"),
    [
        (b"my notes", "not a policy log"),
        (b"my notes\nmore\n", "not the header"),
        (b'{"id":"v_0","actions":[0]}\n', "header: 'id' is an unknown key"),
        (b'{"format":"flopbench.policy-log","preset":"arnet-resnet","seed":1}\n', "seed 1"),
        (b'{"format":"flopbench.policy-log","version":2}\n', "version 2"),
    ],
)
def test_only_the_same_run_is_continued(path: Path, content: bytes, needle: str) -> None:
    """Another file, or a log with another header, is left as it was."""
    path.write_bytes(content)
    refuses(lambda: PolicyLogger(path, preset="arnet-resnet", append=True, seed=2), needle)
    assert path.read_bytes() == content


def test_an_error_in_the_loop_keeps_what_was_logged(path: Path) -> None:
    """Leaving the block writes the buffer, whatever the reason."""
    log = PolicyLogger(path, preset="arnet-resnet")
    with pytest.raises(ZeroDivisionError), log:
        _add_and_fail(log)
    assert [s.id for s in read(path)] == IDS
    log.close()
    log.close()
    refuses(lambda: log.add(["x"], ROWS[:1]), "closed")
    refuses(log.flush, "closed")


def test_the_buffer_is_written_when_full(path: Path) -> None:
    """With buffer=3 the third record writes all three."""
    with PolicyLogger(path, preset="arnet-resnet", buffer=3, sync=False) as log:
        log.add(["a", "b"], ROWS)
        assert lines(path) == []
        log.add(["c", "d"], ROWS)
        assert len(lines(path)) == 4
        log.add(["e"], ROWS[:1])
        log.flush()
        assert len(lines(path)) == 5


KILLED = """
import sys
from flopbench.policy.logger import PolicyLogger
log = PolicyLogger(sys.argv[1], preset="arnet-resnet", buffer=10)
for n in range(100000):
    log.add_one(f"v_{n}", [0, 1, 6, 6, 6, 6, 2, 3])
    print(n, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("lines_first", [1, 57, 150])
def test_kill_9_loses_at_most_the_buffer(path: Path, lines_first: int) -> None:
    """At most ``buffer`` of the records whose add returned are missing; the rest are complete."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(lines_first):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    added = lines_first + len(process.stdout.read().splitlines())
    process.wait()
    samples = read(path, truncated=True) if path.read_bytes().count(b"\n") > 1 else []
    assert added - 10 <= len(samples) <= added + 1
    assert [s.id for s in samples] == [f"v_{n}" for n in range(len(samples))]
    with PolicyLogger(path, preset="arnet-resnet", append=True) as log:
        log.add_one("after", ROWS[0])
    assert len(read(path)) == len(samples) + 1


RANKED = """
import sys
from flopbench.policy.logger import PolicyLogger
with PolicyLogger(sys.argv[1], preset="arnet-resnet") as log:
    log.add([f"{log.header.shard.rank}_{n}" for n in range(3)], [[0, 1, 2, 3]] * 3)
"""


@pytest.mark.parametrize(
    "names",
    [
        ("RANK", "WORLD_SIZE"),
        ("SLURM_PROCID", "SLURM_NTASKS"),
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ],
)
def test_each_rank_writes_a_shard(tmp_path: Path, names: tuple[str, str]) -> None:
    """Two processes under a launcher write two files, which are read as one log."""
    for rank in range(2):
        run_python(RANKED, tmp_path / "run.v1.jsonl", env={names[0]: str(rank), names[1]: "2"})
    shards = sorted(p.name for p in tmp_path.iterdir())
    assert shards == ["run.v1.rank0-of-2.jsonl", "run.v1.rank1-of-2.jsonl"]
    samples = read(tmp_path / "run.v1.rank*-of-2.jsonl")
    assert [s.id for s in samples] == ["0_0", "0_1", "0_2", "1_0", "1_1", "1_2"]


def test_shards_are_read_by_the_name_of_the_run(path: Path) -> None:
    """Reading run.jsonl reads all shards, and reports a missing one."""
    for rank in range(3):
        with PolicyLogger(path, preset="arnet-resnet", rank=rank, world_size=3) as log:
            log.add([str(rank)], ROWS[:1])
    assert [s.id for s in read(path)] == ["0", "1", "2"]
    log.path.unlink()
    with pytest.raises(DataError, match="is missing number 2"):
        read(path)


@pytest.mark.parametrize(
    ("left", "strict", "needle"),
    [
        ("header", True, "has a header but no samples; if its run was killed, nothing had been"),
        ("part", False, "was left out: it ends within its header"),
        ("", False, "was left out: it ends within its header"),
    ],
)
def test_a_shard_killed_before_its_first_flush_is_named(
    path: Path, left: str, strict: bool, needle: str
) -> None:
    """The other shard is read; without a whole header only if truncated logs are allowed."""
    for rank in range(2):
        with PolicyLogger(path, preset="arnet-resnet", rank=rank, world_size=2) as log:
            log.add(["a"][rank:], ROWS[:1][rank:])
    header = log.path.read_bytes()
    log.path.write_bytes({"header": header, "part": header[:20], "": b""}[left])
    if not strict:
        refuses(lambda: read(path), "run.rank1-of-2.jsonl")
    read_log = open_log(path, options=Options(allow_truncated=True))
    assert count_log(read_log).first_ids == ["a"]
    (warning,) = [str(one) for one in read_log.warnings() if one.kind == "left out"]
    assert f"{log.path} {needle}" in warning
    assert "PolicyLogger(buffer=1)" in warning
    assert check_log(read_log)[1] == read_log.warnings()


@pytest.mark.parametrize(
    ("variables", "needle"),
    [
        ({"RANK": "1"}, "RANK and WORLD_SIZE are not both numbers"),
        ({"WORLD_SIZE": "2"}, "RANK and WORLD_SIZE are not both numbers"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "RANK='one'"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "rank 2 of 2"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "rank -1 of 2"),
        ({"SLURM_PROCID": "1"}, "SLURM_PROCID and SLURM_NTASKS are not both numbers"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_RANK"),
    ],
)
def test_ranks_that_make_no_sense(
    path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], needle: str
) -> None:
    """An incomplete rank is refused rather than guessed, and no file is made."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    refuses(lambda: PolicyLogger(path, preset="arnet-resnet"), needle)
    assert list(path.parent.iterdir()) == []
    with PolicyLogger(path, preset="arnet-resnet", world_size=1) as log:  # the way out
        assert log.path == path


@pytest.mark.parametrize(
    "variables",
    [{"SLURM_NTASKS": "4"}, {"SLURM_PROCID": "0"}, {"RANK": "0", "WORLD_SIZE": "1"}, {"RANK": ""}],
)
def test_a_lone_process_under_a_launcher(
    path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """An allocation's shell, a batch script and a world of one write a plain file."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with PolicyLogger(path, preset="arnet-resnet") as log:
        assert (log.path, log.header.shard) == (path, None)


def test_shards_do_not_mix_with_other_files(path: Path) -> None:
    """A file that would be read instead of the shards, or with them, is named before the run."""
    PolicyLogger(path, preset="arnet-resnet", rank=0, world_size=2).close()
    ranked = partial(PolicyLogger, path, preset="arnet-resnet")
    refuses(lambda: ranked(rank=0, world_size=3), "a different number of processes")
    PolicyLogger(path, preset="arnet-resnet").close()
    refuses(lambda: ranked(rank=1, world_size=2), "would be read instead of the 2 shards")


def test_threads_share_a_logger(path: Path) -> None:
    """Lines of several threads never mix."""
    with PolicyLogger(path, preset="arnet-resnet", buffer=7, sync=False) as log:

        def work(name: int) -> None:
            for n in range(50):
                log.add([f"{name}_{n}_{k}" for k in range(3)], [ROWS[0]] * 3)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert log.records == 600
    assert len({s.id for s in read(path)}) == 600


FORKED = """
import os, sys
from flopbench.core.errors import InputError
from flopbench.policy.logger import PolicyLogger
with PolicyLogger(sys.argv[1], preset="arnet-resnet") as log:
    log.add(["a"], [[0, 1]])
    child = os.fork()
    if not child:
        try:
            log.add(["b"], [[0, 1]])
        except InputError as error:
            assert "fork" in str(error), error
        else:
            raise AssertionError
        sys.exit(0)  # leaves the block and runs what runs at an exit
    assert os.waitpid(child, 0)[1] == 0
    log.add(["c"], [[0, 1]])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_neither_logs_nor_writes_the_buffer_again(path: Path) -> None:
    """The child is refused, and the parent's buffer is written once."""
    run_python(FORKED, path)
    assert [s.id for s in read(path)] == ["a", "c"]


def test_a_logger_that_nobody_closed_is_written_at_the_end(path: Path) -> None:
    """Forgetting close() loses nothing if the process ends normally."""
    code = KILLED.replace("range(100000)", "range(5)")
    run_python(code, path)
    assert len(read(path)) == 5


FULL_DISK = """
import resource, signal, sys
from flopbench.core.errors import InputError
from flopbench.policy.logger import PolicyLogger
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = PolicyLogger(sys.argv[1], preset="arnet-resnet", buffer=50)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, most))
ids = iter(range(1000))
try:
    while True:
        log.add_one(next(ids), [0, 1, 6, 6, 6, 6, 2, 3])
except InputError as error:
    assert "cannot write" in str(error) and "still in memory" in str(error), error
print(log.records, open(sys.argv[1], "rb").read().endswith(b"\\n"))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
log.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files here")
def test_a_full_disk_leaves_no_half_line_and_loses_nothing(path: Path) -> None:
    """A write that fails halfway is undone; the next one writes the whole buffer."""
    records, whole = run_python(FULL_DISK, path).split()
    assert whole == "True"
    assert [s.id for s in read(path)] == [str(n) for n in range(int(records))]


def test_a_second_logger_of_one_file_is_refused(path: Path) -> None:
    """Until the first is closed, by its process or by the end of it: a fork has the file too."""
    log = PolicyLogger(path, preset="arnet-resnet", buffer=1)
    log.add(["a"], ROWS[:1])
    again = partial(PolicyLogger, path, preset="arnet-resnet", append=True)
    refuses(again, "is still open in another PolicyLogger", "close that one first")
    copy = os.dup(log._file._fd)  # as a fork has it
    log.close()
    with again() as other:
        other.add(["b"], ROWS[:1])
    os.close(copy)
    assert [s.id for s in read(path)] == ["a", "b"]


def test_a_logger_whose_file_another_run_replaced_says_so(path: Path) -> None:
    """The log is that of the run that came last, whole; the other one loses nothing silently."""
    log = PolicyLogger(path, preset="arnet-resnet")
    log.add(["a"], ROWS[:1])
    with PolicyLogger(path, preset="arnet-resnet", overwrite=True) as other:
        other.add(["b"], ROWS[:1])
    with pytest.raises(DataError, match="was removed or replaced") as caught:
        log.close()
    assert "1 record lost" in caught.value.hint
    assert [s.id for s in read(path)] == ["b"]
    log._file.close()  # as at the end of the process, where nobody can be told
    assert [s.id for s in read(path)] == ["b"]


def test_a_second_writer_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system has no locks, they stop before writing into each other's lines."""
    monkeypatch.setattr("flopbench.policy.journal.lock", lambda number, wait: True)
    log = PolicyLogger(path, preset="arnet-resnet")
    log.add(["a"], ROWS[:1])
    with PolicyLogger(path, preset="arnet-resnet", append=True) as other:
        other.add(["b"], ROWS[:1])
    with pytest.raises(DataError, match="changed by another process"):
        log.flush()
    assert [s.id for s in read(path)] == ["b"]
    log._finalizer.detach()


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """A Parquet log, where its writer is installed."""
    pytest.importorskip("duckdb")
    pytest.importorskip("flopbench.policy.writers")
    return tmp_path / "run.parquet"


@pytest.mark.parametrize("loop", [_add, _add_and_fail])
def test_a_parquet_log_is_a_journal_until_it_is_closed(
    parquet: Path, loop: Callable[[PolicyLogger], None]
) -> None:
    """While it is open the journal can be read; afterwards only the Parquet file exists."""
    journal = parquet.with_name("run.parquet.journal.jsonl")
    try:
        with PolicyLogger(parquet, preset="arnet-resnet", method="m") as log:
            assert log.path == parquet
            assert journal.exists()
            assert not parquet.exists()
            loop(log)
    except ZeroDivisionError:
        pass
    assert [p.name for p in parquet.parent.iterdir()] == ["run.parquet"]
    assert open_log([parquet]).header.method == "m"
    assert [(s.id, s.actions, s.labels) for s in read(parquet)] == [
        ("v_0", ROWS[0], [1]),
        ("v_1", ROWS[1], [2]),
    ]
    again = partial(PolicyLogger, parquet, preset="arnet-resnet")
    refuses(partial(again, append=True), "cannot be continued; overwrite=True replaces it")
    with again(overwrite=True) as log:
        assert not parquet.exists()
        log.add(["v_2"], ROWS[:1])
    assert [s.id for s in read(parquet)] == ["v_2"]


QUIET = """
import duckdb
from flopbench.policy.forms.raw import quiet_connection
setting = quiet_connection(duckdb).execute("SELECT current_setting('enable_progress_bar')")
print(setting.fetchone()[0])
"""


def test_no_progress_bar_gets_between_what_a_notebook_prints(parquet: Path) -> None:
    """DuckDB draws one on stdout in code that has no file, for a log that takes two seconds."""
    assert run_python(QUIET, parquet).strip() == "False"


def test_the_journal_of_a_killed_run(parquet: Path) -> None:
    """It is refused, then continued, and ends as the Parquet file."""
    journal = parquet.with_name("run.parquet.journal.jsonl")
    logged(journal, IDS, ROWS)
    refuses(lambda: PolicyLogger(parquet, preset="arnet-resnet"), "flopbench log convert")
    assert journal.exists()
    with PolicyLogger(parquet, preset="arnet-resnet", append=True) as log:
        log.add(["v_2"], ROWS[:1])
    assert [s.id for s in read(parquet)] == [*IDS, "v_2"]
    assert not journal.exists()


def test_parquet_shards_are_one_log(parquet: Path) -> None:
    """Each rank closes its own Parquet shard."""
    for rank in range(2):
        with PolicyLogger(parquet, preset="arnet-resnet", rank=rank, world_size=2) as log:
            log.add([str(rank)], ROWS[:1])
    assert [s.id for s in read(parquet)] == ["0", "1"]


def test_the_logger_does_not_import_torch() -> None:
    """Evaluating without torch does not import it."""
    code = "import sys, flopbench.policy.logger; print({'torch', 'duckdb'} & set(sys.modules))"
    assert run_python(code).strip() == "set()"


def test_a_batch_costs_little(path: Path) -> None:
    """A tripwire: 20 batches of 64 × 16 one-hot rows in well under a second."""
    rows = one_hot(np.random.default_rng(0).integers(0, 4, (64, 16))).astype(np.float32)
    with PolicyLogger(path, preset="arnet-resnet", sync=False) as log:
        start = time.perf_counter()
        for n in range(20):
            log.add([f"{n}_{i}" for i in range(64)], rows, labels=np.arange(64))
        assert time.perf_counter() - start < 2
