"""Verdicts on counters compared with each other, case by case."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from records import gap, op, profile

from flopbench.counting.agreement import judge_counters
from flopbench.counting.profile import FOR_ONE_DRAW, FOR_THESE_VALUES
from flopbench.counting.rows import Measurement, measured_rows
from flopbench.counting.table_grid import line_status
from flopbench.models.spec import parse_spec

CONV = op("conv", "conv", 100)
ATTENTION = op("attn", "attention", 40, name="aten.scaled_dot_product_attention")


def statuses(*profiles: object) -> dict[str, str]:
    """Return counter -> status."""
    return {name: v.status for name, v in judge_counters(profiles).items()}  # type: ignore[arg-type]


def test_two_libraries_that_agree_are_verified() -> None:
    """Totals may differ; the dense integer may not."""
    thop = profile("thop", CONV, op("bn", "batch_norm", 0, total=7))
    assert statuses(thop, profile("torch", CONV)) == {"thop": "verified", "torch": "verified"}


def test_one_library_is_no_witness_for_itself() -> None:
    """THOP under two rule books is one library: its agreement with itself proves nothing."""
    blind = [profile("thop", CONV), profile("thop-2020", CONV)]
    assert set(statuses(*blind).values()) == {"unverified"}
    judged = statuses(*blind, profile("torch", CONV, ATTENTION))
    assert judged == {"thop": "disputed", "thop-2020": "disputed", "torch": "unverified"}


def test_a_lone_counter_is_unverified() -> None:
    """Nothing confirms it."""
    assert statuses(profile("torch", CONV)) == {"torch": "unverified"}
    assert judge_counters([]) == {}


def test_a_counter_that_lists_its_gap_is_partial() -> None:
    """Every module in which it falls short is one that it reported itself."""
    blind = profile("fvcore", CONV, gaps=(gap("operator", "aten::sdpa", "attn"),))
    full = [profile("torch", CONV, ATTENTION), profile("deepspeed", CONV, ATTENTION)]
    verdict = judge_counters([blind, *full])["fvcore"]
    assert verdict.status == "partial"
    assert "aten::sdpa" in verdict.reason


def test_a_counter_that_is_silent_is_disputed_and_the_operators_are_named() -> None:
    """What it misses is named with its cost, by the counters that saw it."""
    full = [profile("torch", CONV, ATTENTION), profile("fvcore", CONV, ATTENTION)]
    for gaps in (
        (),
        (gap("operator", "aten::sdpa", "elsewhere"),),
        (gap("operator", "aten::add", "attn", may_multiply=False),),
        (gap("unseen", "aten::bmm", "attn"),),
        (gap("uncalled", "Linear", "attn"),),
    ):
        verdict = judge_counters([profile("thop", CONV, gaps=gaps), *full])["thop"]
        assert verdict.status == "disputed", gaps
        assert "aten.scaled_dot_product_attention" in verdict.reason
        assert "against torch" in verdict.reason


def test_a_counter_that_says_too_much_is_disputed() -> None:
    """A listed gap explains a shortfall, never an excess."""
    high = profile("thop", op("conv", "conv", 400), gaps=(gap("module", "Odd", "conv"),))
    judged = statuses(high, profile("torch", CONV), profile("fvcore", CONV))
    assert judged == {"thop": "disputed", "torch": "verified", "fvcore": "verified"}


def test_the_operators_of_an_excess_are_those_of_the_counter_that_says_more() -> None:
    """What it counted and nobody else did is named, not what the others have."""
    high = profile("thop", op("conv", "conv", 400, name="thop.Conv2d"))
    judged = judge_counters([high, profile("torch", CONV), profile("fvcore", CONV)])
    assert judged["thop"].reason == "against torch: conv 400 of 100 MACs (thop.Conv2d)"


def test_agreement_on_what_everybody_misses_is_only_partial() -> None:
    """When the reference met an unpriced operator, every figure is incomplete."""
    reference = profile("torch", CONV, gaps=(gap("operator", "my::op", ""),))
    verdicts = judge_counters([profile("thop", CONV), reference])
    assert {v.status for v in verdicts.values()} == {"partial"}
    assert "my::op" in verdicts["thop"].reason
    # What fvcore lists and the reference does not is free, so it is not among them.
    also = profile("fvcore", CONV, gaps=(gap("operator", "aten::free", "conv"),))
    verdict = judge_counters([also, reference])["fvcore"]
    assert verdict.reason == "no counter prices my::op: the true cost may be higher"


def test_blind_counters_do_not_outvote_the_one_that_sees() -> None:
    """A sum has no witness where one of those who give it lists a gap that another prices."""
    seen = op("attn", "attention", 40, name="aten._weight_int4pack_mm")
    listed = gap("operator", "aten::_weight_int4pack_mm", "attn")
    full = profile("torch", CONV, seen)
    blind = [profile("thop", CONV), profile("deepspeed", CONV)]
    judged = judge_counters([*blind, profile("fvcore", CONV, gaps=(listed,)), full])
    assert judged["torch"].status == "unverified"
    assert judged["torch"].reason == "no second library gives these dense MACs without a gap"
    assert judged["fvcore"].status == "partial"
    for counter in ("thop", "deepspeed"):
        assert judged[counter].status == "disputed"
        assert "aten._weight_int4pack_mm" in judged[counter].reason


def test_a_gap_of_which_another_has_no_more_is_not_priced_by_it() -> None:
    """What torch has more is elsewhere, so two witnesses without gaps stand."""
    listed = profile("thop", CONV, gaps=(gap("module", "Odd", "conv"),))
    clean = [profile(name, CONV) for name in ("deepspeed", "fvcore")]
    judged = statuses(listed, *clean, profile("torch", CONV, ATTENTION))
    assert judged == {
        "thop": "verified", "deepspeed": "verified", "fvcore": "verified", "torch": "disputed"
    }  # fmt: skip


def test_a_counter_with_an_open_gap_is_no_witness() -> None:
    """Neither for a sum of its own nor for the reference's; what was never called is no gap."""
    for kind, status in (
        ("module", "unverified"),
        ("unseen", "unverified"),
        ("uncalled", "verified"),
    ):
        other = profile("thop", CONV, gaps=(gap(kind, "Scale", "scale"),))
        assert statuses(other, profile("torch", CONV)) == {"thop": status, "torch": status}
    both = [profile(name, CONV, gaps=(gap("module", "Scale", "s"),)) for name in ("thop", "fvcore")]
    verdicts = judge_counters(both)
    assert {v.status for v in verdicts.values()} == {"partial"}
    assert verdicts["thop"].reason == "no counter prices Scale: the true cost may be higher"
    alone = judge_counters(both[:1])["thop"]
    assert alone.reason == "thop does not price Scale: the true cost may be higher"


def test_an_operator_that_the_reference_knows_to_be_free_is_no_gap_of_the_sum() -> None:
    """The reference sees every operator: what fvcore has no handle for is on the free list."""
    unknown = profile("fvcore", CONV, gaps=(gap("operator", "aten::new_op", "conv"),))
    assert set(statuses(unknown, profile("torch", CONV)).values()) == {"verified"}
    excess = profile("thop-2020", op("conv", "conv", 400))
    judged = statuses(unknown, profile("torch", CONV), excess)
    assert judged == {"fvcore": "verified", "torch": "verified", "thop-2020": "disputed"}


def test_nothing_of_a_model_with_parameters_is_never_verified() -> None:
    """Two counters that see nothing agree, too; without parameters there is nothing to see."""
    for params, status in ((0, "verified"), (12, "unverified")):
        pool = op("pool", "pool", 0, total=3)
        pair = [replace(profile(name, pool), params=params) for name in ("thop", "torch")]
        verdict = judge_counters(pair)["torch"]
        assert verdict.status == status
    assert verdict.reason == "0 dense MACs of a model with 12 parameters"


@pytest.mark.parametrize("start", [FOR_THESE_VALUES, FOR_ONE_DRAW])
def test_a_count_of_one_run_is_verified_for_it_alone(start: str) -> None:
    """The note is the reason, is said once in a row, and stands in the table's cell."""
    note = f"{start}: why"
    pair = [replace(profile(name, CONV), notes=("other", note)) for name in ("thop", "torch")]
    verdict = judge_counters(pair)["torch"]
    assert (verdict.status, verdict.reason, verdict.plain) == ("verified", note, False)
    assert verdict.text == f"verified {start}"
    plain = judge_counters([profile("thop", CONV), profile("torch", CONV)])["torch"]
    assert (plain.plain, plain.text) == (True, "verified")
    high = profile("fvcore", op("conv", "conv", 400))
    measured = Measurement(spec=parse_spec("resnet18@8"), profiles=(*pair, high), failures={})
    rows = measured_rows(measured, ["thop", "torch", "fvcore"], None)
    assert rows[0].notes == ("other", note)
    assert line_status(rows[:2]) == f"verified {start}"
    assert line_status(rows) == f"verified {start}; disputed: fvcore"


def test_the_reference_wins_where_two_pairs_agree() -> None:
    """With two agreeing pairs, the one with the reference counter is trusted."""
    low = [profile("thop", CONV), profile("torchinfo", CONV)]
    high = [profile("torch", CONV, ATTENTION), profile("fvcore", CONV, ATTENTION)]
    judged = statuses(*low, *high)
    assert judged["torch"] == judged["fvcore"] == "verified"
    assert judged["thop"] == judged["torchinfo"] == "disputed"


def test_without_the_reference_the_majority_of_libraries_is_believed() -> None:
    """Three libraries outvote two, though the two give more; where as many do, more is believed."""
    low = [profile(name, CONV) for name in ("thop", "torchinfo", "deepspeed")]
    high = [profile(name, CONV, ATTENTION) for name in ("fvcore", "calflops")]
    judged = statuses(*high, *low)
    assert {name for name, status in judged.items() if status == "verified"} == {
        "thop", "torchinfo", "deepspeed"
    }  # fmt: skip
    tied = statuses(*low[:2], *high)
    assert {name for name, status in tied.items() if status == "verified"} == {
        "fvcore", "calflops"
    }  # fmt: skip
