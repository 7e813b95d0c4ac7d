"""The baseline file: canonical, merged by git, read back exactly, and refused when it is not so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from repositories import GIT

from flopbench.check.baseline.content import digest_of
from flopbench.check.baseline.file import (
    load_baseline,
    parse_baseline,
    render_baseline,
    verify_baseline,
)
from flopbench.check.baseline.text import natural
from flopbench.check.records import (
    Acceptance,
    Baseline,
    Kept,
    LogCost,
    ModelCost,
    ModuleCost,
    PricedComponent,
)
from flopbench.core.errors import DataError, InputError
from flopbench.estimate.charges import ChargeItem

FILE = ".flopbench/baseline.json"


def conv(path: str, macs: int, params: int, activations: int, **shape: Any) -> ModuleCost:
    """Return a convolution."""
    return ModuleCost(
        path=path,
        type="Conv2d",
        dense_macs=macs,
        params=params,
        activations=activations,
        calls=1,
        ops=("aten.convolution",),
        shape=shape,
    )


def model(scale: int = 1, *, blocks: int = 12) -> ModelCost:
    """Return a model of a few convolutions; ``scale`` moves all its MACs."""
    size: dict[str, Any] = {"dense_macs": 0, "params": 128, "activations": 0, "calls": 0}
    modules = [
        ModuleCost(path="bn1", type="BatchNorm2d", **size, shape={"weight": [64], "bias": [64]}),
        conv(
            *("conv1", 118_013_952 * scale, 9_408, 802_816),
            weight=[64, 3, 7, 7],
            stride=[2, 2],
            padding=[3, 3],
        ),
    ]
    for n in range(blocks):
        place = (f"features.{n}", 115_605_504 * scale, 36_864, 200_704)
        modules.append(conv(*place, weight=[64, 64, 3, 3], padding=[1, 1]))
    macs = sum(module.dense_macs for module in modules)
    return ModelCost(
        spec="my_pkg.nets:build@224",
        input="224",
        counter="torch",
        counter_version="2.8.0",
        convention="1 unit = 1 FLOP",
        dense_macs=macs,
        total=2 * macs,
        params=sum(module.params for module in modules),
        activations=sum(module.activations for module in modules),
        modules=tuple(modules),
        versions={"torch": "2.8.0", "python": "3.11.7"},
        gaps=("aten.softmax",),
    )


def log() -> LogCost:
    """Return a policy log's cost whose amounts are thirds."""
    times, runs, price = Fraction(40, 3), Fraction(1, 7), 4_089_184_256
    return LogCost(
        policy_log="logs/run.jsonl",
        counter="torch",
        counter_version="2.8.0",
        rule="exact",
        macs_per_video=times * (runs * price + 54_000_000),
        videos=3,
        components={
            "resnet50@224": PricedComponent(spec="resnet50@224,classes=200", total_macs=price),
            "policy": PricedComponent(spec="mobilenet_v2@84", total_macs=54_000_000),
        },
        events=(
            ChargeItem(
                name="224", times=times, costs={"resnet50@224": runs, "policy": Fraction(1)}
            ),
            ChargeItem(name="skip 4", times=Fraction(1, 4), costs={}),
        ),
        versions={"torch": "2.8.0"},
    )


def kept(cost: ModelCost | LogCost, reason: str = "first baseline") -> Kept:
    macs = cost.macs_per_video if isinstance(cost, LogCost) else cost.dense_macs
    return Kept(
        cost=cost,
        accepted=(Acceptance(old={}, new={"dense_macs": Fraction(macs)}, reason=reason),),
    )


def small() -> Baseline:
    """Return a baseline with every kind of entry."""
    return Baseline(
        entries={"backbone": kept(model()), "run": kept(log())},
        removed={
            "older": Acceptance(
                old={"dense_macs": Fraction(7), "macs_per_video": Fraction(1, 3)},
                new={},
                reason="replaced",
            )
        },
        source=FILE,
    )


TEXT = render_baseline(small())


def signed(change: Callable[[dict[str, Any]], object], entry: str = "backbone") -> str:
    """Return the file with an entry changed and its digest recomputed, as only a program would."""
    data = json.loads(TEXT)
    content = data["entries"][entry]
    change(content)
    content["digest"] = digest_of(entry, content)
    return json.dumps(data)


def test_moves_keep_the_names_that_their_digests_hold() -> None:
    """What a metric is called now is not what a baseline on disk has: old files stay right."""
    move = Acceptance(
        old={"dense_macs": Fraction(7)}, new={"macs_per_video": Fraction(1, 3)}, reason="why"
    )
    text = render_baseline(Baseline(entries={"run": Kept(cost=log(), accepted=(move,))}))
    assert '{"new": {"gflops_per_video": "1/3"}, "old": {"macs": 7}, "reason": "why"}' in text
    assert verify_baseline(text, FILE).entries["run"].accepted == (move,)


def refused(text: str, *needles: str) -> DataError:
    """Assert that a text is refused with a message that has all of the needles."""
    with pytest.raises(DataError) as caught:
        parse_baseline(text, FILE)
    for needle in (FILE, *needles):
        assert needle in caught.value.line, f"{needle!r} is not in: {caught.value.line}"
    return caught.value


def test_what_is_written_is_read() -> None:
    """Every record comes back equal, fractions exactly; the text is the canonical one."""
    assert parse_baseline(TEXT, FILE) == small()
    assert verify_baseline(TEXT, FILE) == small()


def test_one_module_a_line() -> None:
    """A module, an event, a component, an acceptance: each on one line; indices count up."""
    lines = TEXT.splitlines()
    assert TEXT.endswith("}\n")
    paths = [line.split('"')[1] for line in lines if '"type": "' in line]
    assert paths == ["bn1", "conv1", *(f"features.{n}" for n in range(12))]
    for key in ('"times": ', '"reason": ', '"spec": "mobilenet_v2@84"'):
        assert all(line.lstrip().startswith(('"', "{")) for line in lines if key in line)
    assert (
        '        "conv1": {"activations": 802816, "calls": 1, "macs": 118013952, '
        '"ops": ["aten.convolution"], "params": 9408, "shape": {"padding": [3, 3], '
        '"stride": [2, 2], "weight": [64, 3, 7, 7]}, "type": "Conv2d"},'
    ) in lines
    assert '        {"costs": {}, "name": "skip 4", "times": 0.25}' in lines


def test_the_order_of_records_says_nothing() -> None:
    """The same content in another order is the same bytes."""
    cost = model()
    turned = replace(
        cost,
        modules=cost.modules[::-1],
        versions=dict(reversed(cost.versions.items())),
    )
    other = Baseline(
        entries={"run": kept(log()), "backbone": kept(turned)}, removed=small().removed
    )
    assert render_baseline(other) == TEXT


def test_sources_and_empty_modules_are_not_kept() -> None:
    """The place of a class changes with every edit, and a module without costs adds nothing."""
    cost = model()
    holder = ModuleCost(
        path="features",
        type="Sequential",
        dense_macs=0,
        params=0,
        activations=0,
        calls=0,
        source="a.py:3",
    )
    located = tuple(replace(module, source="nets.py:12") for module in cost.modules)
    with_sources = replace(cost, modules=(*located, holder))
    new = Baseline(
        entries={**small().entries, "backbone": kept(with_sources)}, removed=small().removed
    )
    assert render_baseline(new) == TEXT


def test_invisible_characters_are_written_out() -> None:
    """Controls, separators and marks of direction in a reason show, and come back."""
    reason = "é 漢 \u2028 \u2029 \x00 \x1b[31m \x7f \u202e \ud800 \n end"
    text = render_baseline(Baseline(entries={"b": kept(model(), reason)}))
    assert "é 漢 \\u2028 \\u2029 \\u0000 \\u001b[31m \\u007f \\u202e \\ud800 \\n end" in text
    text.encode("utf-8")
    assert len(text.splitlines()) == text.count("\n")
    assert verify_baseline(text, FILE).entries["b"].accepted[0].reason == reason


def test_reading_loads_nothing_heavy() -> None:
    """A hook that verifies a baseline needs neither torch nor numpy."""
    code = (
        "import sys; from flopbench.check.baseline.file import verify_baseline\n"
        f"verify_baseline({TEXT!r}, 'x')\n"
        "print({'torch', 'numpy', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_ten_models_are_read_at_once() -> None:
    """Ten models of 300 modules: quick enough for a hook on every commit."""
    text = render_baseline(Baseline(entries={f"m{n}": kept(model(blocks=300)) for n in range(10)}))
    start = time.process_time()
    parse_baseline(text, FILE)
    assert time.process_time() - start < 0.5  # 0.05 s on an idle core


# What is refused


@pytest.mark.parametrize(
    ("text", "needles"),
    [
        ("", ("1:1", "not JSON", "cut off")),
        (TEXT[: len(TEXT) // 2], ("not JSON",)),
        (TEXT.replace('"total"', "total", 1), (":", "not JSON")),
        ("[]", ("not a baseline", "list")),
        ('{"kind": "flopbench.timings", "schema": 1}', ("flopbench.timings",)),
        (TEXT.replace('"schema": 1', '"schema": 2'), ("schema 2", "upgrade")),
        (TEXT.replace('"schema": 1', '"schema": true'), ("schema",)),
        (TEXT.replace('"schema": 1', '"schema": 1, "more": 1'), ("'more'",)),
        (TEXT.replace('"total": ', '"total": NaN, "x": ', 1), ("NaN",)),
        (TEXT.replace('"total": ', '"total": 1e999, "x": ', 1), ("1e999",)),
        (TEXT.replace('"total": ', '"total": ' + "9" * 5000 + ', "x": ', 1), ("not a baseline",)),
        ("[" * 100_000, ("nested too deeply",)),
        ("\ufeff" + TEXT, ("1:1",)),
    ],
)
def test_what_is_no_baseline(text: str, needles: tuple[str, ...]) -> None:
    """Not JSON, of another kind, or newer: refused with the place."""
    refused(text, *needles)


@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", "=======", ">>>>>>> topic", "||||||| 1a2b3c"])
def test_marks_of_a_merge(mark: str) -> None:
    """A merge that was left half way: the line, and the way out."""
    lines = TEXT.splitlines(keepends=True)
    refused("".join([*lines[:7], mark + "\n", *lines[7:]]), f"{FILE}:8", mark, "flopbench accept")


def test_a_module_there_twice() -> None:
    """A line that a merge kept twice would silently win over the other; it is refused, by line."""
    line = next(line for line in TEXT.splitlines() if '"conv1"' in line)
    number = TEXT.splitlines().index(line) + 1
    refused(TEXT.replace(line, f"{line}\n{line}"), "'conv1' twice", f"{number} and {number + 1}")


def test_an_entry_edited_by_hand() -> None:
    """One figure lowered in a model, its total, a log, a reason, a removal: the entry is named."""
    refused(TEXT.replace('"macs": 118013952', '"macs": 118013951'), "'backbone'", "by hand", "git")
    refused(TEXT.replace('"reason": "first', '"reason": "last', 1), "'backbone'", "by hand")
    refused(TEXT.replace('"times": 0.25', '"times": 0.5'), "'run'", "git checkout")
    refused(TEXT.replace('"reason": "replaced"', '"reason": "x"'), "'older'", "by hand")
    refused(TEXT.replace('"backbone": {', '"spine": {'), "'spine'", "by hand")


def _set(*keys: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return change


PLACES = {
    "conv1": "entries.backbone.modules.conv1",
    "COUNT": "where a whole number of at least 0",
}


@pytest.mark.parametrize(
    ("change", "needles"),
    [
        (_set("modules", "conv1", "macs", to=-1), ("{conv1}.macs is -1 {COUNT}",)),
        (_set("modules", "conv1", "macs", to=True), ("{conv1}.macs is true {COUNT}",)),
        (_set("modules", "conv1", "params", to=1.5), ("{conv1}.params is 1.5 {COUNT}",)),
        (_set("modules", "conv1", "calls", to="1"), ("{conv1}.calls is '1' {COUNT}",)),
        (_set("modules", "conv1", "maccs", to=1), ("{conv1}.maccs is an unknown", "'macs'?")),
        (_set("modules", "conv1", "type", to=3), ("{conv1}.type is 3 where text was", "with git")),
        (_set("modules", "conv1", "ops", to=[3]), ("{conv1}.ops[0] is 3 where text was expected",)),
        (_set("modules", "conv1", "shape", "a", to={"b": 1}), ("shape.a is an object",)),
        (_set("modules", "conv1", to=[]), ("{conv1} is a list where an object was expected",)),
        (lambda c: c["modules"]["conv1"].pop("type"), ("{conv1}.type is missing",)),
        (_set("modules", to=[]), ("entries.backbone.modules is a list where an object",)),
        (_set("macs", to=10**30), ("dense_macs is 1000000000000000000000000000000, but",)),
        (_set("versions", "torch", to=2), (".versions.torch is 2 where text was expected",)),
        (_set("what", to="modell"), (".what is 'modell' where 'model' or 'policy log' was",)),
        (_set("note", to="x"), ("entries.backbone.note is an unknown key",)),
        (lambda c: c.pop("input"), ("entries.backbone.input is missing",)),
        (_set("accepted", 0, "new", to={"mac": 1}), ("[0].new.mac is an unknown", "'macs'?")),
        (_set("accepted", 0, "new", to={"macs": "1e999999999"}), ("[0].new.macs is '1e9999",)),
        (_set("accepted", 0, "new", to={"macs": "2/4"}), ("2/4",)),
        (_set("accepted", 0, "new", to={"macs": "1/0"}), ("1/0",)),
        (_set("accepted", 0, "new", to={"macs": -3}), ("-3 where an amount of at least 0",)),
        (_set("macs", to=1), ("dense_macs is 1", "add up to")),
        (_set("params", to=1), ("params is 1",)),
        (_set("modules", "conv1", "activations", to=1), ("activations is", "add up to")),
    ],
)
def test_a_wrong_field_of_a_model(
    change: Callable[[dict[str, Any]], object], needles: tuple[str, ...]
) -> None:
    """A field that is missing, unknown, or wrong, though the digest fits: entry, module, key."""
    refused(signed(change), "backbone", *(one.format(**PLACES) for one in needles))


@pytest.mark.parametrize(
    ("change", "needles"),
    [
        (_set("macs", to=5), ("macs is not what its events add up to",)),
        (_set("events", 0, "times", to=13), ("add up to",)),
        (_set("events", 0, "costs", to={"ghost": 1}), ("'224'", "'ghost'")),
        (_set("events", 1, "times", to=False), ("run.events[1].times is false where an",)),
        (
            _set("events", 0, "costs", "policy", to="x"),
            ("entries.run.events[0].costs.policy is 'x' where an amount of",),
        ),
        (
            _set("components", "policy", "macs", to=0.5),
            ("entries.run.components.policy.macs is 0.5 {COUNT}",),
        ),
        (_set("videos", to=-1), ("entries.run.videos is -1 {COUNT} or null",)),
        (_set("events", to={}), ("run.events is an object where a list was",)),
    ],
)
def test_a_wrong_field_of_a_log(
    change: Callable[[dict[str, Any]], object], needles: tuple[str, ...]
) -> None:
    """The same of a policy log; its events must add up to its MACs to the last fraction."""
    refused(signed(change, "run"), "run", *(one.format(**PLACES) for one in needles))


def test_the_first_of_several_faults_is_named() -> None:
    """Wherever the others are: another module, another entry."""
    data = json.loads(TEXT)
    data["entries"]["backbone"]["modules"]["conv1"]["macs"] = -1
    data["entries"]["backbone"]["modules"]["features.3"]["macs"] = "x"
    data["entries"]["run"]["components"]["policy"]["macs"] = None
    refused(json.dumps(data), "entries.backbone.modules.conv1.macs is -1 where")


def test_what_does_not_add_up_is_not_written() -> None:
    """A file that could not be read again is refused where it would begin."""
    wrong = replace(model(), dense_macs=1)
    with pytest.raises(DataError, match="entry 'b': dense_macs is 1"):
        render_baseline(Baseline(entries={"b": kept(wrong)}))
    twice = replace(model(), modules=(*model().modules, model().modules[0]))
    with pytest.raises(DataError, match="is there twice"):
        render_baseline(Baseline(entries={"b": kept(twice)}))


def test_another_form_of_the_same_content() -> None:
    """Sound content in another form is read, and not verified: the first line is named."""
    text = json.dumps(json.loads(TEXT), indent=1)
    assert parse_baseline(text, FILE) == small()
    for other, line in ((text, 2), (TEXT + "\n", TEXT.count("\n") + 2), (TEXT[:-1], -1)):
        with pytest.raises(DataError) as caught:
            verify_baseline(other, FILE)
        number = line if line > 0 else TEXT.count("\n") + 1
        assert f"{FILE}:{number} is not as flopbench writes it" in caught.value.message


def test_files(tmp_path: Path) -> None:
    """No file is None; a folder, other bytes, a file that git gave other line ends."""
    path = tmp_path / "baseline.json"
    assert load_baseline(path) is None
    path.write_text(TEXT, encoding="utf-8", newline="\r\n")
    assert load_baseline(path) == replace(small(), source=str(path))
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match="not UTF-8 text at byte 0"):
        load_baseline(path)
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        load_baseline(tmp_path)


# git


def _git(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *args], cwd=folder, env={**os.environ, **GIT}, capture_output=True, text=True
    )


def merged(folder: Path, base: Baseline, ours: Baseline, theirs: Baseline) -> str | None:
    """Merge two branches that each commit a baseline; None where git reports a conflict."""
    assert _git(folder, "init", "-q", "-b", "main").returncode == 0
    path = folder / "baseline.json"

    def commit(baseline: Baseline) -> None:
        path.write_text(render_baseline(baseline), encoding="utf-8")
        assert _git(folder, "add", ".").returncode == 0
        assert _git(folder, "commit", "-q", "-m", "move").returncode == 0

    commit(base)
    _git(folder, "checkout", "-q", "-b", "topic")
    commit(theirs)
    _git(folder, "checkout", "-q", "main")
    commit(ours)
    done = _git(folder, "merge", "-q", "topic")
    text = path.read_text(encoding="utf-8")
    if done.returncode:
        with pytest.raises(DataError, match="in the middle of a merge"):
            parse_baseline(text, "baseline.json")
        return None
    return text


def with_entries(names: Iterable[str], **moved: int) -> Baseline:
    """Return a baseline of one small model a name; ``moved`` scales some, accepted again."""
    entries = {}
    for name in names:
        entry = kept(model())
        if name in moved:
            again = Acceptance(old={}, new={}, reason=f"moved {moved[name]}")
            entry = Kept(cost=model(moved[name]), accepted=(*entry.accepted, again))
        entries[name] = entry
    return Baseline(entries=entries)


@pytest.mark.parametrize(
    ("ours", "theirs", "together"),
    [
        # two branches move neighbours, in the middle and at the end
        (with_entries("abcd", b=2), with_entries("abcd", c=3), with_entries("abcd", b=2, c=3)),
        (with_entries("abcd", c=2), with_entries("abcd", d=3), with_entries("abcd", c=2, d=3)),
        # one moves an entry, the other adds one next to it, after the last one, or removes one
        (with_entries("abcd", b=2), with_entries(("a", "b", "bb", "c", "d")), None),
        (with_entries("abcd", d=2), with_entries("abcde"), with_entries("abcde", d=2)),
        (with_entries("abcd", c=2), with_entries("abc"), with_entries("abc", c=2)),
        (with_entries("abcd", b=2), with_entries("acd"), "conflict"),
        # both add, in different places
        (with_entries("abcdX"), with_entries("abcde"), with_entries("Xabcde")),
        # both add at one place: any two insertions at one line conflict
        (with_entries("abcde"), with_entries("abcdf"), "conflict"),
    ],
)
def test_git_merges_different_entries(
    tmp_path: Path, ours: Baseline, theirs: Baseline, together: Baseline | str | None
) -> None:
    """Branches that accepted different entries merge into the file with both, without a conflict.

    Not so where both add an entry at the same place, or one moves what the other takes out.
    """
    if together is None:  # whatever comes between: the union of both
        together = Baseline(entries={**theirs.entries, **ours.entries})
    text = merged(tmp_path, with_entries("abcd"), ours, theirs)
    if together == "conflict":
        assert text is None
        return
    assert isinstance(together, Baseline)
    assert text == render_baseline(together)
    assert verify_baseline(text, "x").entries == together.entries


# Whatever the content

amounts = st.one_of(
    st.fractions(min_value=0, max_value=10**13, max_denominator=10**9),
    st.integers(0, 10**20).map(Fraction),
    st.floats(1e-9, 1e9).map(lambda x: Fraction(repr(x))),
)
texts = st.text(max_size=12)
counts = st.one_of(st.just(0), st.integers(0, 10**13))
settings_ = st.recursive(
    st.one_of(st.booleans(), st.integers(0, 9), texts, st.floats(-9, 9)),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)
acceptances = st.builds(
    Acceptance,
    old=st.dictionaries(st.sampled_from(["dense_macs", "params", "latency"]), amounts),
    new=st.dictionaries(st.sampled_from(["dense_macs", "macs_per_video"]), amounts),
    reason=texts,
)


@st.composite
def models(draw: st.DrawFn) -> ModelCost:
    """Return a model with random modules that adds up."""
    paths = draw(st.lists(texts, unique=True, max_size=5))
    modules = [
        ModuleCost(
            path=path,
            type=draw(texts),
            dense_macs=draw(counts),
            params=draw(counts),
            activations=draw(counts),
            calls=draw(st.integers(1, 9)),
            ops=tuple(draw(st.lists(texts, max_size=2))),
            shape=draw(st.dictionaries(texts, settings_, max_size=3)),
        )
        for path in sorted(paths, key=natural)
    ]
    return replace(
        model(),
        spec=draw(texts),
        dense_macs=sum(module.dense_macs for module in modules),
        params=sum(module.params for module in modules),
        activations=sum(module.activations for module in modules),
        total=draw(counts),
        modules=tuple(modules),
        versions=draw(st.dictionaries(texts, texts, max_size=3)),
        gaps=tuple(draw(st.lists(texts, max_size=2))),
    )


@st.composite
def logs(draw: st.DrawFn) -> LogCost:
    """Return a policy log's cost with random events that adds up."""
    components = draw(
        st.dictionaries(
            texts, st.builds(PricedComponent, spec=texts, total_macs=counts), max_size=3
        )
    )
    no_runs: st.SearchStrategy[dict[str, Fraction]] = st.just({})
    some = st.dictionaries(st.sampled_from(sorted(components)), amounts) if components else no_runs
    events = draw(
        st.lists(st.builds(ChargeItem, name=texts, times=amounts, costs=some), max_size=4)
    )
    macs = sum(
        (e.times * n * components[name].total_macs for e in events for name, n in e.costs.items()),
        Fraction(0),
    )
    videos = draw(st.one_of(st.none(), st.integers(0, 10**6)))
    return replace(
        log(), components=components, events=tuple(events), macs_per_video=macs, videos=videos
    )


entries = st.builds(
    Kept,
    cost=st.one_of(models(), logs()),
    accepted=st.lists(acceptances, max_size=3).map(tuple),
)
baselines = st.builds(
    Baseline,
    entries=st.dictionaries(texts, entries, max_size=3),
    removed=st.dictionaries(texts, acceptances, max_size=2),
    source=st.just(FILE),
)


@given(baseline=baselines)
def test_any_baseline_comes_back(baseline: Baseline) -> None:
    """Written, read, equal; written again, the same bytes."""
    text = render_baseline(baseline)
    assert verify_baseline(text, FILE) == baseline
    assert render_baseline(parse_baseline(text, FILE)) == text


def _damaged(data: st.DataObject) -> str:
    text = TEXT
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = start + data.draw(st.integers(0, 5))
        junk = st.text(st.sampled_from('{}[],:"\\0123456789-.eE/ntruefalsNaI\n '), max_size=5)
        text = text[:start] + data.draw(st.one_of(junk, texts)) + text[stop:]
    return text


def read_or_refused(text: str) -> Baseline | None:
    """Read a text, None where it is refused; any other exception fails the test."""
    try:
        return parse_baseline(text, FILE)
    except DataError:
        return None


@given(data=st.data())
@settings(max_examples=500)
def test_no_damage_goes_unnoticed(data: st.DataObject) -> None:
    """A file changed at random places is refused with a message, or means the same."""
    text = _damaged(data)
    assert read_or_refused(text) in (None, small())


@given(junk=st.one_of(st.text(), st.binary().map(lambda b: b.decode("utf-8", "surrogateescape"))))
def test_no_text_gives_a_traceback(junk: str) -> None:
    """Anything at all in the place of the file: a message."""
    with pytest.raises(DataError):
        parse_baseline(junk, FILE)


any_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(data=st.data(), value=any_json)
@settings(max_examples=500)
def test_no_value_in_any_place_gives_a_traceback(data: st.DataObject, value: Any) -> None:
    """Any JSON value in place of any other, digests recomputed: a message, or it is read."""
    whole = json.loads(TEXT)
    held, key = whole, None
    while isinstance(held, (dict, list)) and held and (key is None or data.draw(st.booleans())):
        places = list(held) if isinstance(held, dict) else list(range(len(held)))
        key = data.draw(st.sampled_from(places))
        above, held = held, held[key]
    above[key] = value
    entries_now = whole.get("entries")
    for name, content in entries_now.items() if isinstance(entries_now, dict) else ():
        if isinstance(content, dict):
            content["digest"] = digest_of(name, content)
    read = read_or_refused(json.dumps(whole))
    assert read is None or parse_baseline(render_baseline(read), FILE) == read
