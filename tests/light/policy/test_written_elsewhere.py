"""Logs and tables as pandas, spreadsheets and papers write them: read, or refused with the name."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

import flopbench
from flopbench.core.errors import DataError, InputError
from flopbench.estimate.runs import counts_of_log
from flopbench.policy.ready import read_counts

PRESET = """
schema = 1
title = "Widths"
source = "mine"
[policy]
steps = 2
actions = [
  { name = "narrow", costs = { net = 1 } },
  { name = "1.0", costs = { net = 4 } },
  { name = "skip", kind = "skip" },
]
[policy.components]
net = 'value:1e6 "x"'
"""
NARROW, WHOLE, SKIP = 0, 1, 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a preset."""
    (tmp_path / "widths.toml").write_text(PRESET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("id,action\na,0\na,2\nb,0\nb,0\n", [3, 0, 1]),
        ("id;action\na;0\na;2\nb;0\nb;0\n", [3, 0, 1]),
        ("id\taction\na\t0\na\t2\nb\t0\nb\t0\n", [3, 0, 1]),
        ("id,action\na,0.0\na,2.0\nb,0.0\nb,0.00\n", [3, 0, 1]),
        ("id,action,labels,step\na,0.0,7.0,0.0\na,2.0,7.0,1.0\nb,0,,0.0\nb,0,,1.0\n", [3, 0, 1]),
        ("id;action;labels\na;narrow;[1, 2]\na;skip;\n", [1, 0, 1]),
        ('id;action\n"a;b";0\n"a;b";2\n', [1, 0, 1]),
        ('"id";"action"\na;0\na;2\n', [1, 0, 1]),
        ("\ufeffid;action\r\na;0\r\na;2\r\n", [1, 0, 1]),
        ("id,action,extra.x;y\na,0,1\na,2,1\n", [1, 0, 1]),
    ],
)
def test_a_csv_log_of_another_program_is_read(folder: Path, text: str, frames: list[int]) -> None:
    """Semicolons and tabs separate, and a whole number may end in .0."""
    (folder / "run.csv").write_bytes(text.encode())
    counts = counts_of_log(["run.csv"], flopbench.Choices(preset="widths.toml"))
    assert list(counts.totals().frames) == frames


def test_a_name_wins_over_the_number_that_it_looks_like(folder: Path) -> None:
    """Widths and scales are such names: here 2.0 is action 1, and 2 is action 2."""
    (folder / "widths.toml").write_text(PRESET.replace('"1.0"', '"2.0"'))
    (folder / "run.csv").write_text("id,action\na,2.0\na,2\nb,1.0\nb,0.0\n")
    counts = counts_of_log(["run.csv"], flopbench.Choices(preset="widths.toml"))
    assert list(counts.totals().frames) == [1, 2, 1]
    (folder / "n.csv").write_text("video,action,n\na,2.0,5\na,2,7\n")
    assert read_counts(folder / "n.csv", preset="widths.toml").frames.tolist() == [[0, 5, 7]]


def test_labels_of_floats_are_whole_numbers(folder: Path) -> None:
    """A column of labels with a gap becomes floats in pandas; own columns stay floats."""
    (folder / "run.csv").write_text("id,action,labels,extra.w\na,0.0,3.0,1.0\na,2.0,3.0,1.0\n")
    counts = counts_of_log(["run.csv"], flopbench.Choices(preset="widths.toml"))
    assert list(counts.label_values) == [3]


A, B = [0, 2], [0, 0]


@pytest.mark.parametrize(
    "content",
    [
        [{"id": "a", "actions": A}, {"id": "b", "actions": B}],
        [{"id": "a", "actions": ["narrow", "skip"]}, {"id": "b", "actions": B, "labels": [3]}],
        {"a": A, "b": B},
        {"a": ["narrow", [0, 0, 1]], "b": B},
        {"a": {"actions": A, "labels": 3}, "b": {"id": "b", "actions": B}},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_json_without_a_header_is_read(folder: Path, content: Any, indent: int | None) -> None:
    """A list of samples, or decisions or samples by their ids: three narrow frames and a skip."""
    (folder / "run.json").write_text(json.dumps(content, indent=indent))
    counts = counts_of_log(["run.json"], flopbench.Choices(preset="widths.toml"))
    assert list(counts.totals().frames) == [3, 0, 1]
    (folder / "run.header.json").write_text('{"preset": "widths.toml", "method": "mine"}')
    counts = counts_of_log(["run.json"])
    assert counts.plan.header.method == "mine"
    assert list(counts.totals().frames) == [3, 0, 1]


def test_decisions_by_id_may_be_of_several_streams(folder: Path) -> None:
    """An object whose keys are the streams; both have a step under each of their actions."""
    actions = [{"name": n, "stream": s} for s in ("rgb", "audio") for n in ("use", "skip")]
    header = {"streams": ["rgb", "audio"], "actions": actions}
    (folder / "run.header.json").write_text(json.dumps(header))
    (folder / "run.json").write_text('{"v": {"rgb": ["use", "skip"], "audio": [1, 0]}}')
    assert list(counts_of_log(["run.json"]).totals().frames) == [1, 1, 1, 1]


def test_exits_by_id(folder: Path) -> None:
    """What is neither a list nor an object is the exit that was taken."""
    (folder / "run.header.json").write_text('{"exits": [{"name": "early"}, {"name": "late"}]}')
    (folder / "run.json").write_text('{"x.jpg": 1, "y.jpg": "early", "z.jpg": "late"}')
    assert counts_of_log(["run.json"]).totals().exits == (1, 2)


@pytest.mark.parametrize(
    ("text", "needles"),
    [
        ('{"a": [0, 9], "b": [0, 0]}', ["run.json: 'a': actions[1] is 9"]),
        ('{"a": [0, 2],\n "a": [0, 0]}', ["run.json: 'a': id: 'a' already appeared at"]),
        ('{"a": {"id": "b", "actions": [0, 0]}}', ["'a': id is 'b', which is not its key"]),
        ('{"a": [0, NaN]}', ["run.json:1 is not JSON"]),
        ('{"a": [1e400]}', ["run.json: ", "number out of range"]),
        ('{"a": ' + "[" * 990 + "]" * 990 + "}", ["run.json"]),
        ('{"a": [0, 2],', ["run.json:1:14 is not JSON"]),
        ('{"id": ["a"], "actions": [[0, 0]]}', ["a list of each field", "orient='records'"]),
        ('{"video": {"0": "a"}, "actions": {"0": [0]}}', ["orient='records'"]),
        (
            "[[0, 2], [0, 0]]",
            ['run.json holds lists, which have no ids: expected {"v1": [...], ...}'],
        ),
        ('[{"id": "a", "actions": [0, 2]}, 3]', ["run.json:1, sample 2: expected 'object'"]),
        ('[{"id": "a", "actions": [0, 2]},\n {"id": "a"}]', ["run.json:2, sample 2: "]),
        (
            '[{"video": "a", "decisions": [0, 2], "label": 3, "mood": 1}]',
            ["unknown fields 'video' ('id'?), 'decisions' ('actions'?), 'label' ('labels'?), 'm"],
        ),
    ],
)
def test_defects_of_json_without_a_header(folder: Path, text: str, needles: list[str]) -> None:
    """The sample by its key or number, and every unknown field at once."""
    (folder / "run.json").write_text(text)
    with pytest.raises(DataError) as refused:
        counts_of_log(["run.json"], flopbench.Choices(preset="widths.toml"))
    for needle in needles:
        assert needle in refused.value.line


def test_lines_of_samples_that_others_named(folder: Path) -> None:
    """The first line is a sample, whatever it calls its id."""
    (folder / "run.jsonl").write_text('{"video_id": "a", "actions": [0, 2]}\n')
    with pytest.raises(DataError, match=r"run.jsonl has no header"):
        counts_of_log(["run.jsonl"])
    with pytest.raises(DataError, match="unknown field 'video_id'") as refused:
        counts_of_log(["run.jsonl"], flopbench.Choices(preset="widths.toml"))
    assert refused.value.hint.startswith("did you mean 'id'? fields: id, view,")


class _Harmful:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exit, ("the pickle was opened",)


def test_a_pickle_is_never_opened(folder: Path) -> None:
    """Nor what torch.save wrote, before and since it packs; nor an array without names."""
    (folder / "run.pkl").write_bytes(pickle.dumps(_Harmful()))
    (folder / "old.pt").write_bytes(
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"\x80\x02}q\x00."
    )
    with zipfile.ZipFile(folder / "run.pth", "w") as archive:
        archive.writestr("run/data.pkl", pickle.dumps(_Harmful()))
    (folder / "run.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': '<i8'}")
    for name, needles in {
        "run.pkl": (
            "pickle.dump",
            "never does",
            "data = pickle.load(open('run.pkl', 'rb'))",
            "'run.json'",
        ),
        "old.pt": ("torch.save", "data = torch.load('old.pt')"),
        "run.pth": ("torch.save", "data = torch.load('run.pth')"),
        "run.npy": ("no names", "numpy.savez('run.npz', id=names, actions=actions)"),
    }.items():
        with pytest.raises(DataError) as refused:
            counts_of_log([name], flopbench.Choices(preset="widths.toml"))
        for needle in needles:
            assert needle in str(refused.value)


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        (",id,frame,action\na,0,0,0\n", "unknown columns '', 'frame' ('step'?)"),
        (",id,action\n0,a,0\n", "pandas' index: to_csv(..., index=False)"),
        ('id,actions\na,"[0, 2]"\n', "frame.explode('actions')"),
        ("video_id;decision;label\na;0;1\n", "'video_id' ('id'?), 'decision' ('action'?), 'la"),
        ("video,action\na,0\n", "unknown column 'video': did you mean 'id'?"),
        ("video;action\na;0\n", "unknown column 'video': did you mean 'id'?"),
        ("Sample,action\na,0\n", "did you mean 'id'?"),
        ("id,decision\na,0\n", "did you mean 'action'?"),
        ("id,action,crop\na,0,1\n", "did you mean 'view'?"),
        ("id,action,lables\na,0,1\n", "did you mean 'labels'?"),
        ("id;action\na;0;3\n", "3 fields where 2 were expected"),
        ("id,action\na,0.5\n", "'0.5', which is not an action"),
        ("id,action\na,7.0\n", "7"),
        ("id,action,step\na,0,0.5\n", "'0.5' where a whole number was expected"),
    ],
)
def test_what_is_no_log_is_named(folder: Path, text: str, needle: str) -> None:
    """The hint goes by meaning first, by spelling second."""
    (folder / "run.csv").write_text(text)
    with pytest.raises(DataError) as refused:
        counts_of_log(["run.csv"], flopbench.Choices(preset="widths.toml"))
    assert needle in refused.value.line


@pytest.mark.parametrize(
    ("columns", "needle"),
    [
        ("id,action,n", "unknown column 'id': did you mean 'video'?"),
        ("video,arm,n", "did you mean 'action'?"),
        ("video,action,count", "did you mean 'n'?"),
        ("video,action,n,lable", "did you mean 'label'?"),
    ],
)
def test_columns_of_counts_have_names_of_their_own(folder: Path, columns: str, needle: str) -> None:
    """A count is of a video, as a table of sums says it; the hint goes by meaning here, too."""
    (folder / "n.csv").write_text(f"{columns}\na,0,1,1\n")
    with pytest.raises(DataError) as refused:
        read_counts(folder / "n.csv", preset="widths.toml")
    assert needle in refused.value.line


def test_ready_made_counts_may_be_floats_between_semicolons(folder: Path) -> None:
    """Sums of pandas are floats; a name wins over the number that it looks like."""
    (folder / "n.csv").write_text("video;action;n;label\na;0.0;2.0;1.0\nb;1.0;1.0;\nb;2;1;\n")
    counts = read_counts(folder / "n.csv", preset="widths.toml")
    assert counts.frames.tolist() == [[2, 0, 0], [0, 1, 1]]
    assert counts.label_values == (1,)
    (folder / "n.csv").write_text("video,action,n\na,0,2.5\n")
    with pytest.raises(DataError, match=r"'2\.5' where a count of 0 or more was expected"):
        read_counts(folder / "n.csv", preset="widths.toml")


GMACS = {"1": 0.61569, "2": 1.43639, "3": 2.28321, "4": 2.96742, "last": 3.25379}
EXITS = (
    'schema = 1\ntitle = "Exits"\nsource = "mine"\n[policy]\nexits = ['
    + ", ".join(f'{{ name = "{name}", costs = {{ to_{name} = 1 }} }}' for name in GMACS)
    + "]\n[policy.components]\n"
    + "".join(f"to_{name} = 'value:{macs} GMACs \"x\"'\n" for name, macs in GMACS.items())
)


@pytest.mark.parametrize(
    "text",
    [
        "exit,share\n1,30%\n2,25%\n3,20%\n4,15%\nlast,10%\n",
        "exit;share\n1;0.3\n2;0.25\n3;0.2\n4;0.15\nlast;0.1\n",
        "action,share\nlast,10 %\n4,15 %\n3,20 %\n2,25 %\n1,30 %\n",
    ],
)
def test_shares_of_exits_are_of_videos(folder: Path, text: str) -> None:
    """0.3 · 0.61569 + 0.25 · 1.43639 + 0.2 · 2.28321 + 0.15 · 2.96742 + 0.1 · 3.25379 GMACs."""
    (folder / "exits.toml").write_text(EXITS)
    (folder / "shares.csv").write_text(text)
    run = flopbench.run_of_log(["shares.csv"], flopbench.Choices(preset="exits.toml"))
    assert run.primary.macs_per_video == 1_770_938_500
    assert run.primary.gflops_per_frame is None  # nothing says how many frames a video has
    assert run.primary.by_action["last"].share_of_decisions == 0.1
    ten = flopbench.Choices(preset="exits.toml", steps=10)
    assert flopbench.run_of_log(["shares.csv"], ten).primary.gflops_per_frame == 0.17709385


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("exit,share\n1,30%\n6,70%\n", "'6', which is not an exit of this log"),
        ("exit,share\n1,30%\n1,70%\n", "'1' appears twice"),
        ("exit,share\n1,30%\n2,5%\n", "sum to 0.35"),
        ("exits,share\n1,30%\n", "unknown column"),
    ],
)
def test_wrong_shares_of_exits_are_refused(folder: Path, text: str, needle: str) -> None:
    """As those of actions are."""
    (folder / "exits.toml").write_text(EXITS)
    (folder / "shares.csv").write_text(text)
    with pytest.raises((DataError, InputError), match=needle):
        flopbench.run_of_log(["shares.csv"], flopbench.Choices(preset="exits.toml"))


STREAMS = {
    "streams": ["rgb", "audio"],
    "actions": [
        {"name": "use", "stream": "rgb", "costs": {"rgb": 1}},
        {"name": "skip", "stream": "rgb", "kind": "skip", "span": 2},
        {"name": "use", "stream": "audio", "costs": {"audio": 1}},
        {"name": "skip", "stream": "audio", "kind": "skip"},
    ],
    "charges": {"per_step": {"policy": 1}},
    "components": {
        "rgb": 'value:4e9 "round"',
        "audio": 'value:1e9 "round"',
        "policy": 'value:1e8 "round"',
    },
}


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("log.json", '{"v": {"rgb": [0, 1, 1, 0, 0], "audio": [0, 0, 0, 0, 1]}}', {}),
        ("counts.csv", "n,decisions\nrgb,use,3,3\nrgb,1,2,1\naudio,0,4,4\naudio,skip,1,1\n", {}),
        (
            "shares.csv",
            "share\nrgb,use,60 %\nrgb,skip,40 %\naudio,skip,20 %\naudio,use,80 %\n",
            {"steps": 5},
        ),
        (
            "shares.csv",
            "share\nrgb,use,0.75\nrgb,skip,0.25\naudio,skip,0.2\naudio,use,0.8\n",
            {"steps": 5, "shares_of": "decisions"},
        ),
    ],
)
def test_sums_of_several_streams_cost_what_the_log_costs(
    folder: Path, name: str, text: str, options: dict[str, Any]
) -> None:
    """3 · 4 + 4 · 1 + 5 · 0.1 = 16.5 GMACs: of a log, of counts, of shares of each stream."""
    (folder / f"{Path(name).stem}.header.json").write_text(json.dumps(STREAMS))
    if name == "counts.csv":
        lines = "video,stream,action," + text.replace("\nrgb", "\nv,rgb").replace("\nau", "\nv,au")
        (folder / name).write_text(lines)
        run = flopbench.run_of_counts(name)
    else:
        columns = "stream,action," if name == "shares.csv" else ""
        (folder / name).write_text(columns + text)
        run = flopbench.run_of_log([name], flopbench.Choices(**options))
    assert run.primary.macs_per_video == 16_500_000_000
    assert run.primary.frames_per_video == 5
    shares = {name: cost.share_of_frames for name, cost in run.primary.by_action.items()}
    assert shares == {"rgb: use": 0.6, "rgb: skip": 0.4, "audio: use": 0.8, "audio: skip": 0.2}


@pytest.mark.parametrize(
    ("name", "text", "needle"),
    [
        (
            "s.csv",
            "action,share\nuse,1\n",
            "s.csv:2: stream: is '', and the streams are: rgb, audio",
        ),
        ("s.csv", "stream,action,share\nvideo,use,1\n", "s.csv:2: stream: is 'video', and the "),
        ("s.csv", "stream,action,share\nrgb,use,1\naudio,use,0.9\n", "the shares of audio sum to"),
        ("s.csv", "stream,action,share\nrgb,use,1\naudio,use,9\n", "shares of audio sum to 9, not"),
        ("n.csv", "video,stream,action,n\nv,rgb,0,3\nv,audio,0,2\n", "different numbers of steps"),
        ("n.csv", "video,stream,action,n\nv,rgb,2,3\n", "n.csv:2: action: is 2, but this log has"),
        ("n.csv", "video,action,n\nv,use,3\n", "n.csv:2: stream: is '', and the streams are"),
    ],
)
def test_sums_that_do_not_fit_their_streams(
    folder: Path, name: str, text: str, needle: str
) -> None:
    """A stream that is missing, unknown, or shorter; shares of one that do not sum to 1."""
    (folder / name.replace(".csv", ".header.json")).write_text(json.dumps(STREAMS))
    (folder / name).write_text(text)
    try:
        if name == "n.csv":
            said = str(flopbench.run_of_counts(name).warnings)
        else:
            run = flopbench.run_of_log([name], flopbench.Choices(steps=5))
            said = " ".join(map(str, run.warnings))
    except DataError as refused:
        said = refused.line
    assert needle in said


def test_counted_exits_are_a_log(folder: Path) -> None:
    """Counts are of actions; the exits of samples are a log, and the message says so."""
    (folder / "exits.toml").write_text(EXITS)
    (folder / "n.csv").write_text("video,action,n\nv,1,1\n")
    with pytest.raises(InputError, match="counted exits are a log: id, exit"):
        read_counts(folder / "n.csv", preset="exits.toml")
