"""``benchmarks/peers/spread``: what a spread is, and who is ahead."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.peers.spread import section, spreads, verdicts


def test_spreads_are_shares_of_the_median() -> None:
    """Range and middle half of 8, 9, 10, 11, 14: 6 and 2 of 10."""
    assert spreads([10, 8, 14, 9, 11]) == pytest.approx((0.6, 0.2))
    assert spreads([3.0]) == (0, 0)


def test_flopbench_is_compared_with_the_best_peer() -> None:
    """It has to be half as wide; the reason gives both."""
    repeats = [
        {
            "headline_s": {"flopbench": ours, "other": 1 + n / 10, "better": 1 + n / 20},
            "took_s": dict.fromkeys(("flopbench", "other", "better"), 4.0),
        }
        for n, ours in enumerate((1.0, 1.03, 1.01))
    ]
    data: dict[str, Any] = {"cases": [{"network": "net", "state": "quiet", "repeats": repeats}]}
    together, verdict = verdicts(data)
    assert together.ratio == verdict.ratio  # of a single case
    assert (verdict.peer, verdict.ratio, verdict.ahead) == ("better, target 0.5", "0.312", True)
    assert "| net | quiet | other | 1100 | 18.18 | 9.09 | 4 | 3 |" in section(data)
    repeats[1]["headline_s"]["flopbench"] = 1.09
    _, verdict = verdicts(data)
    assert not verdict.ahead
    assert verdict.reason == "8.9 % against 9.5 %"


def test_a_peer_that_is_steady_in_one_case_is_not_the_best_of_all() -> None:
    """Over the median of its case, ``lucky`` reaches from 1 to 1.5, ``other`` from 10/11 to 12/11.

    flopbench's headlines reach from 1 to 1.02 in each.
    """
    cases = [
        {"flopbench": (1.0, 1.0, 1.02), "other": (1.0, 1.1, 1.2), "lucky": (1.0, 1.0, 1.0)},
        {"flopbench": (2.0, 2.0, 2.04), "other": (2.0, 2.2, 2.4), "lucky": (2.0, 2.0, 3.0)},
    ]
    data: dict[str, Any] = {
        "cases": [
            {
                "network": "net",
                "state": f"state {n}",
                "repeats": [{"headline_s": {k: v[i] for k, v in one.items()}} for i in range(3)],
            }
            for n, one in enumerate(cases)
        ]
    }
    together, steady, _ = verdicts(data)
    assert (together.what, together.peer) == ("spread of latency, all cases", "other, target 0.5")
    assert (together.ratio, together.ahead) == ("0.11", True)  # 0.02 / (2/11)
    assert (steady.peer, steady.ahead) == ("lucky, target 0.5", False)
