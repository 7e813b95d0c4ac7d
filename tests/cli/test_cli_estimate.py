"""``flopbench estimate`` and ``flopbench compare`` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import RunCli, assert_refused
from logs import ARNET_ROWS, rows, write_log

FORMATS = ("table", "md", "csv", "json", "latex")
HEADER = {"preset": "arnet-resnet", "method": "AR-Net", "dataset": "activitynet", "split": "val"}
BROKEN_TORCH = "raise RuntimeError('torch was imported')\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """AR-Net's uncut and cut rows, one video each."""
    samples = [{"actions": rows(ARNET_ROWS[name]), "labels": [n]} for n, name in enumerate(KINDS)]
    return write_log(tmp_path / "run.jsonl", HEADER, samples)


KINDS = ("uncut", "cut")


def estimated(run_cli: RunCli, *args: str | Path) -> dict[str, Any]:
    """Run ``estimate --format json``; return what it printed."""
    done = run_cli("estimate", "--policy-log", *map(str, args), "--format", "json")
    assert done.returncode == 0, done.stderr
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def test_published_prices_and_rows(run_cli: RunCli, tmp_path: Path) -> None:
    """Table 2's printed figures give AR-Net's sums by both rules, whichever is primary."""
    path = write_log(tmp_path / "cut.jsonl", HEADER, [{"actions": rows(ARNET_ROWS["cut"])}])
    data = estimated(run_cli, path, "--counter", "published")
    assert f"{data['gflops_per_video']:.4f}" == "11.4615"
    assert f"{data['published_rule']['gflops_per_video']:.4f}" == "11.4194"
    assert data["ci95_gflops_per_video"] is None
    other = estimated(run_cli, path, "--counter", "published", "--rule", "published")
    assert (other["rule"], f"{other['gflops_per_video']:.4f}") == ("published", "11.4194")


def test_components_that_cannot_be_priced_are_named_together(run_cli: RunCli, log: Path) -> None:
    """Each with its reason, in one message: a misspelt network, and one at a size it refuses."""
    args = ("--component", "resnet50=resnet51@224", "--component", "resnet34=vit_b_16@20")
    refused = run_cli("estimate", str(log), "--counter", "torch", *args)
    said = "no price for resnet50 (resnet51@224): torchvision has no model 'resnet51': did you mean"
    assert_refused(refused, said, "; resnet34 (vit_b_16@20): ", "--component NAME=MODEL prices")


def test_json_has_the_keys_that_scripts_read(run_cli: RunCli, log: Path) -> None:
    """Figures, parts, both rules, and every counter; the primary one's figure is the estimate's."""
    data = estimated(run_cli, log)
    assert (data["method"], data["rule"], data["videos"]) == ("AR-Net", "exact", 2)
    assert data["table"]["counter"] == "thop-2020"
    assert data["decisions_per_video"] == 9
    main = {name: data[name] for name in ("gflops_per_frame", "gflops_per_video")}
    assert data["under_counters"]["thop-2020"] == main
    assert list(data["under_counters"]) == ["thop-2020", "thop", "fvcore", "torch", "published"]
    # (13.7104912 + 11.4614912) / 2
    published = data["under_counters"]["published"]["gflops_per_video"]
    assert published == pytest.approx(12.5859912, rel=1e-12)
    low, high = data["ci95_gflops_per_video"]
    assert low <= main["gflops_per_video"] <= high
    for parts in ("by_component", "by_action"):
        total = sum(part["gflops_per_video"] for part in data[parts].values())
        assert total == pytest.approx(main["gflops_per_video"], rel=1e-12)
    skip = data["by_action"]["skip 4"]
    # 8 and 9 of 16 rows; 2 and 3 of 9 decisions
    assert skip["share_of_frames"] == pytest.approx(17 / 32)
    assert skip["share_of_decisions"] == pytest.approx(5 / 18)
    assert skip["own_gflops_per_video"] == 0
    assert set(data["published_rule"]) == set(main)


def test_the_variant_charged_is_shown(run_cli: RunCli, log: Path) -> None:
    """--variant picks one of three LSTMs; the output names it and its price."""
    args = ("--variant", "lstm=counted", "--counter", "torch")
    done = run_cli("estimate", "--policy-log", str(log), *args)
    assert done.returncode == 0, done.stderr
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("lstm")]
    assert "lstm (counted)" in line
    assert "3,670,016" in line.split()  # 4 × 512 × (1280 + 512)


@pytest.mark.parametrize(
    ("args", "needles"),
    [
        (("--variant", "lstm=publised"), ("no variant 'publised'", "did you mean 'published'?")),
        (("--variant", "lstn=counted"), ("'lstn'", "did you mean 'lstm'?")),
        (("--component", "polici=value:1"), ("'polici'", "did you mean 'policy'?")),
        (("--counter", "thop2020"), ("no counter 'thop2020'", "did you mean 'thop-2020'?")),
        (("--variant", "lstm"), ("expected NAME=VALUE",)),
        (("--steps", "8"), ("--steps is 8", "have 16 steps")),
        (("--by", "difficulty", "--difficulty", "margin"), ("has no scores",)),
        (("--by", "difficulty", "--difficulty", "corect"), ("did you mean 'correct'?",)),
        (("--difficulty", "cost"), ("--by difficulty",)),
        (("--seed", "-1"), ("--seed is -1",)),
        (("--cluster", "clip"), ("no sample has 'clip' in 'extra'", "id:/ takes what stands")),
        (("--cluster", "id:"), ("--cluster id: names no separator",)),
    ],
)
def test_what_is_unknown_is_refused(
    run_cli: RunCli, log: Path, args: tuple[str, ...], needles: tuple[str, ...]
) -> None:
    """One message that names the flag and a near match, exit status 2, nothing on stdout."""
    assert_refused(run_cli("estimate", "--policy-log", str(log), *args), *needles)


def test_code_named_by_a_log_is_not_started(run_cli: RunCli, tmp_path: Path) -> None:
    """A log cannot start the user's code; the user can, by naming it or the log to ``table``.

    Afterwards the log is priced from the table, or from the cache: until a source changes.
    """
    (tmp_path / "net.py").write_text(
        "import pathlib, torch\n"
        "pathlib.Path('started').touch()\n"
        "from parts import WIDTH\n"
        "def net():\n    flat = torch.nn.Flatten()\n"
        "    return torch.nn.Sequential(flat, torch.nn.Linear(192, WIDTH))\n",
        encoding="utf-8",
    )
    spec = "net.py:net@8"
    (tmp_path / "parts.py").write_text("WIDTH = 5\n", encoding="utf-8")
    header = {"components": {"net": spec}, "actions": [{"name": "run", "costs": {"net": 1}}]}
    path = write_log(tmp_path / "run.jsonl", header, [{"actions": [0, 0]}])
    verbs = ("estimate",), ("compare",), ("plot", "cost", "-o", "c.svg"), ("report", "-o", "page")
    for verb in verbs:
        refused = run_cli(*verb, "run.jsonl")
        assert_refused(refused, f"for net ({spec}): a log does not run code", "--for run.jsonl -o")
    assert not (tmp_path / "started").exists()
    data = estimated(run_cli, path, "--component", f"net={spec}", "--counter", "torch")
    # 2 steps × (3 × 8 × 8 inputs × 5 outputs)
    assert data["macs_per_video"] == str(2 * 192 * 5)
    assert (tmp_path / "started").exists()
    (tmp_path / "started").unlink()
    (tmp_path / "parts.py").write_text("WIDTH = 7\n", encoding="utf-8")
    assert_refused(run_cli("estimate", "run.jsonl"), "a log does not run code")
    made = run_cli("table", "--for", "run.jsonl", "-o", "table.json", process=True)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "started").exists()
    (tmp_path / "started").unlink()
    counted = ("--counter", "torch", "--format", "json")
    for more, process in ((("--table", "table.json"), False), ((), True)):
        done = run_cli("estimate", "run.jsonl", *more, *counted, process=process)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["macs_per_video"] == str(2 * 192 * 7)
    assert not (tmp_path / "started").exists()


def test_a_doctored_table_changes_the_figure(run_cli: RunCli, log: Path, tmp_path: Path) -> None:
    """--table is believed, and what it lacks is measured, cached and marked."""
    table = tmp_path / "table.json"
    made = run_cli("table", "resnet50@224,classes=200", "--counter", "thop-2020", "-o", str(table))
    assert made.returncode == 0, made.stderr
    data = json.loads(table.read_text(encoding="utf-8"))
    (row,) = data["rows"]
    before = estimated(run_cli, log, "--table", table)
    assert before["gflops_per_video"] == estimated(run_cli, log)["gflops_per_video"]
    row["total_macs"] += 10**9
    table.write_text(json.dumps(data), encoding="utf-8")
    after = estimated(run_cli, log, "--table", table)
    # resnet50 runs twice a video
    assert int(after["macs_per_video"]) - int(before["macs_per_video"]) == 2 * 10**9
    notes = {name: part["note"] for name, part in after["by_component"].items()}
    assert notes["resnet50"] == ""
    assert notes["policy"] == f"measured by flopbench: {table} lacks it"


def test_a_warm_cache_needs_no_torch(run_cli: RunCli, log: Path, tmp_path: Path) -> None:
    """Once prices are cached, neither verb imports torch."""
    warm = run_cli("estimate", "--policy-log", str(log), "--by", "class")
    assert warm.returncode == 0, warm.stderr
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torch.py").write_text(BROKEN_TORCH, encoding="utf-8")
    env = {"PYTHONPATH": str(broken)}
    again = run_cli("estimate", "--policy-log", str(log), "--by", "class", env=env, process=True)
    assert (again.returncode, again.stdout) == (0, warm.stdout), again.stderr
    both = run_cli("compare", str(log), str(log), env=env, process=True)
    assert both.returncode == 0, both.stderr
    refresh = run_cli("estimate", "--policy-log", str(log), "--refresh", env=env, process=True)
    assert "torch was imported" in refresh.stderr


@pytest.mark.parametrize("verb", ["estimate", "compare"])
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_to_stdout_and_to_a_file(
    run_cli: RunCli, log: Path, tmp_path: Path, verb: str, format: str
) -> None:
    """A format gives the same bytes twice, and -o the same ones in a file."""
    source = ["--policy-log", str(log)] if verb == "estimate" else [str(log), str(log)]
    args = [verb, *source, "--format", format]
    first, second = run_cli(*args), run_cli(*args)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert "AR-Net" in first.stdout
    target = tmp_path / "out.txt"
    written = run_cli(*args, "-o", str(target))
    assert (written.returncode, written.stdout) == (0, "")
    assert target.read_text(encoding="utf-8") == first.stdout


def test_classes_and_difficulties(run_cli: RunCli, tmp_path: Path) -> None:
    """--by class and --by difficulty break the cost down and say what their groups mean."""
    samples = [
        {
            "actions": [0] * n + [4] * (6 - n),
            "labels": [n % 2],
            "prediction": 0,
            "scores": [float(n), 0.0],
            "extra": {"length": n, "level": "ab"[n > 3]},
        }
        for n in range(6)
    ]
    path = write_log(tmp_path / "run.jsonl", HEADER, samples)
    by_class = estimated(run_cli, path, "--by", "class")
    assert [(g["name"], g["videos"]) for g in by_class["groups"]] == [("0", 3), ("1", 3)]
    mean = sum(g["gflops_per_video"] * g["videos"] for g in by_class["groups"]) / 6
    assert mean == pytest.approx(by_class["gflops_per_video"], rel=1e-12)
    expected = {
        "cost": ("easy", "circular"),
        "margin": ("easy", "softmax margin"),
        "correct": ("right", "one of the video's labels"),
        "length": ("low", "thirds by the column 'length'"),
        "level": ("a", ""),
    }
    for measure, (first, note) in expected.items():
        found = estimated(run_cli, path, "--by", "difficulty", "--difficulty", measure)
        assert found["groups"][0]["name"] == first
        assert note in (found["group_note"] or "")
        assert sum(g["videos"] for g in found["groups"]) == 6
    # Six frames of small margin are difficult, though they cost least.
    margin = estimated(run_cli, path, "--by", "difficulty", "--difficulty", "margin")["groups"]
    assert margin[0]["gflops_per_video"] > margin[-1]["gflops_per_video"]


def test_a_console_block_has_the_published_rule_only(run_cli: RunCli, tmp_path: Path) -> None:
    """AR-Net's printed usage gives its estimator's figure; a warning says what it cannot give."""
    block = (
        "r0(resnet50 224)     :   2 (12.50%)\n"
        "r1(resnet34 168)     :   2 (12.50%)\n"
        "r2(resnet18 112)     :   1 (6.25%)\n"
        "m0(mobilenet_v2 84)  :   1 (6.25%)\n"
        "s0 (skip 1 frames)   :   0 (0.00%)\n"
        "s1 (skip 2 frames)   :   2 (12.50%)\n"
        "s2 (skip 4 frames)   :   8 (50.00%)\n"
        "GFLOPS: 0.856906\n"
    )
    path = tmp_path / "console.txt"
    path.write_text(block, encoding="utf-8")
    args = (path, "--preset", "arnet-resnet", "--counter", "published")
    data = estimated(run_cli, *args, "--steps", "16")
    # 13.7104912 / 16 = 0.8569057
    assert data["gflops_per_frame"] == pytest.approx(0.856906, abs=1e-6)
    assert f"{data['gflops_per_video']:.4f}" == "13.7105"
    assert (data["rule"], data["videos"], data["ci95_gflops_per_video"]) == (
        "published",
        None,
        None,
    )
    assert any("no exact rule, no interval" in text for text in data["warnings"])
    base = ("estimate", "--policy-log", *map(str, args))
    assert_refused(run_cli(*base), "how many steps a video has", "--steps 16")
    exact = run_cli(*base, "--steps", "16", "--rule", "exact")
    assert_refused(exact, "only the published rule applies")
    by_class = run_cli(*base, "--steps", "16", "--by", "class")
    assert_refused(by_class, "--by class cannot apply")


def test_ready_made_counts(run_cli: RunCli, tmp_path: Path) -> None:
    """Counts that another engine made give what the log gives, where they bring decisions."""
    names = ["resnet50@224", "resnet34@168", "resnet18@112", "mobilenet_v2@84"]
    names += ["skip 1", "skip 2", "skip 4"]
    # ARNET_ROWS["cut"]
    frames, decisions = (2, 1, 1, 1, 0, 2, 9), (2, 1, 1, 1, 0, 1, 3)
    lines = ["video,label,action,n,decisions"]
    lines += [f"v,0,{a},{n},{d}" for a, n, d in zip(names, frames, decisions, strict=True)]
    path = tmp_path / "counts.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    args = ("estimate", "--counts", str(path), "--preset", "arnet-resnet", "--format", "json")
    done = run_cli(*args, "--counter", "published", "--by", "class")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert f"{data['gflops_per_video']:.4f}" == "11.4615"
    assert f"{data['published_rule']['gflops_per_video']:.4f}" == "11.4194"
    assert [g["videos"] for g in data["groups"]] == [1]
    margin = run_cli(*args, "--by", "difficulty", "--difficulty", "margin")
    assert_refused(margin, "--difficulty margin needs the log")


def test_forms_of_one_log_compare_equal(run_cli: RunCli, tmp_path: Path) -> None:
    """JSONL, CSV, Parquet and NPZ of one run have one cost and one accuracy, in pairs."""
    pytest.importorskip("duckdb")
    pytest.importorskip("sklearn")
    samples = [
        {
            "actions": [n % 7] * 16,
            "labels": [n % 3],
            "prediction": n % 2,
            "scores": [0.25 * (n % 5), 0.5, 0.125 * n],
        }
        for n in range(12)
    ]
    path = write_log(tmp_path / "run.jsonl", HEADER, samples)
    paths = [path]
    for suffix in ("json", "parquet", "npz"):
        paths.append(tmp_path / f"run.{suffix}")
        done = run_cli("log", "convert", str(path), "-o", str(paths[-1]))
        assert done.returncode == 0, done.stderr
    for metric, expected in (("top-1", 33.33), ("mAP", None)):
        done = run_cli("compare", *map(str, paths), "--metric", metric, "--format", "json")
        assert done.returncode == 0, done.stderr
        data = json.loads(done.stdout)
        percents = [approach["percent"] for approach in data["approaches"]]
        assert len(set(percents)) == 1
        if expected is not None:
            # n % 2 == n % 3 for n = 0, 1, 6, 7 of 12
            assert percents[0] == pytest.approx(expected, abs=0.01)
        for difference in data["differences"]:
            assert difference["paired"]
            assert difference["gflops_per_video"] == 0
            assert difference["ci95_percent"] == [0, 0]


def test_other_datasets_have_an_exit_status_of_their_own(
    run_cli: RunCli, log: Path, tmp_path: Path
) -> None:
    """Runs on other data: exit status 4, key and both values; --anyway compares."""
    other = write_log(
        tmp_path / "other.jsonl", {**HEADER, "dataset": "fcvid"}, [{"actions": [0] * 16}]
    )
    refused = run_cli("compare", str(log), str(other))
    assert_refused(refused, "'dataset'", "'activitynet'", "'fcvid'", status=4)
    done = run_cli("compare", str(log), str(other), "--anyway")
    assert done.returncode == 0, done.stderr
    assert "Note: the logs differ in 'dataset'" in done.stdout


def test_clusters_from_a_column_and_from_ids(run_cli: RunCli, tmp_path: Path) -> None:
    """Both verbs say what they drew; logs that group the same videos in two ways: status 4."""
    header = {"components": {"net": "value:1e9"}, "actions": [{"name": "run", "costs": {"net": 1}}]}
    header |= {"steps": "varies"}
    clips = [(clip, frame) for clip in range(10) for frame in range(3)]
    samples = [
        {"id": f"clip{c}/{f}", "actions": [0] * (c + 1), "extra": {"clip": c % (9 + n)}}
        for n in (0, 1)
        for c, f in clips
    ]
    paths = [
        write_log(tmp_path / f"{n}.jsonl", header, samples[30 * n : 30 * n + 30]) for n in (0, 1)
    ]
    by_id = estimated(run_cli, paths[0], "--cluster", "id:/")
    by_column = estimated(run_cli, paths[1], "--cluster", "clip")
    assert by_id["ci95_method"]["clusters"] == by_column["ci95_method"]["clusters"] == 10
    assert by_id["ci95_gflops_per_video"] == by_column["ci95_gflops_per_video"]
    done = run_cli("compare", *map(str, paths), "--cluster", "id:/")
    assert "Intervals: bootstrap over 10 clusters (id:/)." in done.stdout
    refused = run_cli("compare", *map(str, paths), "--cluster", "clip")
    # Nine clusters in the first log: the last clip has that of the first.
    assert_refused(refused, "share the --cluster clip of 'clip9/0'", status=4)


def test_streams_like_adamml(run_cli: RunCli, tmp_path: Path) -> None:
    """Two modalities, each with its own decisions: costs by stream, one policy a segment."""
    header = {
        "method": "AdaMML",
        "streams": ["rgb", "audio"],
        "step_unit": "segment",
        "components": {"rgb": "value:4e9", "audio": "value:1e9", "policy": "value:1e8"},
        "actions": [
            {"name": "use", "stream": "rgb", "costs": {"rgb": 1}},
            {"name": "drop", "stream": "rgb", "kind": "skip"},
            {"name": "use", "stream": "audio", "costs": {"audio": 1}},
            {"name": "drop", "stream": "audio", "kind": "skip"},
        ],
        "charges": {"per_step": {"policy": 1}},
    }
    samples = [{"actions": {"rgb": [0, 1, 1, 1, 1], "audio": ["use"] * 3 + ["drop"] * 2}}]
    data = estimated(run_cli, write_log(tmp_path / "run.jsonl", header, samples))
    # 4 + 3 × 1 + 5 × 0.1
    assert data["gflops_per_video"] == 7.5
    assert data["gflops_per_frame"] == 1.5
    assert data["by_action"]["audio: use"]["own_gflops_per_video"] == 3.0
    # Half of the policy's cost of a segment is on each stream: 3 × 0.05.
    assert data["by_action"]["audio: use"]["gflops_per_video"] == pytest.approx(3.15)


def test_a_counter_that_sees_nothing_makes_nothing_free(run_cli: RunCli, log: Path) -> None:
    """THOP's rules of 2020 lack the LSTM: the reference counter's MACs stand in, with a warning."""
    args = ("--variant", "lstm=counted", "--format", "json")
    done = run_cli("estimate", "--policy-log", str(log), *args)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["table"]["counter"] == "thop-2020"
    assert data["by_component"]["lstm"]["macs"] == 3_670_016  # 4 × 512 × (1280 + 512)
    warning = "lstm: thop-2020 does not count it: charged as torch counts it"
    assert warning in data["warnings"]
    assert f"flopbench: warning: {warning}" in done.stderr
    # On a terminal warnings go to stderr alone; a document carries them itself.
    shown = run_cli("estimate", "--policy-log", str(log), *args[:2])
    assert warning in shown.stderr
    assert "Warning:" not in shown.stdout
    document = run_cli("estimate", "--policy-log", str(log), *args[:2], "--format", "md")
    assert f"Warning: {warning}" in document.stdout
