"""Defects planted in logs: each is reported at its line or record, whatever else there is."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
msgspec = pytest.importorskip("msgspec")
duckdb = pytest.importorskip("duckdb")
pytest.importorskip("nanoarrow")
pytest.importorskip("zstandard")

from flopbench.core.errors import DataError  # noqa: E402
from flopbench.policy.forms import csv_form  # noqa: E402
from flopbench.policy.log import check_log, count_log, open_log  # noqa: E402

HEADER = {
    "format": "flopbench.policy-log",
    "version": 1,
    "steps": 6,
    "actions": [
        {"name": "run", "costs": {"net": 1}},
        {"name": "small", "costs": {"net": 0.25}},
        {"name": "skip 2", "kind": "skip", "span": 2},
    ],
    "exits": [{"name": "first", "costs": {"net": 1}}],
    "components": {"net": 'value:1000000000 "round"'},
}


def sample_log(rng: random.Random, count: int, *, plain: bool = False) -> list[dict[str, Any]]:
    """Return clean samples of six steps, ``plain`` ones of ids, labels and decisions alone."""
    samples = []
    for i in range(count):
        actions = [rng.choice([0, 1]) for _ in range(4)] + [2, 2]
        sample: dict[str, Any] = {"id": f"v{i}", "labels": [i % 5], "actions": actions}
        if not plain:
            sample["scores"] = [round(rng.random(), 3), 0.5]
            sample["counts"] = {"net": 2}
            sample["latency_ms"] = 1.5
            sample["frames"] = [f"f,{n}.jpg" for n in range(6)]
            sample["extra"] = {"é": "x"}
        samples.append(sample)
    return samples


def write_jsonl(path: Path, samples: list[dict[str, Any]]) -> Path:
    """Write a log as JSONL."""
    lines = [HEADER, *samples]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return path


COUNT = 300
Defect = tuple[str, Callable[[dict[str, Any], random.Random], str]]
"""A name, and a function that spoils a sample and returns the field that a message must name."""


def spoil(field: str, value: Any, said: str = "") -> Callable[[dict[str, Any], random.Random], str]:
    """Return a function that sets a field."""

    def change(sample: dict[str, Any], rng: random.Random) -> str:
        sample[field] = value
        return said or field

    return change


def spoil_action(value: Any) -> Callable[[dict[str, Any], random.Random], str]:
    """Return a function that sets one of the first four decisions."""

    def change(sample: dict[str, Any], rng: random.Random) -> str:
        at = rng.randrange(4)
        sample["actions"] = [*sample["actions"][:at], value, *sample["actions"][at + 1 :]]
        return f"actions[{at}]"

    return change


def drop(field: str, said: str) -> Callable[[dict[str, Any], random.Random], str]:
    """Return a function that removes a field."""

    def change(sample: dict[str, Any], rng: random.Random) -> str:
        del sample[field]
        return said

    return change


def shorten(sample: dict[str, Any], rng: random.Random) -> str:
    """Leave a decision out."""
    sample["actions"] = sample["actions"][1:]
    return "actions: 5 steps where 6"


def repeat_id(sample: dict[str, Any], rng: random.Random) -> str:
    """Give the sample the name of a much earlier one."""
    sample["id"] = f"v{rng.randrange(int(sample['id'][1:]) - 1)}"
    return "already appeared"


DEFECTS: list[Defect] = [
    ("unknown action", spoil_action("runn")),
    ("id out of range", spoil_action(3)),
    ("negative id", spoil_action(-1)),
    ("huge id", spoil_action(10**30)),
    ("not one-hot", spoil_action([1, 1, 0])),
    ("not an action", spoil_action(0.5)),
    ("no action", spoil_action(None)),
    ("short", shorten),
    ("repeated id", repeat_id),
    ("number as id", spoil("id", 5)),
    ("negative count", spoil("counts", {"net": -1})),
    ("unknown component", spoil("counts", {"nett": 1})),
    ("unknown exit", spoil("exit", "frist")),
    ("exit out of range", spoil("exit", 1)),
    ("wrong steps", spoil("steps", 7)),
    ("negative label", spoil("labels", [-2])),
    ("spans", spoil("spans", [1] * 6)),
    ("unknown field", spoil("lables", [1])),
    ("nothing to count", drop("actions", "nothing to count")),
    ("no id", drop("id", "id")),
]


def assert_reported(path: Path, place: str, field: str) -> None:
    """Require that counting and checking both name the place and the field."""
    with pytest.raises(DataError) as caught:
        count_log(open_log([path]))
    defects, _, _ = check_log(open_log([path]))
    for message in (str(caught.value), str(defects[0])):
        assert message.startswith(f"{path}{place}"), message
        assert field in message.removeprefix(f"{path}{place}"), message
    assert all(str(defect).startswith(f"{path}{place}") for defect in defects)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect[0])
@pytest.mark.parametrize("full", [False, True])
def test_a_defect_planted_in_json_is_reported_where_it_is(
    tmp_path: Path, defect: Defect, full: bool
) -> None:
    """JSONL: the line. JSON: the line and the number. Alone in a log of 300 clean samples."""
    name, change = defect
    for seed in range(4):
        rng = random.Random(f"{name} {seed}")
        samples = sample_log(rng, COUNT, plain=not full)
        at = rng.randrange(2, COUNT)
        field = change(samples[at], rng)
        if name in {"short", "nothing to count"} and full:
            samples[at].pop("frames")
            samples[at].pop("counts")
        path = write_jsonl(tmp_path / "run.jsonl", samples)
        assert_reported(path, f":{at + 2}:", field)
        document = tmp_path / "run.json"
        head, *lines = path.read_text("utf-8").splitlines()
        document.write_text(
            f'{{"header": {head},\n"samples": [\n' + ",\n".join(lines) + "]}", "utf-8"
        )
        assert_reported(document, f":{at + 3}, sample {at + 1}:", field)


BROKEN_LINES = [
    "{",
    "x",
    "",
    "[]",
    '{"id": "x", "actions": [0',
    '{"id": NaN}',
    '"\\ud800"',
    "\udcff",
]


@pytest.mark.parametrize("text", [line for line in BROKEN_LINES if line])
def test_a_broken_line_is_reported_where_it_is(tmp_path: Path, text: str) -> None:
    """A line that is not a sample, anywhere among 300 that are."""
    for seed in range(4):
        rng = random.Random(f"{text!a} {seed}")
        lines = write_jsonl(tmp_path / "run.jsonl", sample_log(rng, COUNT)).read_text("utf-8")
        at = rng.randrange(1, COUNT)
        changed = lines.split("\n")
        changed[at] = text
        (tmp_path / "run.jsonl").write_bytes("\n".join(changed).encode("utf-8", "surrogateescape"))
        assert_reported(tmp_path / "run.jsonl", f":{at + 1}", "")


CSV_DEFECTS: dict[str, tuple[list[str] | None, bool, str]] = {
    "unknown action": (["{id}", "{step}", "runn", ""], False, "actions[{step}] is 'runn'"),
    "id out of range": (["{id}", "{step}", "3", ""], False, "actions[{step}] is 3"),
    "empty action": (["{id}", "{step}", "", ""], True, "action: is empty"),
    "gap": (["{id}", "7", "0", ""], True, "step: is 7 where {step}"),
    "no step": (["{id}", "x", "0", ""], True, "step: is 'x'"),
    "other label": (["{id}", "{step}", "0", "9"], True, "labels: differs"),
    "open quote": (['"{id}', "{step}", "0", ""], True, "is not CSV"),
    "text after a quote": (['"{id}"x', "{step}", "0", ""], True, "is not CSV"),
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", CSV_DEFECTS)
def test_a_defect_planted_in_csv_is_reported_where_it_is(
    tmp_path: Path, name: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CSV: the line itself, or the sample's first one where samples are checked as a whole."""
    monkeypatch.setattr(csv_form, "LARGE_BYTES", 1 if large else 1 << 25)
    row, own_line, said = CSV_DEFECTS[name]
    (tmp_path / "run.header.json").write_text(json.dumps(HEADER))
    path = tmp_path / "run.csv"
    for seed in range(4):
        rng = random.Random(f"{name} {seed}")
        lines = ["id,step,action,labels"]
        for sample in sample_log(rng, COUNT, plain=True):
            for step, action in enumerate(sample["actions"]):
                label = str(sample["labels"][0]) if step == 0 else ""
                lines.append(f"{sample['id']},{step},{action},{label}")
        at, step = rng.randrange(COUNT), rng.randrange(1, 4)
        line = 1 + 6 * at + step
        assert row is not None
        lines[line] = ",".join(row).format(id=f"v{at}", step=step)
        path.write_text("\n".join(lines) + "\n")
        found = line + 1 if own_line else 2 + 6 * at
        assert_reported(path, f":{found}", said.format(step=step))


@pytest.mark.parametrize("large", [False, True])
def test_lines_of_a_sample_that_went_astray_are_reported(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample whose name is repeated is reported at its first line."""
    monkeypatch.setattr(csv_form, "LARGE_BYTES", 1 if large else 1 << 25)
    (tmp_path / "run.header.json").write_text(json.dumps(HEADER))
    path = tmp_path / "run.csv"
    for seed in range(8):
        rng = random.Random(seed)
        at = rng.randrange(2, COUNT)
        names = [f"v{i}" for i in range(COUNT)]
        names[at] = names[rng.randrange(at - 1)]
        path.write_text("id,action\n" + "".join(f"{name},0\n" * 6 for name in names))
        assert_reported(path, f":{2 + 6 * at}: id: '{names[at]}'", "already appeared")


PARQUET_TYPES = {
    "id": "VARCHAR",
    "labels": "BIGINT[]",
    "actions": "BIGINT[]",
    "exit": "INTEGER",
    "steps": "BIGINT",
    "counts_json": "VARCHAR",
}
PARQUET_DEFECTS = [
    *(d for d in DEFECTS if d[0] in {"id out of range", "negative id", "no action", "short"}),
    *(d for d in DEFECTS if d[0] in {"repeated id", "exit out of range", "wrong steps", "no id"}),
    *(d for d in DEFECTS if d[0] in {"negative label", "unknown action"}),
    ("negative exit", spoil("exit", -1)),
    ("negative steps", spoil("steps", -4)),
    ("negative count", spoil("counts_json", '{"net": -1}', "counts.net: is -1")),
    ("broken count", spoil("counts_json", '{"net": 1')),
    ("nothing to count", drop("actions", "nothing to count")),
]


@pytest.mark.parametrize("defect", PARQUET_DEFECTS, ids=lambda defect: defect[0])
def test_a_defect_planted_in_parquet_is_reported_where_it_is(
    tmp_path: Path, defect: Defect
) -> None:
    """Parquet: the row, by the fast way as by the exact one."""
    name, change = defect
    for seed in range(4):
        rng = random.Random(f"{name} {seed}")
        samples = sample_log(rng, COUNT, plain=True)
        at = rng.randrange(2, COUNT)
        field = change(samples[at], rng)
        if name == "unknown action":
            for sample in samples:
                names = ("run", "small", "skip 2")
                sample["actions"] = [names[a] if a in {0, 1, 2} else a for a in sample["actions"]]
        lines = tmp_path / "rows.jsonl"
        lines.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
        used = {key for sample in samples for key in sample}
        text = "VARCHAR[]" if name == "unknown action" else "BIGINT[]"
        types = {k: text if k == "actions" else v for k, v in PARQUET_TYPES.items() if k in used}
        path = tmp_path / "run.parquet"
        duckdb.sql(
            f"COPY (FROM read_json('{lines}', columns = {types!r}, format = 'newline_delimited')) "
            f"TO '{path}' (FORMAT parquet, KV_METADATA "
            f"{{'flopbench.policy-log': '{json.dumps(HEADER).replace(chr(39), chr(39) * 2)}'}})"
        )
        assert_reported(path, f", row {at + 1}", field)


def npz_defects() -> dict[str, Callable[[dict[str, Any], int], str]]:
    """Return what can be wrong in arrays: a function that spoils a sample's part of them."""

    def put(name: str, at: tuple[int, ...], value: Any) -> Callable[[dict[str, Any], int], str]:
        def change(arrays: dict[str, Any], i: int) -> str:
            arrays[name][(i, *at)] = value
            return name if not at or name == "labels" else f"{name}[{at[0]}]"

        return change

    def one_hot(value: list[float]) -> Callable[[dict[str, Any], int], str]:
        def change(arrays: dict[str, Any], i: int) -> str:
            arrays["actions"] = np.eye(3)[arrays["actions"]]
            arrays["actions"][i, 2] = value
            return "actions[2]"

        return change

    def ragged(arrays: dict[str, Any], i: int) -> str:
        lengths = np.full(COUNT, 6)
        lengths[i] = 5
        arrays["actions"] = np.delete(arrays["actions"].reshape(-1), 6 * i)
        arrays["actions_offsets"] = np.append(0, np.cumsum(lengths))
        return "actions: 5 steps where 6"

    def repeated(arrays: dict[str, Any], i: int) -> str:
        arrays["id"][i] = arrays["id"][i // 2]
        return "already appeared"

    def column(name: str, plain: Any, value: Any) -> Callable[[dict[str, Any], int], str]:
        def change(arrays: dict[str, Any], i: int) -> str:
            values = [plain] * COUNT
            values[i] = value
            arrays[name] = np.array(values)
            return name.removesuffix("_json")

        return change

    return {
        "id out of range": put("actions", (2,), 3),
        "negative id": put("actions", (2,), -1),
        "negative label": put("labels", (), -2),
        "two ones": one_hot([1, 1, 0]),
        "no one": one_hot([0, 0, 0]),
        "not a number": one_hot([1, float("nan"), 0]),
        "short": ragged,
        "repeated id": repeated,
        "wrong steps": column("steps", 6, 7),
        "exit out of range": column("exit", 0, 1),
        "negative count": column("counts_json", '{"net": 1}', '{"net": -1}'),
        "NaN as count": column("counts_json", '{"net": 1}', '{"net": NaN}'),
        "unknown component": column("counts_json", "", '{"nett": 1}'),
    }


@pytest.mark.parametrize("name", npz_defects())
def test_a_defect_planted_in_npz_is_reported_where_it_is(tmp_path: Path, name: str) -> None:
    """NPZ: the number of the sample, by the fast way as by the exact one."""
    for seed in range(4):
        rng = random.Random(f"{name} {seed}")
        samples = sample_log(rng, COUNT, plain=True)
        arrays = {key: np.array([sample[key] for sample in samples]) for key in samples[0]}
        arrays["labels"] = arrays["labels"][:, 0]
        at = rng.randrange(2, COUNT)
        field = npz_defects()[name](arrays, at)
        path = tmp_path / "run.npz"
        np.savez(path, header=np.array(json.dumps(HEADER)), **arrays)
        assert_reported(path, f", sample {at + 1}", field)


def test_several_planted_defects_are_all_listed(tmp_path: Path) -> None:
    """A check names every defect of a file, each with its line and in order."""
    kinds = [d for d in DEFECTS if d[0] not in {"wrong steps", "repeated id"}]
    for seed in range(10):
        rng = random.Random(seed)
        samples = sample_log(rng, COUNT, plain=True)
        planted = sorted(rng.sample(range(2, COUNT), 12))
        chosen = rng.sample(kinds, len(planted))
        wanted = [
            (at + 2, change(samples[at], rng))
            for at, (_, change) in zip(planted, chosen, strict=True)
        ]
        path = write_jsonl(tmp_path / "run.jsonl", samples)
        defects = [str(defect) for defect in check_log(open_log([path]))[0]]
        found = sorted((int(d.removeprefix(f"{path}:").split(":")[0]), d) for d in defects)
        assert [line for line, _ in found] == [line for line, _ in wanted]
        assert all(field in text for (_, text), (_, field) in zip(found, wanted, strict=True))
