"""Counter against counter as data: exact totals, differences, verdicts, failures."""

from __future__ import annotations

import pytest
from conftest import ROOT
from msgspec.structs import replace
from records import gap, op, profile

from flopbench.core.errors import InputError
from flopbench.counting.agreement import CounterVerdict, judge_counters
from flopbench.counting.profile import OTHER_FAMILIES
from flopbench.counting.run import Explanation
from flopbench.present.figures.counters import counters, dense_difference

counters_of = counters.make

CONV, LINEAR = op("c", "conv", 900), op("f", "linear", 100)


def net() -> Explanation:
    """Four counters: two that agree, one with a norm on top, one that misses the linear layer."""
    profiles = (
        profile("thop", CONV, LINEAR, op("n", "batch_norm", 0, total=30)),
        profile("fvcore", CONV, gaps=(gap("module", "Odd", "f"),)),
        profile("torch", CONV, LINEAR),
    )
    return Explanation(
        profiles=profiles, verdicts=judge_counters(profiles), failures={"calflops": "it raised."}
    )


def test_bars_are_the_profiles_own_totals() -> None:
    """Totals by family, dense MACs and verdicts as in the file, in its order."""
    (model,) = counters_of(net()).models
    assert [(bar.counter, bar.total, bar.profile.dense_macs, bar.status) for bar in model.bars] == [
        ("thop", 1030, 1000, "verified"),
        ("fvcore", 900, 900, "partial"),
        ("torch", 1000, 1000, "verified"),
    ]
    assert model.bars[0].by_family == {"conv": 900, "linear": 100, "batch_norm": 30}
    assert (model.reference, model.dense_macs, model.agreed) == ("torch", 1000, True)
    assert dict(model.failures) == {"calflops": "it raised."}


@pytest.mark.parametrize(
    ("total", "text"),
    [
        (1000, "= dense"),
        (1030, "+3.00 %"),
        (900, "−10.00 %"),
        (0, "−100.00 %"),
    ],
)
def test_differences_in_percent(total: int, text: str) -> None:
    """Signed, two decimals, equality as text."""
    assert dense_difference(total, 1000) == text


def test_a_difference_never_rounds_to_nothing() -> None:
    """One in ten million gets the decimals that it needs; against nothing there is none."""
    assert dense_difference(10_000_001, 10_000_000) == "+0.00001 %"
    assert dense_difference(3, 0) == ""


def test_words_hold_conventions_verdicts_and_gaps() -> None:
    """What each unit is, which verdicts are flagged, what was not counted, what failed."""
    caption = counters_of(net()).caption
    sentences = " ".join(caption.sentences)
    assert "thop 1.0: MACs." in sentences
    assert "dense MACs of torch (vertical line; on which two libraries agree)" in sentences
    assert any(
        text.startswith("fvcore: partial - lists what it leaves out")
        for text in map(str, caption.warnings)
    )
    assert "fvcore did not count Odd (1 module)" in map(str, caption.warnings)
    assert "calflops could not count it: it raised" in map(str, caption.warnings)
    assert caption.alt == (
        "net@8: thop 1,030 (+3.00 %), fvcore 900 (−10.00 %), torch 1,000 (= dense), "
        "calflops could not count it."
    )


def test_a_count_that_no_second_library_gives_is_not_called_agreed() -> None:
    """One counter alone: the line is its own, and the caption says so."""
    alone = profile("torch", CONV)
    figure = counters_of(
        Explanation(profiles=(alone,), verdicts=judge_counters([alone]), failures={}),
    )
    assert not figure.models[0].agreed
    assert "see the verdicts" in figure.caption.sentences[0]


def test_several_models_are_in_percent_of_their_own_dense_macs() -> None:
    """One model has an axis of counts, several one of percent; equal names are numbered."""
    assert not counters_of(net()).relative
    both = counters_of([net(), net()])
    assert both.relative
    assert [model.name for model in both.models] == ["net@8 #1", "net@8 #2"]
    assert any(text.startswith("net@8 #1, fvcore:") for text in map(str, both.caption.warnings))


def test_more_families_than_looks_are_drawn_together() -> None:
    """The smallest beyond eight share a segment, and the caption names them."""
    many = profile(
        "thop", CONV, LINEAR, *(op(f, f, 0, total=n + 1) for n, f in enumerate(OTHER_FAMILIES))
    )
    figure = counters_of(Explanation(profiles=(many,), verdicts={}, failures={}))
    labels = [label for label, _ in figure.stacked]
    assert len(labels) == 8
    assert labels[:2] == ["convolution", "linear"]
    assert labels[-1] == "2 smaller families"
    assert "Drawn together: batch norm and layer or group norm." in figure.caption.sentences
    assert sum(len(families) for _, families in figure.stacked) == 9


def test_numbers_add_up_to_the_totals() -> None:
    """The families of a counter sum to its total; a failure has a row without counts."""
    numbers = counters_of(net()).table
    rows = [dict(zip(numbers.header, row, strict=True)) for row in numbers.rows]
    thop = [row for row in rows if row["counter"] == "thop"]
    assert sum(row["family_total"] for row in thop) == thop[0]["total"] == 1030  # type: ignore[misc]
    assert thop[0]["total_over_reference_dense"] == pytest.approx(0.03)
    assert [row["family_is_dense"] for row in thop] == [True, True, False]
    assert rows[-1]["verdict"] == "failed"
    assert rows[-1]["total"] is None


def test_a_model_without_dense_macs_is_drawn_without_a_line() -> None:
    """Zeros divide nothing."""
    bare = replace(profile("torch", op("n", "norm", 0, total=5)), counter="thop")
    figure = counters_of(
        Explanation(
            profiles=(bare,), verdicts={"thop": CounterVerdict(status="unverified")}, failures={}
        )
    )
    assert figure.models[0].dense_macs == 0
    assert figure.caption.alt == "net@8: thop 5."


def test_files_of_other_kinds_are_refused() -> None:
    """A timing file is recognised."""
    with pytest.raises(InputError, match=r"is a timing file; this figure takes a profiles file"):
        counters_of(ROOT / "tests/data/timings.json")
    with pytest.raises(InputError, match="no profiles file"):
        counters_of([])
