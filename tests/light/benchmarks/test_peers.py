"""``benchmarks/peers``: the page says what was measured, and the truth is a formula."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from benchmarks.peers import counters, startup
from benchmarks.peers.__main__ import OUT, measured, page
from benchmarks.peers.common import ratio, run, take_turns
from benchmarks.peers.networks import CLASSES, NETWORKS, TABLE2
from flopbench.counting.run import preset_specs
from flopbench.models.presets import load_preset


def test_the_committed_page_is_made_from_the_committed_data() -> None:
    """Made again from the raw data, the page has the same text; without data there is none."""
    found = measured(OUT)
    committed = OUT / "README.md"
    assert committed.exists() == bool(found), "python -m benchmarks.peers page"
    if found:
        assert page(found) == committed.read_text(encoding="utf-8")


def test_table_2_is_the_preset() -> None:
    """The peers count the networks that ``flopbench table`` counts."""
    specs = [str(spec) for spec in preset_specs(load_preset("arnet"))]
    assert [f"{name}@{pixels},classes={CLASSES}" for name, pixels in TABLE2.items()] == specs


def test_the_truth() -> None:
    """The formulas give the integers that every counter without a gap gives."""
    assert {name: network.dense_macs for name, network in NETWORKS.items()} == {
        "resnet18": 1_814_073_344,
        "vit_b_16": 17_563_828_224,
        "swin_t": 4_490_566_656,
        "r3d_18": 40_696_553_472,
        "lstm": 58_720_256,  # 16·4·512·1792
        "decoder": 227_147_776,  # 64·(4·(4·256² + 2·64·256 + 3·256·688) + 256·1000)
    }


def test_a_process_is_measured_and_its_failure_is_told() -> None:
    """Time and memory are those of the process; one that fails ends the run with what it said."""
    cost, output = run([sys.executable, "-c", "sum(range(10**6)); print('done')"])
    assert output == "done\n"
    assert 0 < cost["cpu_s"] <= 10 * cost["wall_s"]
    assert cost["peak_mb"] > 1
    with pytest.raises(SystemExit, match="exit 3\nwhy"):
        run([sys.executable, "-c", "import sys; sys.stderr.write('why'); sys.exit(3)"])


def test_turns_and_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    """Each round begins with another one; ratios are of the same round, never of two medians."""
    called: list[str] = []
    calls = {name: lambda name=name: called.append(name) for name in "abc"}
    take_turns(calls, 2)
    assert called == [*"abc", *"bca"]
    assert "round 2 of 2" in capsys.readouterr().err
    assert str(ratio([1, 20, 3], [2, 10, 1])) == "2 (0.5 to 3)"


def costs(**cpu_s: tuple[float, float]) -> dict[str, list[dict[str, float]]]:
    """Return two rounds of each process."""
    return {
        name: [{"wall_s": 9.0, "cpu_s": value, "peak_mb": 100.0} for value in values]
        for name, values in cpu_s.items()
    }


@pytest.fixture
def data() -> dict[str, Any]:
    """THOP beside flopbench: dearer in one call, cheaper again, wrong on the ViT."""
    spent = costs(imports=(4, 4), models=(5, 5), thop=(6, 8), flopbench=(9, 8))
    spent |= {counters.COLD: spent["flopbench"], counters.WARM: costs(a=(0.3, 0.4))["a"]}
    each = {network: {"macs": 10**9, "cpu_s": [0.1, 0.2]} for network in TABLE2}
    off = NETWORKS["vit_b_16"].dense_macs // 2
    true = {name: {"macs": n.dense_macs, "changes": {}} for name, n in NETWORKS.items()}
    true["training"] = {"macs": 1, "changes": {}}
    wrong = {
        **true,
        "vit_b_16": {"macs": off, "changes": {}},
        "lstm": {"error": "TypeError: no", "changes": {}},
        "training": {"macs": 1, "changes": {"keys": "18: total_ops"}},
    }
    return {
        "costs": spent,
        "table2": dict.fromkeys(("models", "thop", "flopbench"), each),
        "exact": {"thop": wrong, "flopbench": true},
    }


def test_a_peer_that_takes_less_is_named_with_the_reason(data: dict[str, Any]) -> None:
    """9 / 6 and 8 / 8: not ahead, with what it does beside; 0.3 / 6 is."""
    found = {verdict.what: verdict for verdict in counters.verdicts(data)}
    behind = found["CPU, flopbench.profile"]
    assert (behind.ratio, behind.ahead) == ("1.25 (1 to 1.5)", False)
    assert behind.reason.endswith("3.50 s beyond imports and building")
    assert found["CPU, flopbench table, again"].ahead
    assert found["exact figures"].ratio == "6 against 4 of 6"
    assert found["left unchanged"].ratio == "7 against 6 of 7"


def test_the_section_says_how_far_off_and_what_changed(data: dict[str, Any]) -> None:
    """A wrong figure in per cent of the truth, a failure's message, the name of what changed."""
    lines = counters.section(data).splitlines()
    (off,) = [line for line in lines if line.startswith("| thop") and "exact" in line]
    assert off == "| thop | exact | −50.0 % | exact | exact | fails [1] | exact | 4 of 6 |"
    assert "[1] TypeError: no" in lines
    assert any(line.startswith("| thop | 18: total_ops | no |") for line in lines)


def test_start_up_is_judged_by_its_targets() -> None:
    """The median counts: 0.14 s of help are over 0.10 s; 1.15 of the imports are within 1.3."""
    spent = {startup.BARE: (0.02, 0.02), startup.TORCH: (2, 2), startup.FLOOR: (4, 5)}
    spent |= {"flopbench --help": (0.12, 0.16), startup.COLD: (4.4, 6)}
    data = {"costs": costs(**spent)}
    found = startup.verdicts(data)
    assert [(v.what, v.ratio, v.ahead) for v in found] == [
        ("CPU s of a process, --help: at most 0.1", "0.14 (0.12 to 0.16)", False),
        ("CPU, a multiple of the imports: at most 1.3", "1.15 (1.1 to 1.2)", True),
    ]
    assert "interpreter takes 0.02 s" in found[0].reason
    assert "| flopbench --help | 0.14 (0.12 to 0.16) |" in startup.section(data)
