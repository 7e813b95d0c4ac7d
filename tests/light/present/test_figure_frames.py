"""What film strips show: which videos, decisions and texts; no pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from logs import ARNET_ROWS, arnet_plan, header_of, rows, write_log
from msgspec.structs import replace

from flopbench.core.errors import DataError, InputError
from flopbench.core.media import natural
from flopbench.core.remarks import Remark
from flopbench.counting.table import CostTable
from flopbench.estimate.components import resolve_components
from flopbench.estimate.difficulty import LEVELS
from flopbench.estimate.estimator import video_costs
from flopbench.estimate.prices import Price, PriceList
from flopbench.estimate.runs import Choices, run_of_log
from flopbench.policy.log import count_log, open_log
from flopbench.policy.plan import Plan, plan_of
from flopbench.policy.samples import Sample
from flopbench.present.figures.frames.choice import nearest, read_records
from flopbench.present.figures.frames.figure import NO_FRAMES, Frames, _priced_plan, frames
from flopbench.present.figures.frames.media import FrameSource, inside
from flopbench.present.figures.frames.rows import (
    Decision,
    Film,
    action_labels,
    film_of,
    largest_side,
)

frames_of = frames.make

SELECTIVE = ROOT / "tests" / "data" / "selective.jsonl"
PUBLISHED = Choices(counter="published", alone=True, may_measure=False)


def decided(plan: Plan, **fields: Any) -> Film:
    """Return what was decided on one sample."""
    none = FrameSource(names_in=Path())
    return film_of(Sample(id="v", **fields), lambda i: "log:1", plan, none, most=64)


def own_log(
    path: Path, samples: Sequence[dict[str, Any]] = (), unit_macs: int = 10**9, **header: Any
) -> Path:
    """Write a log whose prices are constants: ``big@224`` costs 4 units, ``small@112`` 1."""
    actions = [
        {"name": "big@224", "costs": {"a": 4}},
        {"name": "small@112", "costs": {"a": 1}},
        {"name": "skip 2", "kind": "skip", "span": 2},
        {"name": "as before", "kind": "reuse"},
    ]
    components = {"a": f'value:{unit_macs} "a test"'}
    return write_log(
        path, {"method": "own", "actions": actions, "components": components, **header}, samples
    )


@pytest.mark.parametrize("name", ARNET_ROWS)
def test_decisions_are_those_that_the_kernel_counts(name: str, tmp_path: Path) -> None:
    """A run of equal rows is cut into ceil(n / k) decisions, as the estimator counts them."""
    plan = arnet_plan()
    found = decided(plan, actions=rows(ARNET_ROWS[name]))
    log = write_log(
        tmp_path / "run.jsonl", {"preset": "arnet-resnet"}, [{"actions": rows(ARNET_ROWS[name])}]
    )
    counts = count_log(open_log([log]))
    for index, action in enumerate(plan.actions):
        own = [d for d in found.streams[""] if d.action == action.name]
        assert len(own) == counts.decisions[0, index]
        assert sum(d.steps for d in own) == counts.frames[0, index]


STREAMS = {
    "streams": ["rgb", "audio"],
    "actions": [
        {"name": "net@64", "stream": "rgb"},
        {"name": "off", "kind": "skip", "span": 2, "stream": "audio"},
        {"name": "on", "stream": "audio"},
    ],
}
EXIT = {"steps": 5, "actions": [{"name": "go"}, {"name": "stop", "kind": "exit"}]}
ARNET = {"preset": "arnet-resnet"}


@pytest.mark.parametrize(
    ("header", "sample", "expected"),
    [
        (ARNET, [0, 6, 6, 6, 6, 3, 6], "224 0+1, skip 4 1+4, 84 5+1, skip 4 6+1 cut"),
        (ARNET, ["resnet50@224", "skip 4", "skip 4"], "224 0+1, skip 4 1+2 cut"),
        (ARNET, np.eye(7)[[0, 6, 3]].tolist(), "224 0+1, skip 4 1+1, 84 2+1"),
        (
            {**ARNET, "encoding": "per_decision", "steps": 8},
            {"actions": ["resnet50@224", "skip 4", "skip 2"], "spans": [1, 5, 4]},
            "224 0+1, skip 4 1+5, skip 2 6+2 cut",
        ),
        (
            STREAMS,
            {"rgb": [0, 0, 0], "audio": ["off", "off", "on"]},
            "64 0+1, 64 1+1, 64 2+1 | off 0+2, on 2+1",
        ),
        (EXIT, ["go", "stop"], "go 0+1, !stop 1+1, not reached 2+3"),
        (
            {"preset": "frameexit", "steps": 3},
            {"exit": "frame 2"},
            "run 0+1, !frame 2 1+1, not reached 2+1",
        ),
    ],
)
def test_decisions_and_the_steps_that_they_cover(header: Any, sample: Any, expected: str) -> None:
    """Ids, names and one-hot rows, own spans, streams, exits (!); only the end cuts a decision."""
    fields = sample if "actions" in sample or "exit" in sample else {"actions": sample}
    found = decided(plan_of(header_of(**header)), **fields)

    def spelled(d: Decision) -> str:
        return f"{'!' * (d.kind == 'exit')}{d.label or d.kind} {d.start}+{d.steps}{' cut' * d.cut}"

    own = [", ".join(map(spelled, decisions)) for decisions in found.streams.values()]
    assert " | ".join(own) == expected
    assert found.exit == fields.get("exit", "")


def test_labels_are_sizes_with_letters_where_they_are_shared() -> None:
    """Two networks of one input size are distinguished, and the caption's key names them."""
    header = header_of(
        actions=[{"name": "a@112"}, {"name": "b@112"}, {"name": "8 bit"}, {"name": "c@96x64"}]
    )
    labels = action_labels(plan_of(header))
    assert labels == ["112 a", "112 b", "8 bit", "96×64"]


def test_each_group_shows_the_video_nearest_to_its_median_cost() -> None:
    """The choice is the rule that the caption states, and costs are the estimator's."""
    data = frames_of(SELECTIVE, choices=PUBLISHED, difficulty="cost")
    counts = count_log(open_log([SELECTIVE]), keep_ids=True)
    run = run_of_log([SELECTIVE], PUBLISHED)
    costs = video_costs(counts, run.prices, "exact") / 1e9
    thirds = np.array_split(np.argsort(costs, kind="stable"), 3)
    assert counts.ids is not None
    for film, level, third in zip(data.films, LEVELS, thirds, strict=True):
        own = sorted(third.tolist())
        best = min(own, key=lambda i: (abs(costs[i] - np.median(costs[own])), i))
        assert (film.group, film.id) == (level, counts.ids[best])
        assert film.gflops_per_video == pytest.approx(costs[best], rel=1e-12)
    text = " ".join(data.caption.sentences)
    assert "nearest to the group's median cost" in text
    assert "circular" in text
    assert "counter published" in text
    assert "1 GMAC = 1e9" in text


def test_the_margin_makes_the_groups_where_a_log_has_scores(tmp_path: Path) -> None:
    """The cost, which is circular, is the last resort, and the caption says so."""
    assert "softmax margin" in " ".join(frames_of(SELECTIVE, choices=PUBLISHED).caption.sentences)
    log = own_log(tmp_path / "run.jsonl", [{"actions": [n % 2, 1]} for n in range(6)])
    assert "circular" in " ".join(frames_of(log).caption.sentences)


def test_several_videos_of_a_group_spread_over_its_costs() -> None:
    """N videos are those at the quantiles 1/2N, 3/2N, …; ties go by the log's order."""
    costs = np.array([5.0, 1, 2, 3, 4, 4, 4])
    assert nearest(np.arange(7), costs, None, 1) == [4]
    assert nearest(np.arange(5), costs, None, 2) == [2, 4]
    assert sorted(nearest(np.arange(7), costs, None, 9)) == list(range(7))
    # Three views of a video of 1, and a video of 5: one each.
    views = np.array([1.0, 1, 1, 5])
    assert nearest(np.arange(4), views, np.array([0, 0, 0, 1]), 2) == [0, 3]


def test_too_small_groups_are_said(tmp_path: Path) -> None:
    """A group with fewer videos than requested shows all, with a warning."""
    log = own_log(tmp_path / "run.jsonl", [{"actions": [n % 2]} for n in range(3)])
    data = frames_of(log, per_group=2)
    assert len(data.films) == 3
    said = "'easy' has only 1 video where 2 were requested"
    assert any(said in str(w) for w in data.warnings)


def test_a_column_of_texts_makes_groups_by_its_values(tmp_path: Path) -> None:
    """The caption says by which column, whatever the column is called."""
    samples = [{"actions": [0], "extra": {"thirds by": level}} for level in ("low", "high")]
    data = frames_of(own_log(tmp_path / "run.jsonl", samples), difficulty="thirds by")
    assert "Groups: by the column 'thirds by'." in data.caption.sentences


def test_videos_of_a_class_are_typical_of_it(tmp_path: Path) -> None:
    """``big`` costs 4 GMACs, ``small`` 1: the video at the class's median is drawn, not the first.

    Of class a the costs are 16, 4, 8, 1 and 1, of b 2 and 3, of which the median is 2.5.
    """
    costs = (
        (4, 0, "a"),
        (1, 0, "a"),
        (0, 2, "b"),
        (2, 0, "a"),
        (0, 3, "b"),
        (0, 1, "a"),
        (0, 1, "a"),
    )
    samples = [
        {"actions": ([0] * big + [1] * small + [3] * 4)[:4], "labels": [own]}
        for big, small, own in costs
    ]
    log = own_log(tmp_path / "run.jsonl", samples)
    data = frames_of(log, classes=["b", "a"])
    rows = [(film.group, film.id, film.gflops_per_video, film.group_gflops) for film in data.films]
    assert rows == [("b", "v2", 2.0, 2.5), ("a", "v1", 4.0, 4.0)]
    said = " ".join(data.caption.sentences)
    assert "Groups: by class. Median GFLOPS of a group's videos: b 2.50 and a 4.00." in said
    small = frames_of(own_log(tmp_path / "small.jsonl", samples, 10**6), classes=["b", "a"])
    said = " ".join([*small.caption.sentences, small.caption.alt])
    assert "Median MFLOPS of a group's videos: b 2.50 and a 4.00. MFLOPS are those of" in said
    assert "v2 (b): 2 frames processed in 4 steps, 2.00 MFLOPS" in said
    levels = frames_of(log, classes=["a"], difficulty="cost").films
    # Thirds of 1, 1, 2, 3, 4, 8 and 16 have 3, 2 and 2; those of class a are 1, 1 | 4 | 8, 16.
    assert [(film.group, film.group_gflops) for film in levels] == [
        ("a, easy", 1.0), ("a, medium", 4.0), ("a, hard", 12.0)
    ]  # fmt: skip
    with pytest.raises(InputError, match="no sample has the class 'c'"):
        frames_of(log, classes=["c"])
    with pytest.raises(InputError, match="by id or by class"):
        frames_of(log, classes=["a"], videos=["v1"])


def test_easy_videos_that_cost_more_are_said_to() -> None:
    """By the margin selective's easy videos are the dearest: the caption has medians and reason."""
    table = CostTable.load(ROOT / "reports/table2.json")
    said = " ".join(frames_of(SELECTIVE, choices=Choices(table=table)).caption.sentences)
    assert "easy 28.02, medium 15.20 and hard 11.41; the margin is that of the run" in said
    said = " ".join(frames_of(SELECTIVE, choices=PUBLISHED, difficulty="cost").caption.sentences)
    assert "looked at longer" not in said


def test_named_videos_are_said_to_be_chosen_by_hand() -> None:
    """Videos come in the order of their names, each once, with their groups."""
    data = frames_of(SELECTIVE, choices=PUBLISHED, videos=["v007", "v002", "v007"])
    assert [film.id for film in data.films] == ["v007", "v002"]
    assert all(film.group in LEVELS for film in data.films)
    assert any("chosen by hand" in sentence for sentence in data.caption.sentences)


def test_each_view_is_a_row(tmp_path: Path) -> None:
    """A named video shows all its views; its cost is that of all of them together."""
    samples = [
        {"id": f"v{n}", "view": view, "actions": [0, 1]} for n in range(3) for view in ("a", "b")
    ]
    log = own_log(tmp_path / "run.jsonl", samples)
    data = frames_of(log, videos=["v1"])
    assert [(film.id, film.view) for film in data.films] == [("v1", "a"), ("v1", "b")]
    assert [film.gflops_per_video for film in data.films] == [10.0, 10.0]
    assert "all of its views together" in " ".join(data.caption.sentences)
    assert [film.id for film in frames_of(log).films] == ["v0", "v1", "v2"]


def test_views_of_a_video_need_not_be_adjacent() -> None:
    """A named video's records are looked for up to the end of a log that has views."""

    class Batches:
        source = "log"

        def samples(self) -> Any:
            for id in ("x", "y", "x"):
                yield [Sample(id=id, view=0)], lambda i: "log:1"

    log: Any = Batches()
    assert list(read_records(log, [], ["x"], views=True)) == [0, 2]
    assert list(read_records(log, [1], [], views=True)) == [1]


def test_first_of_duplicates_are_the_records_that_are_counted(tmp_path: Path) -> None:
    """``duplicates="first"`` draws the record that its cost was counted from."""
    samples = [
        {"id": "x", "actions": [1, 1]},
        {"id": "x", "actions": [0, 0]},
        {"id": "y", "actions": [0, 1]},
    ]
    log = own_log(tmp_path / "run.jsonl", samples)
    with pytest.raises(DataError, match="already appeared"):
        frames_of(log)
    data = frames_of(log, choices=Choices(duplicates="first"), videos=["y", "x"])
    assert [film.gflops_per_video for film in data.films] == [5.0, 2.0]
    assert [d.label for d in data.films[1].streams[""]] == ["112", "112"]


def test_predictions_are_judged_by_name(tmp_path: Path) -> None:
    """Scores or a prediction against labels, indices or names; nothing where one is missing."""
    samples = [
        {"actions": [1], "labels": [0], "scores": [2.0, 1.0]},
        {"actions": [1], "labels": ["b"], "prediction": 0},
        {"actions": [1], "labels": [0, 1], "prediction": "b"},
        {"actions": [1], "labels": [1]},
        {"actions": [1]},
    ]
    log = own_log(tmp_path / "run.jsonl", samples, class_names=["a", "b"])
    films = frames_of(log, videos=[f"v{n}" for n in range(5)], difficulty="cost").films
    shown = [(film.label, film.prediction, film.right) for film in films]
    assert shown == [
        ("a", "a", True),
        ("b", "a", False),
        ("a, b", "b", True),
        ("b", "", None),
        ("", "", None),
    ]


def test_numbers_hold_every_step(tmp_path: Path) -> None:
    """The CSV has one row a step: action, input size, whether it was skipped, the video's cost."""
    log = own_log(tmp_path / "run.jsonl", [{"id": "v", "actions": [0, 2, 2, 3, 1]}])
    numbers = frames_of(log).table
    steps = [dict(zip(numbers.header, row, strict=True)) for row in numbers.rows]
    assert [step["step"] for step in steps] == [0, 1, 2, 3, 4]
    assert [step["decision"] for step in steps] == [0, 1, 1, 2, 3]
    assert [step["action"] for step in steps][:2] == ["big@224", "skip 2"]
    assert [step["input_height_px"] for step in steps] == [224, None, None, None, 112]
    assert [step["skipped"] for step in steps] == [False, True, True, False, False]
    assert [step["drawn"] for step in steps] == ["placeholder", "no", "no", "no", "placeholder"]
    assert {step["gflops_per_video"] for step in steps} == {5.0}


def test_more_steps_than_wanted_are_left_out_and_said(tmp_path: Path) -> None:
    """Only the first steps are drawn, and the caption says how many of how many."""
    log = own_log(tmp_path / "run.jsonl", [{"id": "v", "actions": [0, 2, 2, 1, 1]}])
    data = frames_of(log, most_frames=2)
    (film,) = data.films
    assert [(d.label, d.steps) for d in film.streams[""]] == [("224", 1), ("skip 2", 1)]
    assert "2 of 5 of v" in " ".join(data.caption.sentences)


def test_frames_are_not_needed(tmp_path: Path) -> None:
    """Without any media the strips are drawn all the same; caption and a warning say so."""
    data = frames_of(SELECTIVE, choices=PUBLISHED)
    assert data.warnings == (Remark(NO_FRAMES),)
    assert any("No frames were found" in sentence for sentence in data.caption.sentences)
    assert all(film.missing == film.processed > 0 for film in data.films)


def test_the_users_own_component_has_its_own_size(tmp_path: Path) -> None:
    """With ``--component`` the input that is priced is the one that is drawn."""
    actions = [{"name": "look", "costs": {"net": 1}}]
    log = write_log(
        tmp_path / "run.jsonl",
        {"actions": actions, "components": {"net": "resnet18@33"}},
        [{"actions": [0]}],
    )
    own = Choices(components={"net": 'value:1e9 "a test"'})
    assert frames_of(log, choices=own).films[0].streams[""][0].size is None


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    """Shares, counts without steps, damage, unknown ids, folders that hold no frames."""
    shares, bad = tmp_path / "shares.csv", tmp_path / "bad.jsonl"
    shares.write_text("action,share\nresnet50@224,1\n")
    write_log(bad, {"preset": "arnet-resnet"}, [{"actions": [9]}])
    (tmp_path / "x.txt").write_text("x")
    counts = own_log(tmp_path / "counts.jsonl", [{"counts": {"a": 2}}])
    preset = replace(PUBLISHED, preset="arnet-resnet")
    for log, options, said in (
        (shares, {"choices": preset}, "holds shares of actions"),
        (bad, {}, "this log has ids 0 to 6"),
        (counts, {"choices": None}, "no steps"),
        (run_of_log([SELECTIVE], PUBLISHED), {}, "needs the file of one log"),
        (SELECTIVE, {"videos": ["v000", "v0077"]}, "has no video 'v0077'\n  did you mean 'v0"),
        (SELECTIVE, {"frames": tmp_path / "no"}, "does not exist"),
        (SELECTIVE, {"frames": tmp_path / "x.txt"}, "does not hold frames"),
    ):
        with pytest.raises((InputError, DataError)) as caught:
            frames_of(log, **{"choices": PUBLISHED, **options})  # type: ignore[arg-type]
        assert said in str(caught.value)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "..", ".", ""])
def test_no_name_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    """Only names inside a folder have a path there."""
    assert inside(tmp_path, name) is None
    assert inside(tmp_path, "a/b") == tmp_path / "a" / "b"
    assert inside(tmp_path, "a/../b") == tmp_path / "b"


def test_an_id_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A log cannot make flopbench read files elsewhere."""
    folder = tmp_path / "frames"
    folder.mkdir()
    np.save(tmp_path / "x.npy", np.zeros((1, 4, 4, 3), np.uint8))
    log = own_log(tmp_path / "run.jsonl", [{"id": "../x", "actions": [0]}])
    with pytest.raises(InputError, match="leads out of the folder"):
        frames_of(log, frames=folder)


def test_a_file_name_that_leads_out_is_not_read(tmp_path: Path) -> None:
    """By default it is a placeholder with a warning; in a folder that the user named, an error."""
    (tmp_path / "logs").mkdir()
    sample = {"id": "v", "actions": [0], "frames": ["../secret.png"]}
    log = own_log(tmp_path / "logs" / "run.jsonl", [sample])
    (warning,) = map(str, frames_of(log).warnings)
    assert "secret.png is outside" in warning
    assert "--frames" in warning
    with pytest.raises(InputError, match="is outside"):
        frames_of(log, frames=tmp_path / "logs")


def test_missing_files_are_one_warning_a_video(tmp_path: Path) -> None:
    """The warning names the first file and counts the others."""
    sample = {"id": "v", "actions": [0, 0, 2], "frames": ["a.png", "b.png", "c.png"]}
    log = own_log(tmp_path / "run.jsonl", [sample])
    (warning,) = map(str, frames_of(log).warnings)
    assert warning.startswith("v: no image for 2 of 2 processed frames: ")
    assert "a.png does not exist (and 1 more)" in warning


def test_natural_order() -> None:
    """Numbers in file names sort by their value."""
    names = ["f10.png", "f9.png", "f1.png", "g.png"]
    assert sorted(names, key=natural) == ["f1.png", "f9.png", "f10.png", "g.png"]


def test_data_is_the_same_twice() -> None:
    """The same log gives the same rows and captions."""
    first, second = (frames_of(SELECTIVE, choices=PUBLISHED) for _ in range(2))
    assert isinstance(first, Frames)
    assert first.caption == second.caption
    assert first.table == second.table


def test_frames_are_as_large_as_the_chosen_networks_input() -> None:
    """Another variant, or another network, is drawn at its own input size."""
    own = {"variants": {"a": "resnet18@112", "b": "resnet18@168"}, "default": "a"}
    actions = [{"name": "look", "costs": {"net": 1}}]
    plan = plan_of(header_of(actions=actions, components={"net": own}))
    for choices, side in (
        (Choices(), 112),
        (Choices(variants={"net": "b"}), 168),
        (Choices(components={"net": "resnet18@224"}), 224),
    ):
        chosen = resolve_components(plan.header, choices.variants or {}, choices.components or {})
        net = Price(component="net", spec=str(chosen["net"].spec), total_macs=0)
        prices = PriceList(counter="", version="", source="", prices={"net": net})
        assert largest_side(_priced_plan(plan, prices)) == side
