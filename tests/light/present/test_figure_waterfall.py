"""The steps from the theoretical to the measured speed-up as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from clocks import times_of
from conftest import ROOT
from msgspec.structs import replace

from flopbench.core.errors import DataError, InputError
from flopbench.present.figures.waterfall import waterfall
from flopbench.replay.figures import figures_of
from flopbench.replay.records import Replay, load_replay, read_replay

waterfall_of = waterfall.make

REPLAY = ROOT / "reports/replay-amd-epyc.json"


def changed(**fields: Any) -> Replay:
    """Return the committed replay with other fields."""
    return read_replay({**json.loads(REPLAY.read_text(encoding="utf-8")), **fields})


def test_steps_are_the_replays_own_chain() -> None:
    """Each step starts where the one before it ends, at the estimator's times."""
    replay = load_replay(REPLAY)
    figure = waterfall_of(REPLAY)
    assert [chain.mode for chain in figure.chains] == list(replay.modes)
    for chain in figure.chains:
        own = figures_of(replay, chain.mode).waterfall
        steps = {step.name: step for step in chain.steps}
        assert list(steps) == [
            "uniform baseline", "theory", "arms", "fragmentation", "policy", "synchronisation",
            "measured",
        ]  # fmt: skip
        assert steps["uniform baseline"].end_s == own.baseline_s
        assert steps["theory"].end_s == own.chain_s["theory"]
        parts = chain.steps[1:-1]
        assert [b.start_s for b in parts[1:]] == [a.end_s for a in parts[:-1]]
        assert parts[-1].end_s == steps["measured"].end_s == own.chain_s["full"]
        assert chain.measured == own.measured
        assert chain.interval == own.interval


def test_factors_multiply_to_the_measured_speed_up() -> None:
    """Theory × the steps' factors is the measured speed-up."""
    for chain in waterfall_of(REPLAY).chains:
        product = chain.theory
        for step in chain.steps:
            product *= step.factor or 1.0
            assert step.speedup == pytest.approx(chain.steps[0].end_s / step.end_s)
        assert product == pytest.approx(chain.measured)


@pytest.mark.parametrize(
    ("interval", "texts"),
    [
        # Half-widths of 0.005, 0.05 and 0.5 of 2: 0.0025, 0.025 and 0.25 of it, so of 100 ms.
        ((1.995, 2.005), ("100.00", "2.0000")),
        ((1.95, 2.05), ("100.0", "2.000")),
        ((1.5, 2.5), ("100", "2.00")),
        (None, ("100", "2.00")),  # as if it were known to 10 %
    ],
)
def test_digits_end_where_the_interval_does(interval: Any, texts: tuple[str, str]) -> None:
    """Times and speed-ups have two digits of the half-width."""
    chain = waterfall_of(REPLAY).chains[0]
    steps = (replace(chain.steps[-1], end_s=0.1, speedup=2.0),)
    own = replace(chain, steps=steps, interval=interval)
    assert (own.ms_text(0.1), own.speedup_text(2.0)) == texts


def test_numbers_are_one_row_a_bar_in_seconds() -> None:
    """Header and rows hold starts, ends, factors and the interval, unrounded."""
    figure = waterfall_of(REPLAY, modes=["split"])
    table = figure.table
    rows = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    assert [row["step"] for row in rows] == [step.name for step in figure.chains[0].steps]
    assert [row["end_s"] for row in rows] == [step.end_s for step in figure.chains[0].steps]
    assert (rows[-1]["speedup_low"], rows[-1]["speedup_high"]) == figure.chains[0].interval
    assert rows[0]["speedup_low"] is None


def test_the_caption_says_where_it_was_measured() -> None:
    """Device, dtype, threads, clock, processes, baseline, counter, networks with variants."""
    sentences = " ".join(waterfall_of(REPLAY).caption.sentences)
    for text in ("AMD EPYC", "fp32", "1 thread", "process CPU time", "3 processes", "torch 2.15.0",
                 "every step takes resnet50@224", "1 MAC = 2 FLOPs",
                 "policy is mobilenet_v2@84,classes=200",
                 "lstm is lstm:1280x512 (variant 'counted')."):  # fmt: skip
        assert text in sentences


def test_a_replay_of_one_process_has_no_interval_and_says_so() -> None:
    """Warning and caption both tell."""
    data = json.loads(REPLAY.read_text(encoding="utf-8"))
    caption = waterfall_of(read_replay({**data, "runs": data["runs"][:1]})).caption
    assert any("no interval" in w for w in map(str, caption.warnings))
    assert any("2 of 3" in w or "1 of 3" in w for w in map(str, caption.warnings))
    assert "No interval: fewer than three processes." in caption.sentences


def test_several_replays_are_told_apart() -> None:
    """Names come from methods or from the caller; unlike machines are warned of."""
    gpu = {"device": "cuda", "name": "GPU", "facts": {}, "absent": {}}
    other = changed(method="other", device=gpu)
    figure = waterfall_of([REPLAY, other], modes=["split", "online"])
    assert [c.name for c in figure.chains] == [
        "steady, split", "steady, online", "other, split", "other, online"
    ]  # fmt: skip
    assert any("differ in device" in w for w in map(str, figure.warnings))
    named = waterfall_of([REPLAY, other], names=["a", "b"], modes=["split"])
    assert [c.one.name for c in named.chains] == ["a", "b"]


def test_a_mode_that_one_replay_lacks_is_told() -> None:
    """What the other has is drawn."""
    data = json.loads(REPLAY.read_text(encoding="utf-8"))
    runs = [{**r, "modes": {"split": r["modes"]["split"]}} for r in data["runs"]]
    less = changed(method="less", modes={"split": data["modes"]["split"]}, runs=runs)
    figure = waterfall_of([REPLAY, less], modes=["online"])
    assert [c.name for c in figure.chains] == ["steady, online"]
    assert any(w.startswith("less: no mode 'online'") for w in map(str, figure.warnings))


def test_a_prediction_is_one_more_bar(tmp_path: Path) -> None:
    """All runs × their time; its speed-up is against the same baseline, its bar no part of the
    chain.
    """
    replay = load_replay(REPLAY)
    times = times_of(replay, 0.030, tmp_path / "t.json")
    figure = waterfall_of(REPLAY, modes=["online"], predicted=[times])
    [chain] = figure.chains
    runs = sum(part.arm_runs + part.policy_runs for part in replay.parts.values())
    assert [step.name for step in chain.bars[-2:]] == ["measured", "predicted"]
    assert chain.bars[-1].end_s == pytest.approx(0.030 * runs / replay.videos)
    assert chain.bars[-1].speedup == pytest.approx(
        chain.bars[0].end_s / chain.bars[-1].end_s, rel=1e-12
    )
    assert chain.measured == chain.bars[-2].speedup
    rows = [dict(zip(figure.table.header, row, strict=True)) for row in figure.table.rows]
    assert rows[-1]["step"] == "predicted"
    assert rows[-1]["speedup_low"] == pytest.approx(rows[-1]["speedup"])
    assert any("t.json, without overheads" in text for text in figure.caption.sentences)


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        (REPLAY, {"overheads": "o.json"}, "cannot read o.json"),
        (
            REPLAY,
            {"predicted": [ROOT / "tests/data/timings.json"]},
            "timings.json has no time at batch 1 of lstm",
        ),
        (REPLAY, {"modes": ["onlin"]}, "did you mean 'online'"),
        ([], {}, "no replay was given"),
        (REPLAY, {"names": ["a", "b"]}, "2 names for 1 run"),
        (ROOT / "tests/data/steady.jsonl", {}, "is a policy log"),
        (ROOT / "tests/data/timings.json", {}, "is a timing file"),
        (ROOT / "none.json", {}, "none.json"),
    ],
)
def test_what_cannot_be_drawn_is_refused(given: Any, options: dict[str, Any], said: str) -> None:
    """Unknown modes, no replay, other kinds of files."""
    with pytest.raises((InputError, DataError)) as caught:
        waterfall_of(given, **options)
    assert said in caught.value.line
