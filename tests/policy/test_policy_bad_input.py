"""Every kind of bad input: one message with file, line or record, and field; exit status 2."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import RunCli, assert_refused
from sweeps import each

np = pytest.importorskip("numpy")
msgspec = pytest.importorskip("msgspec")
duckdb = pytest.importorskip("duckdb")
pytest.importorskip("nanoarrow")
zstandard = pytest.importorskip("zstandard")

from flopbench.core.errors import DataError, FlopbenchError, InputError  # noqa: E402
from flopbench.estimate.runs import Choices, run_of_log  # noqa: E402
from flopbench.policy.forms import csv_form  # noqa: E402
from flopbench.policy.forms.base import Options  # noqa: E402
from flopbench.policy.log import check_log, count_log, open_log, without_duplicates  # noqa: E402
from flopbench.policy.ready import read_counts  # noqa: E402
from flopbench.policy.samples import raise_first  # noqa: E402
from flopbench.policy.writers import convert, convert_file  # noqa: E402

HEADER: dict[str, Any] = {
    "format": "flopbench.policy-log",
    "version": 1,
    "actions": [
        {"name": "run", "costs": {"net": 1}},
        {"name": "small", "costs": {"net": 0.25}},
        {"name": "skip 2", "kind": "skip", "span": 2},
    ],
    "exits": [{"name": "first", "costs": {"net": 1}}],
    "components": {"net": 'value:1000000000 "round"'},
    "steps": 4,
}
VARIES = {**HEADER, "steps": "varies"}
A = {"id": "a", "actions": [0, 1, 2, 2]}
B = {"id": "b", "actions": [1, 1, 1, 0]}

Write = Callable[..., Path]


def log(folder: Path, *samples: Any, header: Any = HEADER, name: str = "run.jsonl") -> Path:
    """Write a log: its samples as JSON values or as text, its header as a JSON value."""
    path = folder / name
    lines = [s if isinstance(s, str) else json.dumps(s) for s in (header, *samples)]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    return path


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a log into the test's folder."""
    return partial(log, tmp_path)


def raised(path: Path | str, preset: str | None = None, fields: tuple[str, ...] = ()) -> str:
    """Return the message that counting fails with; checking must find it at the same place."""
    with pytest.raises(FlopbenchError) as caught:
        count_log(open_log([path], preset=preset), fields=fields)
    try:
        defects, _, _ = check_log(open_log([path], preset=preset))
    except FlopbenchError as error:
        defects = [error]  # type: ignore[list-item]
    assert place(str(caught.value)) in {place(str(defect)) for defect in defects}
    assert caught.value.exit_status == 2
    return str(caught.value)


def assert_named(message: str, needles: tuple[str, ...] | str) -> None:
    """Require that a message holds every needle."""
    missing = [n for n in ([needles] if isinstance(needles, str) else needles) if n not in message]
    assert not missing, f"{missing} not in {message}"


def spelled(text: str) -> str:
    """Expand what would be too long in a table of cases."""
    text = text.replace("HUGEST", "9" * 5000).replace("HUGE", str(10**30))
    return text.replace("DEEP", "[" * 100_000).replace("PEED", "]" * 100_000)


def place(message: str) -> str:
    """Return where a message says that a defect is."""
    found = re.match(r".*?(row \d+|sample \d+|:\d+)", message)
    return found[0] if found else message


def checked(path: Path) -> list[str]:
    """Return the messages of a whole check."""
    return [str(defect) for defect in check_log(open_log([path]))[0]]


SAMPLE_DEFECTS = {
    '{"id": "b", "actions": [0, 1': ("run.jsonl:3 is cut off", "--allow-truncated"),
    "not JSON": ("run.jsonl:3 is not JSON",),
    "[1]": ("run.jsonl:3:", "expected 'object', got 'array'"),
    '{"id": "b"}': ("run.jsonl:3:", "'actions'", "nothing to count"),
    '{"actions": [0]}': ("run.jsonl:3:", "'id'"),
    '{"id": 7, "actions": [0, 0, 0, 0]}': ("run.jsonl:3: id:", "'str'"),
    '{"id": "b", "actions": "run"}': ("run.jsonl:3: actions:",),
    '{"id": "b", "actions": {"rgb": [0]}}': ("run.jsonl:3: actions:", "no 'streams'"),
    '{"id": "b", "actions": [0, "runn", 1, 1]}': ("run.jsonl:3: actions[1]", "'run'"),
    '{"id": "b", "actions": [0, 3, 1, 1]}': ("run.jsonl:3: actions[1] is 3", "ids 0 to 2"),
    '{"id": "b", "actions": [0, -1, 1, 1]}': ("run.jsonl:3: actions[1] is -1",),
    '{"id": "b", "actions": [0, 1e3, 1, 1]}': ("run.jsonl:3: actions[1]", "float"),
    '{"id": "b", "actions": [0, HUGE, 1, 1]}': ("run.jsonl:3: actions[1] is 1000000",),
    '{"id": "b", "actions": [0, [1, 0, 1], 1, 1]}': ("run.jsonl:3: actions[1]", "one-hot"),
    '{"id": "b", "actions": [0, [0.5, 0.5, 0], 1, 1]}': ("run.jsonl:3: actions[1]", "one-hot"),
    '{"id": "b", "actions": [0, [1, 0], 1, 1]}': ("run.jsonl:3: actions[1]", "row of 2 numbers"),
    '{"id": "b", "actions": [0, [NaN, 1, 0], 1, 1]}': (
        "run.jsonl:3 is not JSON: actions[1][0] is NaN",
    ),
    '{"id": "b", "actions": [0, 1, 1]}': ("run.jsonl:3: actions: 3 steps where 4",),
    '{"id": "a", "actions": [0, 1, 1, 1]}': ("run.jsonl:3: id: 'a' already appeared at", ":2"),
    '{"id": "b", "view": 1, "actions": [0, 1, 1, 1]}': ("run.jsonl:", "view: some samples"),
    '{"id": "b", "actions": [0, 1, 1, 1], "steps": 5}': ("run.jsonl:3: steps: is 5",),
    '{"id": "b", "actions": [0, 1, 1, 1], "steps": -1}': ("run.jsonl:3: steps: is -1",),
    '{"id": "b", "actions": [0, 1, 1, 1], "scores": [HUGEST]}': ("run.jsonl:3",),
    '{"id": "b", "actions": [0, 1, 1, 1], "steps": HUGE}': ("run.jsonl:3: steps: is 1000",),
    '{"id": "b", "actions": [0, 1, 1, 1], "steps": -HUGE}': ("run.jsonl:3: steps: is -1",),
    '{"id": "b", "actions": [0, 1, 1, 1], "spans": [1, 1, 1, 1]}': ("run.jsonl:3: spans:",),
    '{"id": "b", "exit": "frist"}': ("run.jsonl:3: exit: is 'frist'", "'first'"),
    '{"id": "b", "exit": 1}': ("run.jsonl:3: exit: is 1",),
    '{"id": "b", "exit": -1}': ("run.jsonl:3: exit: is -1",),
    '{"id": "b", "counts": {"net": -1}}': ("run.jsonl:3: counts.net: is -1",),
    '{"id": "b", "counts": {"nett": 1}}': ("run.jsonl:3: counts:", "'net'"),
    '{"id": "b", "counts": {"net": 1e400}}': ("run.jsonl:3", "out of range"),
    '{"id": "b", "counts": {"net": null}}': ("run.jsonl:3: counts",),
    '{"id": "b", "actions": [0, 1, 1, 1], "labels": [-3]}': ("run.jsonl:3: labels: is -3",),
    '{"id": "b", "actions": [0, 1, 1, 1], "label": 3}': ("run.jsonl:3: unknown field", "'labels'"),
    '{"id": "b", "actions": [0, 1, 1, 1], "scores": [1, NaN]}': (
        "run.jsonl:3 is not JSON: scores[1] is NaN",
    ),
    '{"id": "b", "actions": [0, 1, 1, 1], "scores": ["x"]}': ("run.jsonl:3: scores",),
    '{"id": "b", "actions": DEEP': ("run.jsonl:3",),
    '{"id": "b", "extra": DEEP1PEED}': ("run.jsonl:3",),
    '{"id": "\\ud800", "actions": [0, 1, 1, 1]}': ("run.jsonl:3",),
    '{"id": "\udcff", "actions": [0, 1, 1, 1]}': ("run.jsonl:3 is not UTF-8",),
    '{"id": "b", "actions": [0, 1, 1, 1]} {"id": "c", "actions": [0, 1, 1, 1]}': ("run.jsonl:3",),
}


def test_a_defective_sample_is_named_with_line_and_field(tmp_path: Path, write: Write) -> None:
    """JSONL: the line, and the field if there is one. JSON: the line however it is laid out."""
    head = json.dumps(HEADER, indent=1)
    document = tmp_path / "run.json"

    def check(text: str, needles: tuple[str, ...]) -> None:
        cut = text.endswith("[0, 1")
        after = [] if cut else [{"id": "z", "actions": [0, 0, 0, 0]}]
        assert_named(raised(write(A, spelled(text), *after)), needles)
        samples = ",\n".join([json.dumps(A), spelled(text), json.dumps(B)])
        body = f'{{"header": {head},\n"samples": [\n{samples}\n]}}\n'
        document.write_bytes(body.encode("utf-8", "surrogateescape"))
        # Without an end a sample goes on elsewhere.
        elsewhere = "view" in text or text.endswith(("[0, 1", "DEEP"))
        line = "" if elsewhere else head.count("\n") + 4
        assert_named(raised(document), f"run.json:{line}")

    each(SAMPLE_DEFECTS.items(), check)


def test_a_sample_that_also_stands_in_the_header_has_its_own_line(tmp_path: Path) -> None:
    """A defect whose text also occurs in the header is not located there."""
    path = tmp_path / "run.json"
    path.write_text('{"header": ' + json.dumps(HEADER) + ',\n"samples": [\n\n1\n]}\n')
    assert "run.json:4, sample 1: expected 'object'" in raised(path)


HEADER_DEFECTS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"format": "other"}, ("'format' is 'other'",)),
    ({"version": 2}, ("version 2", "upgrade flopbench")),
    ({"version": "1"}, ("'version' is '1'",)),
    ({"acions": []}, ("header: 'acions' is an unknown key", "'actions'")),
    ({"actions": None, "exits": None, "components": None}, ("no actions", "--preset")),
    ({"actions": [{"name": "run"}, {"name": "run"}]}, ("actions[1] repeats the name 'run'",)),
    ({"actions": [{"name": "run", "span": 0}]}, ("actions[0] ('run') has span 0",)),
    ({"actions": [{"name": "run", "kind": "walk"}]}, ("actions[0].kind",)),
    ({"actions": [{"name": "run", "costs": {"nett": 1}}]}, ("actions[0]", "'nett'", "'net'")),
    ({"actions": [{"name": "run", "costs": {"net": -1}}]}, ("actions[0]", "'net' is -1")),
    ({"components": {}}, ("charges the component 'net'", "'components'")),
    ({"charges": {"per_step": {"lstm": 1}}}, ("charges.per_step", "'lstm'")),
    ({"steps": 0}, ("'steps' is 0",)),
    ({"encoding": "per_frame"}, ("encoding",)),
    ({"streams": []}, ("'streams' is empty",)),
    ({"preset": "arnet-resnett"}, ("arnet-resnett", "arnet-resnet")),
    ({"preset": "arnet-table1"}, ("preset",)),
]


def test_unreadable_files_are_refused(tmp_path: Path, write: Write) -> None:
    """A directory, a missing file, a name too long: one message that names the path."""
    for path, needle in (
        (tmp_path, "directory"),
        (tmp_path / "none.jsonl", "no policy log matches"),
        (tmp_path / ("x" * 300), "no policy log matches"),
        (tmp_path / "none*.jsonl", "no policy log matches"),
    ):
        with pytest.raises(InputError, match=needle):
            open_log([path])
    path = write(A)
    path.chmod(0)
    if not os.access(path, os.R_OK):
        with pytest.raises(InputError, match="Permission denied"):
            open_log([path])


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet", "npz", "jsonl.gz", "txt"])
def test_what_is_no_log_is_refused(tmp_path: Path, suffix: str) -> None:
    """Nothing, blanks, noise, and other kinds of files, under any suffix."""
    noise = np.random.default_rng(0).bytes(3000)
    contents = [b"", b"\n \n", noise, b"PAR1" + noise + b"PAR1", b"PK\x03\x04" + noise, b"\0" * 99]
    contents += [b"\x1f\x8b" + noise, b"\x28\xb5\x2f\xfd" + noise, b"a,b\n1,2\n", b"[" * 100_000]
    contents += [b"{" * 100_000, b'{"a":' * 50_000, b"{}", b"null", b"7", b"\xef\xbb\xbf"]
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.{suffix}"
        path.write_bytes(content)
        assert path.name in raised(path)


def packed(path: Path) -> bytes:
    """Return a log of many samples as text."""
    lines = [json.dumps(HEADER)]
    lines += [json.dumps({"id": f"v{i}", "actions": [0, 1, 2, 2]}) for i in range(5000)]
    return "\n".join(lines).encode() + b"\n"


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_compressed_file_that_is_cut_off_is_refused(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut anywhere in a compressed file is an error, never a shorter log; frames add up."""
    lines = [HEADER, *({"id": f"v{i}", "actions": [0, 1, 2, 2]} for i in range(5000))]
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    half = text.index(b"\n", len(text) // 2) + 1
    pack = gzip.compress if suffix == "gz" else zstandard.ZstdCompressor().compress
    data = pack(text[:half]) + pack(text[half:])
    path = tmp_path / f"run.jsonl.{suffix}"
    path.write_bytes(data)
    assert count_log(open_log([path])).records == 5000
    for kept in (0.001, 0.3, 0.9, 0.999):
        path.write_bytes(data[: max(5, int(len(data) * kept))])
        assert f"run.jsonl.{suffix} is damaged" in raised(path)
    monkeypatch.setattr(csv_form, "LARGE_BYTES", 1)  # read by the fast way
    csv = tmp_path / f"run.csv.{suffix}"
    csv.write_bytes(pack(b"id,action\n" + b"v1,0\nv2,0\n" * 5_000)[:-4])
    assert f"run.csv.{suffix} is damaged" in raised(csv, preset="uniform")


def csv_log(folder: Path, text: str | bytes, header: Any = HEADER) -> Path:
    """Write a CSV log and its header file; samples may vary where they have frames."""
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "run.header.json").write_text(json.dumps(VARIES if b"frames" in data else header))
    path = folder / "run.csv"
    path.write_bytes(data)
    return path


CSV_DEFECTS = {
    "id,step\na,0\n": ("run.csv:1: the column 'action' is missing",),
    "action\n0\n": ("run.csv:1",),
    "id,action,id\na,0,a\n": ("run.csv:1: the column 'id' appears twice",),
    "id,acton\na,0\n": ("run.csv:1: unknown column 'acton'", "'action'"),
    "id,action,extra,extra.x\na,0,{},1\n": ("run.csv:1", "'extra'"),
    "id,action\na,0\na,1,1\na,1\na,1\n": ("run.csv:3: 3 fields where 2",),
    "id,action\na,0\na\na,1\na,1\n": ("run.csv:3: 1 fields where 2",),
    'id,action\na,0\n"a,1\na,1\na,1\n': ("run.csv:3 is not CSV",),
    'id,action\na,0\n"a"x,1\na,1\na,1\n': ("run.csv:3 is not CSV",),
    "id,action\na,0\na,\na,1\na,1\n": ("run.csv:3: action: is empty",),
    "id,step,action\na,0,0\na,1,0\na,3,0\na,4,0\n": ("run.csv:4: step: is 3 where 2",),
    "id,step,action\na,0,0\na,1,0\na,1.5,0\n": ("run.csv:4: step: is '1.5'",),
    "id,action,labels\na,0,1\na,0,1\na,0,2\na,0,1\n": ("run.csv:4: labels: differs",),
    "id,action,scores\na,0,[NaN]\n": ("run.csv:2: scores: is not JSON",),
    "id,action,scores\na,0,[1e400]\n": ("run.csv:2: scores: is not JSON", "out of range"),
    "id,action,counts\na,0,{\n": ("run.csv:2: counts: is not JSON",),
    "id,action,scores\na,0,%s\n" % ("[" * 100_000): ("run.csv:2: scores: is not JSON",),
    "id,action,latency_ms\na,0,nan\n": ("run.csv:2: latency_ms: is 'nan'",),
    "id,action,latency_ms\na,0,1e400\n": ("run.csv:2: latency_ms: is '1e400'",),
    "id,action\na,0\na,9\na,1\na,1\n": ("run.csv:2: actions[1] is 9",),
    "id,action\na,0\na,runn\na,1\na,1\n": ("run.csv:2: actions[1] is 'runn'", "'run'"),
    "id,action,frames\na,0,\na,0,\nb,0,\na,1,\na,1,\n": ("run.csv:5: id: 'a' already appeared at",),
    "id,exit\na,first\na,first\n": ("run.csv:3: id: 'a' already appeared at", "run.csv:2"),
    'id,action,frames\n"a\nb",0,\n"a\nb",0,\nc,7,\n': ("run.csv:6: actions[0] is 7",),
}


@pytest.mark.parametrize(
    "text", [b"id,a\rction\na,0\n", b"id,action\xff\na,0\n", b'"id,action\na,0\n']
)
def test_a_large_csv_with_a_defective_header_is_refused(
    tmp_path: Path, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first line of a large file is checked by the exact reader."""
    monkeypatch.setattr(csv_form, "LARGE_BYTES", 1)
    assert "run.csv:1" in raised(csv_log(tmp_path, text))


def test_bytes_that_are_no_text_are_found_at_their_line(tmp_path: Path) -> None:
    """A byte that is not UTF-8 is reported at its line, however far the reader has read ahead."""
    text = b"id,action\n" + b"".join(b"v%d,0\n" % (i // 4) for i in range(4000))
    lines = text.split(b"\n")
    lines[3210] = b"v\xff,0"
    assert "run.csv:3211 is not UTF-8 text" in raised(csv_log(tmp_path, b"\n".join(lines)))


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfid,action\na,0\na,1\na,2\na,2\n",
        b"id,action\r\na,0\r\na,1\r\na,2\r\na,2\r\n",
        b"\xef\xbb\xbfid , action\r\na,run\r\n\r\na,small\r\na,skip 2\r\na,skip 2",
        b"id,step,action\na,0,0\n\na,1,1\na,2,2\n\n\na,3,2\n\n",
    ],
)
def test_spreadsheets_csv_is_read(
    tmp_path: Path, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte order mark, CRLF and blank lines change nothing, nor for DuckDB."""
    path = csv_log(tmp_path, text)
    for large in (1 << 25, 1):
        monkeypatch.setattr(csv_form, "LARGE_BYTES", large)
        counts = count_log(open_log([path]))
        assert counts.frames.tolist() == [[1, 1, 2]]
        assert counts.decisions.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_byte_order_mark_before_json_is_skipped(write: Write, form: str) -> None:
    """Editors that put one there do not break a log."""
    lines = {"jsonl": (HEADER, A), "json": ({"header": HEADER, "samples": [A]},)}
    path = write(*lines[form][1:], header=lines[form][0], name=f"run.{form}")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert count_log(open_log([path])).records == 1


def npz(tmp_path: Path, header: Any = HEADER, **arrays: Any) -> Path:
    """Write an NPZ log."""
    path = tmp_path / "run.npz"
    text = {} if header is None else {"header": np.array(json.dumps(header))}
    np.savez(path, **text, **arrays)
    return path


IDS = np.array(["a", "b"])
IDS_4 = np.zeros((2, 4), np.int64)
PLAIN = {"id": IDS, "actions": IDS_4}


def ragged(*offsets: float) -> dict[str, Any]:
    """Return eight decisions in a row, cut at some places."""
    return {"id": IDS, "actions": np.zeros(8, int), "actions_offsets": np.array(offsets)}


NPZ_DEFECTS: list[tuple[dict[str, Any], str]] = [
    (PLAIN | {"id": np.array(["a", None])}, "id holds pickled objects"),
    ({"actions": IDS_4}, "there is no column 'id'"),
    (PLAIN | {"header": None}, "has no header"),
    (PLAIN | {"id": IDS_4}, "id has shape (2, 4)"),
    (PLAIN | {"id": np.arange(2)}, "sample 1: id:"),
    (PLAIN | {"id": np.array([b"a", b"b"])}, "sample 1: id:"),
    (PLAIN | {"id": np.array(["2020", "2021"], "M8[s]")}, "sample 1: id:"),
    (PLAIN | {"id": np.array(["a", "\ud800"])}, "id holds text"),
    ({"id": IDS, "actions": IDS_4[:1]}, "actions has shape (1, 4)"),
    ({"id": IDS, "actions": np.zeros(2, int)}, "sample 1: actions:"),
    ({"id": IDS, "actions": np.array(3)}, "actions has shape ()"),
    ({"id": IDS, "actions": IDS_4 + 0.5}, "sample 1: actions[0]"),
    ({"id": IDS, "actions": np.array([[0] * 4, [3] * 4])}, "sample 2: actions[0] is 3"),
    ({"id": IDS, "actions": (IDS_4 - 1).astype(np.uint64)}, "sample 1: actions[0] is 18"),
    ({"id": IDS, "actions": IDS_4.astype(str)}, "sample 1: actions[0] is '0'"),
    ({"id": IDS, "acts": IDS_4}, "unknown column 'acts'"),
    (PLAIN | {"actions.x": IDS_4}, "two columns for 'actions'"),
    (PLAIN | {"labels": np.array([1, -2])}, "sample 2: labels"),
    (PLAIN | {"labels": IDS_4[:1]}, "labels has shape (1, 4)"),
    ({"id": IDS, "extra_json": np.array(["", "{"])}, "sample 2: extra_json is not JSON"),
    (PLAIN | {"extra_json": np.array(["", '{"x": NaN}'])}, "sample 2: extra_json is not JSON"),
    (ragged(0, 5, 4), "actions_offsets does not rise"),
    (ragged(1, 4, 8), "actions_offsets does not begin at 0"),
    (ragged(0, 4, 9), "actions_offsets does not rise from 0 to 8"),
    (ragged(0, 4.0, 8), "actions_offsets has shape (3,) of type float64"),
]


def test_an_npz_that_would_run_code_is_not_unpickled(tmp_path: Path) -> None:
    """Objects in an array are refused without loading them."""

    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    trap = np.array([Trap(), Trap()], object)
    for arrays in ({"id": IDS, "scores": trap}, {"rs": trap}, {"header": trap}):
        path = tmp_path / "trap.npz"
        np.savez(path, allow_pickle=True, **arrays)
        assert "pickled objects" in raised(path, preset="arnet-resnet")
    assert not (tmp_path / "sprung").exists()


def test_labels_and_actions_of_any_integer_type_are_read(tmp_path: Path) -> None:
    """Unsigned 64-bit and big-endian integers, in one block with all counting."""
    for kind in ("u8", ">i4", "i1", ">u8"):
        path = npz(tmp_path, id=IDS, actions=IDS_4.astype(kind), labels=np.array([1, 2], kind))
        assert count_log(open_log([path])).frames.tolist() == [[4, 0, 0]] * 2


def arnet(tmp_path: Path, **changes: Any) -> Path:
    """Write AR-Net's file of three videos of four frames under the preset's seven actions."""
    arrays = {
        "rs": np.eye(7, dtype=np.float32)[np.zeros((3, 4), int)],
        "names": np.array(["a", "b", "c"]),
        "results": np.zeros((3, 5), np.float32),
        "targets": np.array([[1, -1, -1]] * 3),
        "indices": np.zeros((3, 4), int),
    }
    path = tmp_path / "meta-val-1.npy.npz"
    np.savez(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})
    return path


def rows(at: tuple[int, int], values: list[float]) -> Any:
    """Return one-hot rows with one row replaced."""
    array = np.eye(7, dtype=np.float32)[np.zeros((3, 4), int)]
    array[at] = values
    return array


ARNET_DEFECTS: list[tuple[dict[str, Any], str]] = [
    ({"rs": rows((1, 2), [0, 0, 0, 0, 0, 0, 0])}, "sample 2: rs[2] is [0, 0, 0, 0, 0, 0, 0], not"),
    ({"rs": rows((1, 2), [0.5, 0.5, 0, 0, 0, 0, 0])}, "sample 2: rs[2]"),
    ({"rs": rows((2, 3), [float("nan"), 1, 0, 0, 0, 0, 0])}, "sample 3: rs[3]"),
    ({"rs": np.zeros((3, 4, 5), np.float32)}, "rs has 5 actions, the preset has 7"),
    ({"rs": np.zeros((3, 4), np.float32)}, "rs has shape (3, 4)"),
    ({"rs": np.full((3, 4, 7), "x")}, "rs has shape (3, 4, 7) of type <U1"),
    ({"rs": np.zeros((3, 4, 7), complex)}, "rs has shape (3, 4, 7) of type complex128"),
    ({"rs": np.zeros((3, 4, 7), bool)}, "sample 1: rs[0]"),
    ({"names": np.array(["a", "b"])}, "names has shape (2,), but rs holds 3 videos"),
    ({"names": np.array(["a", "b", "a"])}, "sample 3: id: 'a' already appeared at"),
    ({"names": None}, "lacks the array 'names'"),
    ({"target": np.zeros(3, int)}, "unknown array 'target'"),
    ({"targets": np.zeros((3, 2))}, "targets has shape (3, 2) of type float64"),
    ({"targets": np.zeros((3, 2, 2), int)}, "targets has shape (3, 2, 2)"),
    ({"targets": np.array([[1], [-4], [2]])}, "sample 2: labels: is -4"),
]


def test_scores_that_are_no_numbers_are_a_defect(tmp_path: Path) -> None:
    """NaN among AR-Net's logits: found by the check, and by what uses or copies the scores."""
    results = np.zeros((3, 5), np.float32)
    results[1, 3] = np.nan
    path = arnet(tmp_path, results=results)
    defects, _, samples = check_log(open_log([path], preset="arnet-resnet"))
    assert samples == 3
    assert [str(d) for d in defects] == [
        f"{path}, sample 2: scores[3]: is nan, not a finite number"
    ]
    assert "sample 2: scores[3]: is nan" in raised(path, "arnet-resnet", ("scores",))
    target = tmp_path / "out.jsonl"
    with pytest.raises(DataError, match=r"sample 2: scores\[3\]: is nan"):
        convert(open_log([path], preset="arnet-resnet"), target)
    assert not target.exists()


def test_a_preset_that_does_not_fit_is_refused(tmp_path: Path, write: Write) -> None:
    """No preset, another one than the header's, one without a policy, one of early exits."""
    path = arnet(tmp_path)
    assert "has no header" in raised(path)
    assert "the preset has 1" in raised(path, preset="uniform")
    assert "the preset has 0" in raised(path, preset="frameexit")
    named = write(A, header={"preset": "uniform"})
    with pytest.raises(InputError, match="names the preset 'uniform', but --preset is 'scsampler'"):
        open_log([named], preset="scsampler")
    early = write({"id": "a", "actions": [[]]}, B, header={"preset": "frameexit"})
    assert "run.jsonl:2: actions: this log declares no actions" in raised(early)
    assert len(checked(early)) == 2


def parquet(tmp_path: Path, select: str, header: Any = HEADER, name: str = "run.parquet") -> Path:
    """Write a Parquet log from an SQL query."""
    path = tmp_path / name
    text = json.dumps(header).replace("'", "''")
    meta = "" if header is None else f", KV_METADATA {{'flopbench.policy-log': '{text}'}}"
    duckdb.sql(f"COPY ({select}) TO '{path}' (FORMAT parquet{meta})")
    return path


GOOD = "SELECT 'a' AS id, [0, 0, 0, 0]::UTINYINT[] AS actions"
PARQUET_DEFECTS = {
    "SELECT [0, 0, 0, 0] AS actions": "there is no column 'id'",
    f"{GOOD}, 1 AS lables": "unknown column 'lables'",
    f"{GOOD} UNION ALL SELECT NULL, [0, 0, 0, 0]": "row 2: id",
    f"{GOOD} UNION ALL SELECT 'b', NULL": "row 2: ",
    f"{GOOD} UNION ALL SELECT 'b', [0, NULL, 0, 0]": "row 2: actions[1]",
    f"{GOOD} UNION ALL SELECT 'b', [0, 9, 0, 0]": "row 2: actions[1] is 9",
    f"{GOOD} UNION ALL SELECT 'b', [0, 0, 0]": "row 2: actions: 3 steps where 4",
    f"{GOOD} UNION ALL SELECT 'a', [0, 0, 0, 0]": "row 2: id: 'a' already appeared at",
    "SELECT 7 AS id, [0, 0, 0, 0] AS actions": "row 1: id: expected 'str', got 'int'",
    "SELECT 'a' AS id, 3 AS actions": "row 1: actions",
    "SELECT 'a' AS id, ['run', 'runn', 'run', 'run'] AS actions": "row 1: actions[1] is 'runn'",
    "SELECT 'a' AS id, [0.5, 1, 1, 1]::DOUBLE[] AS actions": "row 1: actions[0]",
    f"{GOOD}, -1 AS exit": "row 1: exit: is -1",
    f"{GOOD}, 7::UTINYINT AS exit": "row 1: exit: is 7",
    f"{GOOD}, -5 AS steps": "row 1: steps: is -5",
    f"{GOOD}, 18446744073709551615::UBIGINT AS steps": "row 1: steps: is 18446744073709551615",
    f"{GOOD}, [-3] AS labels": "row 1: labels: is -3",
    f"{GOOD}, DATE '2020-01-01' AS prediction": "prediction",
    f'{GOOD}, INTERVAL 3 DAY AS "extra.x"': "extra",
    f"{GOOD}, '{{' AS counts_json": "row 1: counts_json is not JSON",
    f'{GOOD}, [0] AS "actions.rgb"': "two columns for 'actions'",
    f"{GOOD}, [0.5, NULL]::DOUBLE[] AS scores": "row 1: scores[1]",
    f"{GOOD}, ['a.jpg', NULL] AS frames": "row 1: frames[1]",
    f"{GOOD}, ['dog', NULL] AS labels": "row 1: labels[1]",
    f"{GOOD}, '{{' AS extra_json": "row 1: extra_json is not JSON",
    f"{GOOD}, '{{\"k\": [1]}}' AS extra_json": "row 1: extra[...]",
}


def test_parquet_without_a_header_needs_a_preset(tmp_path: Path) -> None:
    """A file without metadata does not describe its actions; a damaged header is named."""
    assert "has no header" in raised(parquet(tmp_path, GOOD, None))
    path = parquet(tmp_path, GOOD, None)
    assert count_log(open_log([path], preset="uniform")).records == 1
    for more in ("[18446744073709551615]::UBIGINT[] AS labels", "'inf'::DOUBLE AS \"extra.x\""):
        assert count_log(open_log([parquet(tmp_path, f"{GOOD}, {more}")])).records == 1
    path = parquet(tmp_path, GOOD, None)
    duckdb.sql(
        f"COPY ({GOOD}) TO '{path}' (FORMAT parquet, KV_METADATA {{'flopbench.policy-log': '{{'}})"
    )
    assert "metadata: the header is not JSON" in raised(path)


CARRIED = {
    "'crop' AS view": "view",
    "7 AS view": "view",
    "3::UTINYINT AS prediction": "prediction",
    "'é' AS prediction": "prediction",
    "[0.5, 1e-3]::FLOAT[] AS scores": "scores",
    "CASE WHEN id = 'a' THEN [1.5] ELSE [2.5, 3.5] END::DOUBLE[] AS scores": "scores",
    "CASE WHEN id = 'a' THEN [1.5] END::DOUBLE[] AS scores": "scores",
    """CASE WHEN id = 'a' THEN '{"x": 1, "é": null}' END AS extra_json""": "extra",
    "CASE WHEN id = 'a' THEN ['dog', 'é'] END AS labels": "labels",
    "[1, 2]::UBIGINT[] AS labels, 1.5::DOUBLE AS latency_ms, [1, 2] AS frames": "labels",
}


@pytest.mark.parametrize("column", CARRIED)
def test_the_fast_way_through_parquet_carries_what_the_exact_reader_does(
    tmp_path: Path, column: str
) -> None:
    """Two rows, and what their blocks have besides decisions."""
    rows = f"({GOOD} UNION ALL SELECT 'bé', [0, 1, 2, 2])"
    path, name = parquet(tmp_path, f"SELECT *, {column} FROM {rows}"), CARRIED[column]
    wanted = ("id", *({name} & {"scores", "prediction", "extra"}))
    fast, exact = (
        next(iter(open_log([path], options=Options(exact=way)).blocks(raise_first, wanted)))
        for way in (False, True)
    )
    assert fast.hashes is not None or name == "view"
    for field in ("ids", "views", "labels"):
        assert _plain(getattr(fast, field)) == _plain(getattr(exact, field))
    carried = [{k: _plain(v) for k, v in one.columns.items()} for one in (fast, exact)]
    assert carried[0] == carried[1]


def _plain(values: Any) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else list(values or ())


def test_an_id_is_found_again_in_a_shard_that_is_read_another_way(tmp_path: Path) -> None:
    """Labels as JSON text take the exact way; the other shard has no labels."""
    parquet(tmp_path, GOOD, name="run.rank0.parquet")
    for name, found in (("b", None), ("a", "id: 'a' already appeared at")):
        select = f"{GOOD}, '[\"x\", 1]' AS labels_json".replace("'a'", f"'{name}'")
        parquet(tmp_path, select, name="run.rank1.parquet")
        log = open_log([tmp_path / "run.rank*.parquet"])
        if found is None:
            assert count_log(log).records == 2
        else:
            with pytest.raises(DataError, match=found):
                count_log(log)


def test_a_parquet_file_with_brackets_in_its_name_is_itself(tmp_path: Path) -> None:
    """DuckDB would also read other files that the name matches as a pattern."""
    path = parquet(tmp_path, f"{GOOD} UNION ALL SELECT 'b', [0, 0, 0, 0]", name="run[1]?.parquet")
    parquet(tmp_path, GOOD, name="run1x.parquet")
    assert count_log(open_log([path])).records == 2


def test_views_are_named_for_all_or_for_none(write: Write) -> None:
    """A view that only some samples name is a defect of a sample without one."""
    path = write({**A, "view": 0}, {**A, "view": 1}, {**B, "view": 0}, B)
    assert "run.jsonl:5: view: some samples" in raised(path)
    path = write({**A, "view": 0}, {**A, "view": 1}, {**A, "view": 0})
    assert "run.jsonl:4: id: 'a', view 0 already appeared at" in raised(path)


def test_shards_belong_together(tmp_path: Path, write: Write) -> None:
    """A missing shard, mixed sets, different headers or formats."""
    write(A, name="run.rank0-of-3.jsonl")
    write(B, name="run.rank2-of-3.jsonl")
    with pytest.raises(DataError, match="is missing number 1"):
        open_log([tmp_path / "run.jsonl"])
    with pytest.raises(DataError, match="is missing number 1"):
        open_log([tmp_path / "run.rank*.jsonl"])
    other = write({"id": "c", "actions": [9, 0, 0, 0]}, name="run.rank1-of-3.jsonl")
    assert f"{other}:2: actions[0] is 9" in raised(tmp_path / "run.jsonl")
    write({"id": "c", "actions": [0] * 4}, name="run.rank1-of-3.jsonl", header=VARIES)
    with pytest.raises(DataError, match=r"rank1-of-3.*differs from that of .*rank0.* in steps"):
        open_log([tmp_path / "run.jsonl"])
    write(A, name="run.rank1-of-3.jsonl")
    assert "rank1-of-3.jsonl:2: id: 'a' already appeared" in raised(tmp_path / "run.jsonl")
    write(A, name="run.rank0-of-2.jsonl")
    with pytest.raises(DataError, match="sets of 2 and 3 files are mixed"):
        open_log([tmp_path / "run.rank*.jsonl"])
    (tmp_path / "s0.json").write_text(json.dumps({"header": HEADER, "samples": [A]}))
    write(B, name="s1.jsonl")
    with pytest.raises(DataError, match="different formats: json, jsonl"):
        open_log([tmp_path / "s0.json", tmp_path / "s1.jsonl"])


def test_json_as_a_whole_must_be_a_log(tmp_path: Path) -> None:
    """Samples that are not a list, missing samples, an unknown field, a truncated file."""
    head = json.dumps(HEADER)
    cases = {
        f'{{"header": {head}, "samples": {{}}}}': "samples: expected 'array'",
        f'{{"header": {head}, "samples": 3}}': "samples: expected 'array'",
        f'{{"header": {head}, "sample": []}}': "",
        f'{{"header": {head}, "samples": [], "more": 1}}': "unknown field 'more'",
        f'{{"header": 3, "samples": [{json.dumps(A)}]}}': "the header is a number",
        f'{{"header": {head},\n"samples": [{json.dumps(A)},\n{{"id": "b"': ":3:11 is not JSON",
        f'{{"header": {head},\n"samples": [NaN]}}': ":2 is not JSON: NaN",
        f'{{"header": {head}, "samples": []}}': "has a header but no samples",
        f'{{"samples": [{json.dumps(A)}]}}': "has no header",
    }
    for text, needle in cases.items():
        path = tmp_path / "run.json"
        path.write_text(text)
        assert needle in raised(path)


def test_a_log_without_samples_is_refused(write: Write, tmp_path: Path) -> None:
    """A header alone is nothing to count, in any format."""
    path = write()
    for form in ("json", "csv", "parquet", "npz"):
        target = tmp_path / f"empty.{form}"
        convert_file(path, target)
        assert "empty" in raised(target)
    assert "has a header but no samples" in raised(path)


def usage(tmp_path: Path, text: str, name: str = "usage.csv") -> Path:
    """Write a table of shares, or console output, of three actions."""
    (tmp_path / "usage.header.json").write_text(json.dumps(HEADER))
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


USAGE_DEFECTS = {
    "action,share\nrunn,1\n": ("usage.csv:2: action is 'runn'", "'run'"),
    "action,share\nrun,x\n": ("usage.csv:2: share: is 'x'",),
    "action,share\nrun,-0.1\n": ("usage.csv:2: share: is '-0.1'",),
    "action,share\nrun,NaN\n": ("usage.csv:2: share: is 'NaN'",),
    "action,share\nrun,1e999999999\n": ("usage.csv:2: share: is '1e999999999'",),
    "action,share\nrun,1e-999999999\n": ("usage.csv:2: share: is '1e-999999999'",),
    "action,share\nrun,0.5\nrun,0.5\n": ("usage.csv:3: action: 'run' appears twice",),
    "action,share\nrun,0.5,1\n": ("usage.csv:2: 3 fields where 2",),
    "action,share\nrun,40\nsmall,60\n": ("sum to 100, not to 1", "% sign"),
    "action,share\nrun,0.2\n": ("sum to 0.2, not to 1", "missing"),
    "action,share\n": ("usage.csv has no shares",),
    'action,share\n"run,1\n': ("usage.csv:2 is not CSV",),
    "action,share,share\nrun,1,1\n": ("usage.csv:1", "'share'"),
}


def test_shares_in_percent_and_as_fractions_mean_the_same(tmp_path: Path) -> None:
    """``31 %`` is 0.31; a byte order mark changes nothing; validate says what the file is."""
    plain = run_of_log([usage(tmp_path, "action,share\nrun,0.31\nsmall,0.69\n")])
    percent = run_of_log([usage(tmp_path, "\ufeffaction,share\nrun,31%\nsmall,69 %\n")])
    assert percent.primary == plain.primary
    with pytest.raises(InputError, match=r"holds shares of actions \(usage\), not samples"):
        open_log([tmp_path / "usage.csv"])


def test_shares_that_nearly_sum_to_one_are_a_warning(tmp_path: Path) -> None:
    """A sum of 1.005 is used as it is, and normalised only on request."""
    path = usage(tmp_path, "action,share\nrun,0.505\nsmall,0.5\n")
    taken = run_of_log([path])
    normalized = run_of_log([path], Choices(normalize=True))
    assert any(
        "sum to 1.005, not to 1" in text and "as they are" in text
        for text in map(str, taken.warnings)
    )
    warnings = map(str, normalized.warnings)
    assert any("sum to 1.005" in text and "normalised" in text for text in warnings)
    assert taken.primary.macs_per_video / normalized.primary.macs_per_video == Fraction(1005, 1000)


CONSOLE_DEFECTS = {
    "r0(resnet51 224)  :  12 (50.00%)\n": "console.txt:1: (resnet51 224) is 'resnet51@224'",
    "r0(resnet50 224) : 12 (50%)\ns1 (skip 3 frames) : 12 (50%)\n": "console.txt:2: no action",
    "r0(resnet50 224)  :  0 (0.00%)\n": "console.txt:1: the usage block counts no rows",
    "r0(resnet(50) 224)  :  12 (50.00%)\n": "no readable usage block",
    "r0(resnet50 224)  :  12 (50.00%) more\n": "no readable usage block",
    f"r0(resnet50 224)  :  {'9' * 5000} (50.00%)\n": "no readable usage block",
    f"s1 (skip {'9' * 5000} frames) : 12 (50.00%)\n": "console.txt:1: no action",
}


COUNTS_DEFECTS = {
    "video,action\na,run\n": ("usage.csv:1: the column 'n' is missing",),
    "video,action,n,x\na,run,1,2\n": ("usage.csv:1: unknown column 'x'",),
    "video,action,n,n\na,run,1,2\n": ("usage.csv:1: the column 'n' appears twice",),
    "video,action,n\na,runn,1\n": ("usage.csv:2: action is 'runn'", "'run'"),
    "video,action,n\na,3,1\n": ("usage.csv:2: action: is 3", "ids 0 to 2"),
    "video,action,n\na,run,-1\n": ("usage.csv:2: n: is '-1'",),
    "video,action,n\na,run,NaN\n": ("usage.csv:2: n: is 'NaN'",),
    "video,action,n\na,run,1.5\n": ("usage.csv:2: n: is '1.5'",),
    f"video,action,n\na,run,{'9' * 5000}\n": ("usage.csv:2: n: is '999",),
    f"video,action,n\na,{'9' * 5000},1\n": ("usage.csv:2: action is '999",),
    "video,action,n,decisions\na,run,1,\n": ("usage.csv:2: decisions: is ''",),
    "video,label,action,n\na,1,run,1\na,2,run,1\n": ("usage.csv:3: label",),
    "video,action,n\na,run\n": ("usage.csv:2: 2 fields where 3",),
    'video,action,n\n"a,run,1\n': ("usage.csv:2 is not CSV",),
    "video,action,n\n": ("usage.csv has no counts",),
    "": ("usage.csv is empty",),
}


def refused_shares(path: Path, preset: str | None = None) -> str:
    """Return the message that reading shares of actions fails with."""
    with pytest.raises(DataError) as caught:
        run_of_log([path], Choices(preset=preset))
    return str(caught.value)


def refused_counts(path: Path) -> str:
    """Return the message that reading ready-made counts fails with."""
    with pytest.raises(DataError) as caught:
        read_counts(path, preset=None)
    return str(caught.value)


DEFECTS: dict[str, tuple[Iterable[Any], Callable[[Path, Any], str]]] = {
    "header": (HEADER_DEFECTS, lambda d, change: raised(log(d, A, B, header={**HEADER, **change}))),
    "CSV": (CSV_DEFECTS.items(), lambda d, text: raised(csv_log(d, text))),
    "NPZ": (NPZ_DEFECTS, lambda d, arrays: raised(npz(d, **arrays))),
    "AR-Net": (ARNET_DEFECTS, lambda d, arrays: raised(arnet(d, **arrays), "arnet-resnet")),
    "Parquet": (PARQUET_DEFECTS.items(), lambda d, select: raised(parquet(d, select))),
    "shares": (USAGE_DEFECTS.items(), lambda d, text: refused_shares(usage(d, text))),
    "console": (
        CONSOLE_DEFECTS.items(),
        lambda d, text: refused_shares(usage(d, text, "console.txt"), "arnet-resnet"),
    ),
    "counts": (COUNTS_DEFECTS.items(), lambda d, text: refused_counts(usage(d, text))),
}


@pytest.mark.parametrize("form", DEFECTS)
def test_a_defect_is_named_with_its_place_and_field(tmp_path: Path, form: str) -> None:
    """Line, row or sample, field, and what was expected; by the fast way as by the exact one."""
    cases, message = DEFECTS[form]
    each(cases, lambda case, needles: assert_named(message(tmp_path, case), needles))


def test_counts_that_are_damaged_are_refused(tmp_path: Path) -> None:
    """Counts cut off in a compressed file, and bytes that are not text, are errors."""
    path = usage(tmp_path, "")
    text = b"\xef\xbb\xbfvideo,action,n\n" + b"".join(b"v%d,run,4\n" % i for i in range(9000))
    path.write_bytes(gzip.compress(text))
    assert read_counts(path, preset=None).records == 9000
    path.write_bytes(gzip.compress(text)[:-300])
    with pytest.raises(DataError, match="is damaged"):
        read_counts(path, preset=None)
    path.write_bytes(gzip.compress(text)[:3])
    with pytest.raises(DataError, match="is damaged"):
        read_counts(path, preset=None)
    path.write_bytes(text.replace(b"v4000", b"v\xff000"))
    with pytest.raises(DataError, match=":4002 is not UTF-8"):
        read_counts(path, preset=None)


def test_run_lengths_no_skip_could_make_are_a_warning(write: Write) -> None:
    """A run of three rows of "skip 2" before the end of a sample: charged, with a warning."""
    log = open_log([write({"id": "a", "actions": [2, 2, 2, 0]}, B)])
    counts = count_log(log)
    assert counts.decisions.tolist()[0] == [1, 0, 2]
    (text,) = map(str, counts.warnings)
    assert "run.jsonl:2: actions[0]" in text
    assert "impossible for that span" in text


def test_checking_lists_every_defect_at_its_place(write: Write) -> None:
    """One check finds all defects of a file, in their order."""
    path = write(
        A,
        {"id": "b", "actions": [0, 0, 0, 9]},
        "{",
        {"id": "c", "actions": [0, 0, 0]},
        {"id": "d", "actions": [0, 0, 0, 0], "latency_ms": -1},
        {"id": "e", "actions": [0, "runn", 0, 0]},
        {"id": "a", "actions": [0, 0, 0, 0]},
    )
    found = [message.partition("run.jsonl")[2].split("\n")[0] for message in checked(path)]
    starts = [":3: actions[3] is 9", ":4 is", ":5: actions: 3 steps", ":6: latency_ms: is -1.0"]
    starts += [":7: actions[1] is 'runn'", ":8: id: 'a' already appeared"]
    assert len(found) == len(starts)
    assert all(message.startswith(start) for message, start in zip(found, starts, strict=True))


def test_a_check_of_csv_lists_what_stands_before_broken_csv(tmp_path: Path) -> None:
    """A quote that does not end hides nothing before it."""
    text = "id,action\na,9\na,0\na,0\na,0\nb,0\nb,0\nb,0\nb,0\n" + '"c,0\n'
    found = checked(csv_log(tmp_path, text))
    assert [message.partition("run.csv")[2][:2] for message in found] == [":2", ":1"]
    assert "run.csv:10 is not CSV" in found[1]


def test_repeated_samples_can_be_left_out_in_every_form(write: Write, tmp_path: Path) -> None:
    """Keeping the first of each id also works for formats that are written in two passes."""
    path = write(A, B, A, {"id": "c", "actions": [0] * 4}, B)
    for form in ("json", "csv", "parquet", "npz"):
        target = tmp_path / f"out.{form}"
        log = without_duplicates(open_log([path]))
        assert convert(log, target) == 3
        (text,) = map(str, log.warnings())
        assert text == f"{path}: 2 repeated samples were left out"
        assert count_log(open_log([target]), keep_ids=True).ids == ["a", "b", "c"]


def test_a_last_line_that_is_cut_off_can_be_left_out(write: Write, tmp_path: Path) -> None:
    """As a killed run leaves it: left out on request, with one warning."""
    path = write(A, B)
    path.write_bytes(path.read_bytes() + b'{"id": "c", "act')
    assert "run.jsonl:4 is cut off" in raised(path)
    log = open_log([path], options=Options(allow_truncated=True))
    assert convert(log, tmp_path / "out.npz") == 2
    (text,) = map(str, log.warnings())
    assert text == f"{path}:4 is cut off and was left out"


# --- through the command line --------------------------------------------------------------------

CLI_CASES: dict[str, tuple[str, ...]] = {
    '{"id": "b", "actions": [0, 1': ("run.jsonl:3 is cut off", "--allow-truncated"),
    "not JSON": ("run.jsonl:3 is not JSON",),
    '{"id": "b", "actions": [0, "runn", 1, 1]}': ("run.jsonl:3: actions[1]", "did you mean 'run'"),
    '{"id": "a", "actions": [0, 1, 1, 1]}': ("run.jsonl:3: id: 'a' already appeared",),
    '{"id": "b", "actions": DEEP': ("run.jsonl:3",),
    '{"id": "\udcff", "actions": [0, 1, 1, 1]}': ("run.jsonl:3 is not UTF-8",),
}


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        (verb, text)
        for verb in ("estimate", "validate", "convert")
        for text, needles in CLI_CASES.items()
        # convert checks single samples only.
        if verb != "convert" or "already appeared" not in needles[0]
    ],
    ids=lambda value: value[:40],
)
def test_the_command_line_refuses_a_defect(
    run_cli: RunCli, write: Write, tmp_path: Path, verb: str, text: str
) -> None:
    """One error line, exit 2, no traceback, and the file of -o stays as it was."""
    path = write(A, spelled(text))
    target = tmp_path / "old.json"
    target.write_text("precious")
    commands = {
        "estimate": ("estimate", "--policy-log", str(path), "-o", str(target)),
        "validate": ("log", "validate", str(path)),
        "convert": ("log", "convert", str(path), "-o", str(target)),
    }
    assert_refused(run_cli(*commands[verb]), *CLI_CASES[text])
    assert target.read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"run.jsonl", "old.json"}


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "csv", "parquet", "npz"])
def test_a_defect_in_the_last_line_leaves_the_target_untouched(
    write: Write, tmp_path: Path, form: str
) -> None:
    """Everything is written whole or not at all, including the header file of a CSV."""
    many = [{"id": f"v{i}", "actions": [0, 0, 0, 0]} for i in range(3000)]
    path = write(*many, {"id": "z", "actions": [0, 0, 0, 9]}, name="source.jsonl")
    target = tmp_path / f"target.{form}"
    target.write_text("precious")
    with pytest.raises(DataError, match=r"source\.jsonl:3002: actions\[3\] is 9"):
        convert_file(path, target)
    assert target.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.jsonl", target.name]


def test_validate_prints_the_count_or_every_defect(run_cli: RunCli, write: Write) -> None:
    """Exit 0 and the number of samples, or exit 2 and a line for every defect."""
    path = write(A, B)
    result = run_cli("log", "validate", str(path))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{path}: 2 samples, jsonl, no defects\n"
    path = write(A, *({"id": f"v{i}", "actions": [9, 0, 0, 0]} for i in range(25)))
    result = run_cli("log", "validate", str(path))
    assert (result.returncode, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 21
    for number, line in enumerate(lines[:20], 3):
        assert (
            line
            == f"flopbench: error: {path}:{number}: actions[0] is 9, but this log has ids 0 to 2"
        )
    assert lines[20] == "flopbench: and 5 more defects"


def test_head_shows_the_header_and_n_samples(run_cli: RunCli, write: Write) -> None:
    """The header as JSON, then the first samples as JSON lines; nothing before a defect."""
    path = write(A, B, {"id": "c", "actions": [0] * 4})
    result = run_cli("log", "head", "-n", "2", str(path))
    assert (result.returncode, result.stderr) == (0, "")
    *head, one, two = result.stdout.splitlines()
    assert json.loads("".join(head))["steps"] == 4
    assert [json.loads(one), json.loads(two)] == [A, B]
    path = write(A, "{")
    assert_refused(run_cli("log", "head", str(path)), "run.jsonl:3")


@pytest.mark.parametrize(
    ("target", "needle"),
    [
        ("out.txt", "which format to write"),
        ("out", "which format to write"),
        ("out.gz", "which format to write"),
        ("out.parquet.gz", "already compressed"),
        ("none/out.csv", "there is no directory"),
        ("folder.csv", "it is a directory"),
    ],
)
def test_convert_refuses_a_target_that_cannot_be(
    run_cli: RunCli, write: Write, tmp_path: Path, target: str, needle: str
) -> None:
    """An unknown suffix, a format compressed twice, a missing folder, a folder."""
    (tmp_path / "folder.csv").mkdir()
    path = write(A, B)
    assert_refused(run_cli("log", "convert", str(path), "-o", target), needle)


def test_the_command_line_refuses_unreadable_files(run_cli: RunCli, tmp_path: Path) -> None:
    """A directory, nothing there, an empty file, objects in an NPZ, a table of shares."""
    (tmp_path / "empty.jsonl").touch()
    trap = tmp_path / "trap.npz"
    np.savez(trap, allow_pickle=True, id=np.array(["a", None]), actions=IDS_4)
    shares = usage(tmp_path, "action,share\nrun,1\n")
    for path, needle in (
        (tmp_path, "it is a directory"),
        (tmp_path / "none.jsonl", "no policy log matches"),
        (tmp_path / "empty.jsonl", "is empty"),
        (trap, "has no header"),
    ):
        assert_refused(run_cli("estimate", "--policy-log", str(path)), needle)
    assert_refused(
        run_cli("log", "validate", str(trap), "--preset", "arnet-resnet"), "pickled objects"
    )
    assert_refused(run_cli("log", "validate", str(shares)), "holds shares of actions")


def test_a_sum_that_is_off_is_a_warning_on_stderr(run_cli: RunCli, tmp_path: Path) -> None:
    """Exit 0, the estimate on stdout, the warning on stderr; --normalize says what it did."""
    path = usage(tmp_path, "action,share\nrun,0.505\nsmall,0.5\n")
    for flags, needle in (((), "taken as they are"), (("--normalize",), "normalised")):
        result = run_cli("estimate", "--policy-log", str(path), *flags)
        assert result.returncode == 0
        assert f"warning: {path}: the shares sum to 1.005, not to 1" in result.stderr
        assert needle in result.stderr
        assert "warning" not in result.stdout
