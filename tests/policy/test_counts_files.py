"""Counts in parts: merged in any order they give what the whole log gives, to the last bit."""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("msgspec")
duckdb = pytest.importorskip("duckdb")
pytest.importorskip("nanoarrow")

import flopbench  # noqa: E402
from flopbench.cli import main  # noqa: E402
from flopbench.core.errors import DataError, FlopbenchError, InputError  # noqa: E402
from flopbench.core.statistics import Z_95  # noqa: E402
from flopbench.estimate import groups, spread  # noqa: E402
from flopbench.estimate.as_json import estimate_data  # noqa: E402
from flopbench.estimate.runs import Choices, run_of_counts, run_of_log  # noqa: E402
from flopbench.policy import sums_file  # noqa: E402
from flopbench.policy.counts_file import About, Part, read_part, write_counts  # noqa: E402
from flopbench.policy.sums_file import NO_REPEATS  # noqa: E402
from flopbench.policy.writers import convert_file  # noqa: E402

Row = dict[str, Any]
PRICES = {"large": 'value:410 "x"', "small": 'value:37 "x"', "policy": 'value:53 "x"'}
SKIPS = [
    {"name": "large", "costs": {"large": 1}},
    {"name": "small", "costs": {"small": 1}},
    {"name": "skip 4", "kind": "skip", "span": 4},
]
HEADER = {
    "format": "flopbench.policy-log",
    "version": 1,
    "steps": "varies",
    "actions": SKIPS,
    "components": PRICES,
    "charges": {"per_decision": {"policy": 1}, "per_sample": {"small": 0.3}},
}


def drawn(seed: int, n: int = 60) -> list[Row]:
    """Return samples of 3 to 9 steps, some with runs that no policy makes, in clips."""
    own = random.Random(seed)
    return [
        {
            "id": f"{own.random()}_{i}",
            "labels": own.sample(range(4), own.randint(0, 2)),
            "actions": [own.choice((0, 1, 2, 2, 2)) for _ in range(own.randint(3, 9))],
            "extra": {"clip": own.choice(("a", "b", "c", 1, 2))},
        }
        for i in range(n)
    ]


def with_exit(row: Row, number: int) -> Row:
    return {"id": row["id"], "labels": row["labels"], "exit": number, "extra": row["extra"]}


EXITS = [{"name": "early", "costs": {"small": 1}}, {"name": "late", "costs": {"large": 1}}]
KINDS: dict[str, tuple[dict[str, Any], list[Row]]] = {
    "steps": (HEADER, drawn(0)),
    "decisions": ({**HEADER, "encoding": "per_decision"}, drawn(1)),
    "spans of their own": (
        {**HEADER, "encoding": "per_decision"},
        [{**row, "spans": [1 + i % 3 for i, _ in enumerate(row["actions"])]} for row in drawn(2)],
    ),
    "streams": (
        {
            **HEADER,
            "streams": ["rgb", "audio"],
            "actions": {"rgb": ["large", "skip 4"], "audio": ["small", "skip"]},
        },
        [
            {**row, "actions": {s: [a % 2 for a in row["actions"]] for s in ("rgb", "audio")}}
            for row in drawn(3)
        ],
    ),
    "views": (
        HEADER,
        [
            {**row, "view": v, "actions": row["actions"][v:], "counts": {"large": 0.1 * (v + 1)}}
            for row in drawn(4)
            for v in (2, 0, 1)
        ],
    ),
    "exits": (
        {**HEADER, "actions": None, "exits": EXITS},
        [with_exit(row, i % 2) for i, row in enumerate(drawn(5))],
    ),
    "exits of a video": (
        {
            **HEADER,
            "actions": None,
            "steps": None,
            "exits": [{**one, "steps": n} for one, n in zip(EXITS, (2, 5), strict=True)],
        },
        [with_exit(row, i % 2) for i, row in enumerate(drawn(6))],
    ),
    "an action that exits": (
        {**HEADER, "steps": 9, "actions": [*SKIPS[:2], {"name": "stop", "kind": "exit"}]},
        [{**row, "actions": [*(a % 2 for a in row["actions"][:4]), 2]} for row in drawn(7)],
    ),
    "counts": (
        HEADER,
        [
            {**row, "counts": {"large": 0.1 * i, "small": 3}} if i % 3 else row
            for i, row in enumerate(drawn(8))
        ],
    ),
    "counts alone": (
        {**HEADER, "actions": None},
        [
            {"id": r["id"], "steps": 8, "counts": {"large": 0.7 * i}, "extra": r["extra"]}
            for i, r in enumerate(drawn(9))
        ],
    ),
    "names of classes": (
        {**HEADER, "class_names": ["cat", "dog", "hen", "cow"]},
        [
            {**row, "labels": [("cat", "dog", "hen", "cow")[n] for n in row["labels"]]}
            for row in drawn(10)
        ],
    ),
    "names and numbers": (
        HEADER,
        [{**row, "labels": [i % 3, "übung"]} for i, row in enumerate(drawn(11))],
    ),
}
CHOICES = (
    {"by": "class", "cluster": "clip"},
    {"by": "difficulty", "resamples": 50},
    {"by": "class", "cluster": "id:_", "rule": "published", "resamples": 50},
)


def shards(folder: Path, header: dict[str, Any], rows: Sequence[Row], n: int) -> list[Path]:
    """Write a log as shards, its samples dealt out in turn."""
    text = json.dumps({k: v for k, v in header.items() if v is not None})
    paths = [folder / f"run.rank{i}-of-{n}.jsonl" for i in range(n)]
    for i, path in enumerate(paths):
        lines = [text, *map(json.dumps, rows[i::n])]
        path.write_text("\n".join(lines) + "\n")
    return paths


def reduced(paths: Sequence[Path], **options: Any) -> list[Path]:
    """Reduce each shard to a part beside it."""
    parts = [path.with_suffix(".counts") for path in paths]
    for path, part in zip(paths, parts, strict=True):
        flopbench.reduce_log(path, part, **options)
    return parts


def outcome(run: Any, *args: Any) -> Any:
    """Return the whole estimate, but for the signs of clusters, which need the log's order."""
    try:
        found = run(*args)
    except FlopbenchError as error:
        return str(error.message)
    data = estimate_data(found)
    return {**data, "warnings": [str(w) for w in found.warnings if w.kind != "clusters"]}


@pytest.mark.parametrize("kind", KINDS)
def test_parts_in_any_order_are_the_whole_log(tmp_path: Path, kind: str) -> None:
    """Every kind of log, cut in 3, under every choice: the same estimate, or the same refusal."""
    header, rows = KINDS[kind]
    paths = shards(tmp_path, header, rows, 3)
    parts = reduced(paths, cluster="clip")
    random.Random(kind).shuffle(parts)
    for choice in CHOICES:
        choices = Choices(may_measure=False, **choice)
        assert outcome(run_of_counts, parts, choices) == outcome(run_of_log, paths, choices), choice


def test_64_shards_in_random_order(tmp_path: Path) -> None:
    """Half of them reduced together: 33 parts, named by a glob and one by one."""
    paths = shards(tmp_path, HEADER, drawn(12, 400), 64)
    parts = reduced(paths[:32])
    flopbench.reduce_log(paths[:31:-1], tmp_path / "half.counts")
    random.Random(1).shuffle(parts)
    for by, given in (
        ("class", [tmp_path / "half.counts", *parts]),
        ("difficulty", [str(tmp_path / "*.counts")]),
    ):
        choices = Choices(by=by, resamples=100)
        assert outcome(run_of_counts, given, choices) == outcome(run_of_log, paths, choices)


def test_the_same_rows_from_any_form_and_order(tmp_path: Path) -> None:
    """A part has one order of rows, whatever that of its samples; text is kept as it is."""
    rows = drawn(13)
    found = []
    for name, own in (("a", rows), ("b", rows[::-1])):
        (tmp_path / name).mkdir()
        part = reduced(shards(tmp_path / name, HEADER, own, 1), cluster="clip")[0]
        found.append(duckdb.sql(f"FROM read_parquet('{part}')").fetchall())
    assert found[0] == found[1] == sorted(found[0], key=lambda row: (row[0], row[7]))
    one = next(row for row in rows if row["actions"].count(2) and row["labels"])
    clip, labels = str(one["extra"]["clip"]), json.dumps(one["labels"], separators=(",", ":"))
    own = [row for row in found[0] if row[0] == one["id"]]
    assert {row[1:7] for row in own} == {(None, clip, labels, None, None, len(one["actions"]))}
    assert sum(row[8] for row in own) == len(one["actions"])


def test_a_part_that_another_engine_made(tmp_path: Path) -> None:
    """In any order of rows, sums as DOUBLE, views as integers: the same counts."""
    header, rows = KINDS["views"]
    (part,) = reduced(shards(tmp_path, header, rows, 1))
    query = f"SELECT decode(key), decode(value) FROM parquet_kv_metadata('{part}')"
    quoted = [[text.replace("'", "''") for text in row] for row in duckdb.sql(query).fetchall()]
    metadata = ", ".join(f"'{key}': '{value}'" for key, value in quoted)
    other = tmp_path / "other.parquet"
    duckdb.sql(
        "COPY (SELECT * REPLACE (frames::DOUBLE AS frames, view::INTEGER AS view) "
        f"FROM read_parquet('{part}') ORDER BY hash(video, action, view)) "
        f"TO '{other}' (FORMAT parquet, KV_METADATA {{{metadata}}})"
    )
    choices = Choices(by="class", cluster="id:_", resamples=50)
    assert outcome(run_of_counts, other, choices) == outcome(run_of_counts, part, choices)
    with pytest.raises(DataError, match="both hold '0"):
        run_of_counts([part, other])


def test_a_warning_of_a_shard_comes_with_its_part(tmp_path: Path) -> None:
    """A line that was cut off, and runs that no policy makes: said once, as for the log."""
    paths = shards(tmp_path, HEADER, drawn(14), 3)
    paths[1].write_text(paths[1].read_text()[:-9])
    parts = reduced(paths, allow_truncated=True)
    of_log = outcome(run_of_log, paths, Choices(allow_truncated=True))
    assert "is cut off and was left out" in of_log["warnings"][0]
    assert outcome(run_of_counts, parts[::-1], Choices()) == of_log


def test_a_record_that_two_parts_hold(tmp_path: Path) -> None:
    """It is refused with both parts; --duplicates first keeps that of the first shard."""
    rows = drawn(15)
    again = {**rows[0], "actions": [0, 0, 0]}
    paths = shards(tmp_path, HEADER, [*rows[:20], again, *rows[20:39]], 2)  # shard 0 has both
    paths[1].write_text(paths[1].read_text() + json.dumps(again) + "\n")
    parts = reduced(paths, duplicates="first")
    with pytest.raises(DataError, match=r"rank0-of-2.counts and .*rank1-of-2.counts both hold '0"):
        run_of_counts(parts[::-1])
    whole = outcome(run_of_log, paths, Choices(duplicates="first"))
    merged = outcome(run_of_counts, parts[::-1], Choices(duplicates="first"))
    assert {**merged, "warnings": 0} == {**whole, "warnings": 0}
    assert merged["warnings"][1].endswith("rank1-of-2.counts: 1 repeated samples were left out")
    parts[1].write_bytes(parts[0].read_bytes())
    with pytest.raises(DataError, match="give each part once"):
        run_of_counts(parts)


def rewritten(part: Path, change: str) -> None:
    """Change a part by SQL, and keep its metadata."""
    known = part_of(part)
    query = change.replace("PART", f"read_parquet('{part}')")
    about, layout = known.about, known.layout
    write_counts(part, {}, header=known.header, about=about, layout=layout, query=query)


def part_of(path: Path) -> Part:
    """Return what a part says about itself."""
    known = read_part(path, duckdb.connect())
    assert known is not None
    return known


HOSTILE = {
    "SELECT * REPLACE (-frames AS frames) FROM PART": "frames: is -",
    "SELECT * REPLACE (1::BIGINT << 40 AS steps) FROM PART": "steps: is 1099511627776 where 0 to",
    "SELECT * REPLACE (99 AS decisions) FROM PART": "decisions: is 99 where",
    "SELECT * REPLACE (0 AS decisions) FROM PART": "decisions: is 0 where 1 to",
    "SELECT * REPLACE (5 AS steps) FROM PART": "in all, but the record has",
    "SELECT * REPLACE ('jump' AS action) FROM PART WHERE action = 'large'": "it is 'jump', which",
    "FROM PART UNION ALL FROM PART": "two rows have the same action",
    "SELECT * REPLACE ('[3' AS labels) FROM PART": "labels: it is not JSON",
    "SELECT * REPLACE ('3' AS labels) FROM PART": "labels: is '3' where a list",
    "SELECT * REPLACE ('[-1]' AS labels) FROM PART": "labels: is -1 where a class index",
    """SELECT * REPLACE ('{"x":1}' AS counts) FROM PART""": "counts: there is no component 'x'",
    """SELECT * REPLACE ('{"large":-1}' AS counts) FROM PART""": "counts: large: is -1 where",
    "SELECT * REPLACE ('soon' AS exit) FROM PART": "exit: it is 'soon', which is not an exit",
    "SELECT * REPLACE (action AS cluster) FROM PART": "its rows differ in 'cluster'",
    "SELECT * REPLACE (nullif(video, '0_1') AS video) FROM PART": "video: is missing",
    "SELECT * REPLACE (nullif(action, 'large') AS action) FROM PART": "without an action",
    "FROM PART LIMIT 0": "has no rows",
}


@pytest.mark.parametrize("change", HOSTILE)
def test_a_part_that_nothing_could_have_made(tmp_path: Path, change: str) -> None:
    """It is refused with the file and the record, before anything is computed with it."""
    rows = [{"id": f"0_{i}", "labels": [1], "actions": [0, 1, 2, 2, 2, 2]} for i in range(3)]
    (part,) = reduced(shards(tmp_path, HEADER, rows, 1))
    run_of_counts(part)
    rewritten(part, change)
    with pytest.raises(DataError, match=HOSTILE[change]) as caught:
        run_of_counts(part)
    assert caught.value.message.startswith(str(part))


def test_parts_that_do_not_belong_together(tmp_path: Path) -> None:
    """Another header, a missing shard, no cluster, a newer schema, a damaged or foreign file."""
    paths = shards(tmp_path, HEADER, drawn(16), 3)
    parts = reduced(paths)
    (tmp_path / "other").mkdir()
    header = {**HEADER, "actions": SKIPS[:2], "method": "other"}
    rows = [{"id": "x", "actions": [0, 1]}]
    (other,) = reduced(shards(tmp_path / "other", header, rows, 1))
    with pytest.raises(DataError, match=r"its header differs from that of .* in method, actions"):
        run_of_counts([*parts, other])
    with pytest.raises(DataError, match="is missing number 1"):
        run_of_counts([parts[0], parts[2]])
    with pytest.raises(InputError, match="was reduced without --cluster clip"):
        run_of_counts(parts, Choices(cluster="clip"))
    with pytest.raises(InputError, match="--difficulty margin needs the log"):
        run_of_counts(parts, Choices(by="difficulty", difficulty="margin"))
    with pytest.raises(InputError, match="needs nothing but the ids"):
        flopbench.reduce_log(paths, tmp_path / "no.counts", cluster="id:_")
    with pytest.raises(InputError, match="flopbench estimate --counts"):
        run_of_log(other)
    header_of_other = part_of(other).header
    for about, message in (
        (About(sources=["x"], schema=2), "has schema 2; this flopbench reads up to 1"),
        (About(sources=[]), "sources"),
    ):
        row = {"video": np.array(["x"], object), "steps": np.array([0])}
        row |= {name: np.array([None], object) for name in ("view", "cluster", "labels", "exit")}
        row |= {name: np.array([None], object) for name in ("counts", "action")}
        row |= {name: np.array([0]) for name in ("frames", "decisions")}
        write_counts(other, {"rows": row}, header=header_of_other, about=about)
        with pytest.raises(DataError, match=message):
            run_of_counts(other)
    cut = parts[1].read_bytes()
    for damaged in (cut[:-20], cut[:200] + bytes(20) + cut[220:], b"PAR1"):
        parts[1].write_bytes(damaged)
        with pytest.raises(DataError, match=r"rank1-of-3.counts is damaged"):
            run_of_counts(parts)
    assert not list(tmp_path.glob(".*"))


def test_addresses_are_read_by_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs and parts by address; without the extension one error names the command."""
    (path,) = shards(tmp_path, HEADER, drawn(18), 1)
    parts = reduced([path])
    convert_file(path, tmp_path / "run.parquet")
    local = run_of_log(tmp_path / "run.parquet")
    for run, name in ((run_of_log, "*.parquet"), (run_of_counts, parts[0].name)):
        found = run(f"file://{tmp_path}/{name}")
        assert (found.primary, found.interval) == (local.primary, local.interval)
    with pytest.raises(InputError, match="only logs in Parquet are read from an address"):
        run_of_log(f"file://{path}")
    with pytest.raises(InputError, match=r"cannot read file:///none/a.parquet: IO Error"):
        run_of_log("file:///none/a.parquet")
    monkeypatch.setenv("HOME", str(tmp_path))
    for address in ("https://127.0.0.1:9/run.parquet", "s3://none/run*.parquet"):
        with pytest.raises(InputError, match=r"(?s)httpfs, which is not installed.*INSTALL httpfs"):
            run_of_log(address)


def test_a_log_on_a_server(tmp_path: Path) -> None:
    """Through httpfs, where DuckDB has it."""
    try:
        duckdb.connect().execute("LOAD httpfs")
    except duckdb.Error:
        pytest.skip("DuckDB's extension httpfs is not installed")
    convert_file(shards(tmp_path, HEADER, drawn(19), 1)[0], tmp_path / "run.parquet")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = run_of_log(f"{address}/run.parquet")
        with pytest.raises(InputError, match=r"cannot read http.*none.parquet: HTTP Error"):
            run_of_log(f"{address}/none.parquet")
        server.shutdown()
    assert found.interval == run_of_log(tmp_path / "run.parquet").interval


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reduce shard by shard, estimate all parts; a shard is never overwritten."""
    paths = shards(tmp_path, HEADER, drawn(17), 2)
    for i, path in enumerate(map(str, paths)):
        assert main(["log", "reduce", path, "-o", str(tmp_path / f"{i}.counts")]) == 0
        for target in (path, "/dev/null", "-"):
            assert main(["log", "reduce", path, "-o", target]) == 2
    assert capsys.readouterr().out == "".join(
        f"{tmp_path}/{i}.counts: 30 samples\n" for i in (0, 1)
    )
    texts = []
    for given in (["--counts", str(tmp_path / "*.counts")], list(map(str, paths))):
        assert main(["estimate", *given, "--by", "class", "--format", "json"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def limits_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the limit of the bootstrap for two videos, too."""
    monkeypatch.setitem(spread.interval_of_costs.__kwdefaults__, "largest", 1)
    monkeypatch.setattr(groups, "SMALLEST_LIMIT", 1)
    monkeypatch.setattr(groups, "LARGEST_BOOTSTRAP", 1)


ALIKE = {"decisions", "exits of a video", "counts", "names and numbers"}
"""Kinds of logs whose sums are as those of others."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ALIKE])
def test_sums_in_any_order_are_the_whole_log(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whole numbers: each figure of the log, to the last bit, its limit and classes included."""
    header, rows = KINDS[kind]
    if kind == "views":  # those of a video go into one shard
        rows = [
            rows[9 * n + 3 * video + k] for n in range(20) for k in range(3) for video in range(3)
        ]
    paths = shards(tmp_path, header, rows, 3)
    if any(isinstance(n, float) for row in rows for n in (row.get("counts") or {}).values()):
        with pytest.raises(InputError, match="additional runs are no whole numbers"):
            reduced(paths, sums=True)
        rows = [{**row, "counts": {"large": 10**12, "small": 3}} for row in rows]
        paths = shards(tmp_path, header, rows, 3)
    parts = reduced(paths, sums=True)
    random.Random(kind).shuffle(parts)
    limits_always(monkeypatch)
    for rule in ("exact", "published"):
        choices = Choices(by="class", rule=rule, may_measure=False)
        own, log = outcome(run_of_counts, parts, choices), outcome(run_of_log, paths, choices)
        if isinstance(log, dict):
            assert own.pop("warnings") == [NO_REPEATS, *log.pop("warnings")]
            assert log["ci95_method"]["method"] == "normal limit of the bootstrap"
        assert own == log


def test_sums_by_hand(tmp_path: Path) -> None:
    """Three videos, two lists of prices, one part; and decisions, not runs, of each skip."""
    rows = [
        {"id": name, "actions": actions, "labels": labels}
        for name, actions, labels in (
            ("a", [0, 0, 2, 2, 2, 2], [7]),
            ("b", [1], [7, 3]),
            ("c", [0, 1, 2], []),
        )
    ]
    (part,) = reduced(shards(tmp_path, HEADER, rows, 1), sums=True)
    query = f"SELECT label, amount, times, sum::BIGINT FROM read_parquet('{part}')"
    sums = {tuple(row[:3]): row[3] for row in duckdb.sql(query).fetchall()}
    assert sums[None, "steps", "video"] == 6 + 1 + 3
    assert sums[None, "steps", "steps"] == 36 + 1 + 9
    assert sums[None, "frames:skip 4", "frames:large"] == 4 * 2 + 1 * 1
    assert sums[None, "decisions:skip 4", "steps"] == 1 * 6 + 1 * 3
    assert sums[None, "records:skip 4", "video"] == 2
    assert (sums[None, "unlabelled", "video"], sums[None, "several labels", "video"]) == (1, 1)
    assert (sums["7", "video", "video"], sums["3", "steps", "steps"]) == (2, 1)
    assert sums[None, "decisions:small", "frames:skip 4"] == 1  # of c
    assert ("7", "decisions:small", "frames:skip 4") not in sums  # 0
    for large in (410, 10**15):
        # Runs of large and small, decisions, and 0.3 × small: a × 410 + b × 37 + c × 53 + 11.1.
        costs = [Fraction(a * large + b * 37 + c * 53) + Fraction("11.1") for a, b, c in BY_HAND]
        mean = sum(costs) / 3
        reach = Z_95 * math.sqrt(sum((cost - mean) ** 2 for cost in costs) / 9)
        run = run_of_counts(part, Choices(components={"large": f"value:{large}"}, by="class"))
        assert run.primary.macs_per_video == mean
        assert run.interval is not None
        assert run.interval.ends == ((float(mean) - reach) / 1e9, (float(mean) + reach) / 1e9)
        own = {group.name: group.estimate.macs_per_video for group in run.groups}
        assert own == {"3": costs[1], "7": (costs[0] + costs[1]) / 2}


BY_HAND = ((2, 0, 3), (0, 1, 1), (1, 1, 3))


def test_64_shards_of_sums_in_random_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the one part of all; which is no larger for twenty times as many videos."""
    monkeypatch.setattr(sums_file, "AT_ONCE", 7)  # videos
    paths = shards(tmp_path, HEADER, drawn(12, 640), 64)
    parts = [*reduced(paths[:16], sums=True), tmp_path / "32.counts", tmp_path / "16.counts"]
    flopbench.reduce_log(paths[:31:-1], parts[16], sums=True)
    flopbench.reduce_log(paths[16:32], parts[17], sums=True)
    flopbench.reduce_log(paths, tmp_path / "one", sums=True)
    random.Random(1).shuffle(parts)
    choices = Choices(by="class")
    merged = outcome(run_of_counts, parts, choices)
    assert merged["warnings"].pop(0) == NO_REPEATS
    assert merged == outcome(run_of_counts, tmp_path / "one", choices)
    sizes = [len(duckdb.sql(f"FROM read_parquet('{part}')")) for part in (tmp_path / "one", *parts)]
    assert sizes[0] <= (1 + 4) * (9 * 10 // 2 + 5)  # the log and 4 labels, 9 amounts in pairs
    assert max(sizes) == sizes[0]


def test_numbers_beyond_64_bits(tmp_path: Path) -> None:
    """Squares of 1e12 runs and of the longest videos are exact; 39 digits are refused."""
    rows = [{"id": str(i), "steps": 2**31 - 1, "counts": {"large": 10**12 - i}} for i in range(3)]
    (part,) = reduced(shards(tmp_path, {**HEADER, "actions": None}, rows, 1), sums=True)
    query = f"SELECT sum::VARCHAR FROM read_parquet('{part}') WHERE amount = times"
    found = {int(row[0]) for row in duckdb.sql(query).fetchall()}
    assert found == {3, 3 * (2**31 - 1) ** 2, sum((10**12 - i) ** 2 for i in range(3))}
    with pytest.raises(DataError, match=r"cannot write .*DECIMAL"):
        rewritten(part, "SELECT * REPLACE (repeat('9', 39) AS sum) FROM PART")


HOSTILE_SUMS = {
    "SELECT * REPLACE (-sum AS sum) FROM PART": "sum: is '-[0-9]+' where a whole number",
    "SELECT * REPLACE (nullif(sum, 3) AS sum) FROM PART": "sum: is missing where",
    "FROM PART UNION ALL FROM PART": "is there twice",
    "SELECT * REPLACE ('frames:jump' AS amount) FROM PART": "no amount 'frames:jump'",
    "SELECT * REPLACE ('unlabelled' AS times) FROM PART": "no amount 'unlabelled'",
    "SELECT * REPLACE ('-1' AS label) FROM PART": "label: -1 is no class",
    "SELECT * REPLACE ('[1]' AS label) FROM PART": "is no class of this log",
    "FROM PART WHERE amount <> 'steps' OR times <> 'steps'": "no videos add up to",
    "SELECT * REPLACE (sum + 9 * (times = 'frames:large')::INT AS sum) FROM PART": "add up to",
    "FROM PART WHERE 'decisions:large' NOT IN (amount, times)": "0 decisions for 3 frames",
    "FROM PART WHERE amount <> 'records'": "3 videos of 0 records",
    "FROM PART LIMIT 0": "0 videos of 0 records",
}


def test_sums_that_no_videos_have(tmp_path: Path) -> None:
    """They are refused with the file, before anything is computed with them."""
    rows = [{"id": f"0_{i}", "labels": [1], "actions": [0, 1, 2, 2, 2, 2]} for i in range(3)]
    (part,) = reduced(shards(tmp_path, HEADER, rows, 1), sums=True)
    whole = part.read_bytes()
    for change, said in HOSTILE_SUMS.items():
        part.write_bytes(whole)
        rewritten(part, change)
        with pytest.raises(DataError, match=said) as caught:
            run_of_counts(part)
        assert caught.value.message.startswith(str(part)), change


def test_what_sums_cannot_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is one message; so are two kinds of parts, a file twice, and lengths that differ."""
    paths = shards(tmp_path, {**HEADER, "steps": None}, drawn_alike(5), 2)
    parts = reduced(paths, sums=True)
    assert main(["estimate", "--counts", *map(str, parts)]) == 0
    assert "normal limit of the bootstrap over videos" in capsys.readouterr().out
    other = tmp_path / "other.counts"
    for choices, said in (
        (Choices(cluster="clip"), "holds sums: no --cluster"),
        (Choices(cluster="id:_"), "holds sums: no --cluster"),
        (Choices(duplicates="first"), "holds sums: no --duplicates first"),
        (Choices(by="difficulty"), "a part of sums has no videos: --by difficulty"),
        (Choices(steps=5), "sums need no --steps"),
    ):
        with pytest.raises(InputError, match=said):
            run_of_counts(parts, choices)
    with pytest.raises(InputError, match="flopbench estimate --counts"):
        run_of_log(parts)
    flopbench.reduce_log(paths[1], other)
    with pytest.raises(DataError, match="one holds sums, the other a row for each record"):
        run_of_counts([parts[0], other])
    flopbench.reduce_log(paths[1], other, sums=True, engine="duckdb")
    rows = [duckdb.sql(f"FROM read_parquet('{p}')").fetchall() for p in (parts[1], other)]
    assert rows[0] == rows[1]
    with pytest.raises(DataError, match=r"rank1-of-2.counts both hold .*rank1-of-2.jsonl"):
        run_of_counts([*parts, other])
    shards(tmp_path, {**HEADER, "steps": None}, drawn_alike(6), 2)
    reduced(paths[:1], sums=True)
    with pytest.raises(DataError, match=r"its header differs from that of .* in steps"):
        run_of_counts(parts)
    arguments = ["log", "reduce", *map(str, paths), "-o", str(other), "--sums"]
    assert main([*arguments, "--cluster", "clip"]) == 2
    assert "sums have no single videos, so no clusters" in capsys.readouterr().err


def drawn_alike(steps: int) -> list[Row]:
    """Return samples of one length."""
    return [{**row, "actions": [1] * steps} for row in drawn(20, 6)]
