"""Prices of components: variants, overrides, saved tables, a publication's own figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from logs import ARNET_ROWS, header_of, rows, write_log
from msgspec.structs import replace
from records import op, profile

from flopbench.core.errors import InputError, MeasureError
from flopbench.counting.cost_row import CostRow
from flopbench.counting.registry import is_installed
from flopbench.counting.rows import Measurement
from flopbench.counting.run import measure
from flopbench.counting.table import CostTable
from flopbench.estimate import price_rows
from flopbench.estimate.price_rows import UnpricedError, table_command
from flopbench.estimate.prices import PriceBook, PriceList, price_book
from flopbench.estimate.runs import Choices, Run, run_of_log
from flopbench.estimate.text import estimate_grids

# thop-2020's figures of AR-Net's networks, in MACs.
THOP_2020 = {
    "resnet50@224,classes=200": 4_110_285_824,
    "resnet34@168,classes=200": 2_249_000_192,
    "resnet18@112,classes=200": 486_322_176,
    "mobilenet_v2@84,classes=200": 52_921_376,
}
LSTM_COUNTED = 4 * 512 * (1280 + 512)


def row(
    spec: str, macs: int | None, counter: str = "thop-2020", status: str = "verified"
) -> CostRow:
    """Return one row of a table."""
    model, _, size = spec.partition(",")[0].partition("@")
    return CostRow(
        model=model,
        input=size,
        counter=counter,
        counter_version="1",
        total_macs=macs,
        dense_macs=macs,
        params=1,
        activations=1,
        feature_dim=1,
        published_gflops=None,
        status=status,
        classes=200,
        spec=spec,
    )


def table(*more: CostRow, without: str = "", counter: str = "thop-2020") -> CostTable:
    """Return a table of AR-Net's networks."""
    known = [row(spec, n, counter) for spec, n in THOP_2020.items() if spec != without]
    lstm = row("lstm:1280x512", LSTM_COUNTED, counter)
    return CostTable(rows=(*known, lstm, *more))


def book(**choices: Any) -> PriceBook:
    """Return AR-Net's prices out of a table."""
    choices = {"table": table(), "table_source": "t.json", **choices}
    return price_book(header_of(preset="arnet-resnet"), **choices)


def estimated(path: Path, *texts: str, **choices: Any) -> Run:
    """Estimate AR-Net's rows with prices out of a table."""
    samples = [{"actions": rows(text)} for text in texts]
    log = write_log(path / "run.jsonl", {"preset": "arnet-resnet"}, samples)
    return run_of_log([log], Choices(**{"table": table(), "table_source": "t.json", **choices}))


@pytest.fixture(autouse=True)
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a price is measured."""

    def refuse(specs: Any, counters: Any, **terms: Any) -> Any:
        if terms.get("cached_only"):
            return measure(specs, counters, **terms)
        pytest.fail(f"measured {specs} under {counters}")

    monkeypatch.setattr(price_rows, "measure", refuse)


def test_variants_of_the_lstm() -> None:
    """The supplement's d², the code's 2 d² and the counted 4 h (d + h); the code's by default."""
    # 1280² = 1,638,400; twice that; 4 × 512 × (1280 + 512)
    expected = {"published": 1_638_400, "released": 3_276_800, "counted": 3_670_016}
    for variant, macs in expected.items():
        price = book(variants={"lstm": variant}).lists["thop-2020"].prices["lstm"]
        assert (price.total_macs, price.variant) == (macs, variant)
    price = book().lists["thop-2020"].prices["lstm"]
    assert (price.total_macs, price.variant) == (3_276_800, "released")
    assert "AR-Net released code" in price.note


def test_unknown_names_are_refused() -> None:
    """An unknown variant or counter is refused with a near match, also where all are constants."""
    with pytest.raises(InputError, match="no variant 'publisched'") as caught:
        book(variants={"lstm": "publisched"})
    assert "'published'" in caught.value.hint
    with pytest.raises(InputError, match="no counter 'fvcor'") as caught:
        book(counter="fvcor")
    assert "'fvcore'" in caught.value.hint
    with pytest.raises(InputError, match="no counter 'torhc'"):
        price_book(header_of(preset="frameexit"), counter="torhc")


AMBIGUOUS = (
    "'1.8 GFLOPS' can mean 1.8 GMACs (as papers on efficient networks print it) or 1.8 billion "
    "FLOPs = 0.9 GMACs: write '1.8 GMACs' or '1.8 GFLOPs'"
)


def test_a_price_with_two_readings_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    """In the header of a log, in a preset, in an override: the same message."""
    actions = [{"name": "run", "costs": {"net": 1}}]
    samples = [{"actions": ["run"]}]
    components = {"net": 'value:1.8 GFLOPS "paper"'}
    log = write_log(tmp_path / "a.jsonl", {"components": components, "actions": actions}, samples)
    preset = tmp_path / "mine.toml"
    preset.write_text(
        'schema = 1\ntitle = "Mine"\nsource = "me"\n[policy]\nsteps = 1\n'
        'actions = [{ name = "run", costs = { net = 1 } }]\n'
        "[policy.components]\nnet = 'value:1.8 GFLOPS \"paper\"'\n",
        encoding="utf-8",
    )
    by_preset = write_log(tmp_path / "b.jsonl", {"preset": str(preset)}, samples)
    good = write_log(
        tmp_path / "c.jsonl", {"components": {"net": "value:1"}, "actions": actions}, samples
    )
    override = Choices(components={"net": "value:1.8 GFLOPS"})
    for path, choices in ((log, Choices()), (by_preset, Choices()), (good, override)):
        with pytest.raises(InputError) as refused:
            run_of_log([path], choices)
        assert refused.value.line == AMBIGUOUS, path


def test_an_override_replaces_the_component(tmp_path: Path) -> None:
    """--component charges another model for the same decisions."""
    run = estimated(tmp_path, ARNET_ROWS["cut"], components={"policy": "value:1e6"})
    price = run.prices.prices["policy"]
    assert (price.total_macs, price.spec) == (10**6, "value:1000000")
    # 2 × 4.110285824 + 2.249000192 + 0.486322176 + 9 × (0.001 + 0.0032768)
    before = estimated(tmp_path, ARNET_ROWS["cut"]).primary.macs_per_video
    assert before - run.primary.macs_per_video == 9 * (52_921_376 - 10**6)


NET = "resnet50@224,classes=200"
UNUSED = "6,272 of 6,800 parameters (92.2 %) took no part: tower"


def with_rows(*rows: CostRow) -> CostTable:
    """Return the table with other rows of ResNet-50."""
    return CostTable(rows=(*(r for r in table().rows if r.model != "resnet50"), *rows))


def judged(counter: str, status: str, dense: int | None, *notes: str, total: int = 0) -> CostRow:
    """Return one row of ResNet-50."""
    one = row(NET, total or dense, counter, status)
    return replace(one, dense_macs=dense, notes=notes)


# What each counter gives of one network -> what is charged, by whose count, and what is said.
JUDGED = {
    "verified": (
        [judged("thop-2020", "verified", 100, total=103), judged("torch", "verified", 100)],
        (103, "", ""),
    ),
    "nothing confirms it": (
        [judged("thop-2020", "unverified", 90), judged("torch", "unverified", 90)],
        (90, "", ""),
    ),
    "4 of 100": (
        [judged("thop-2020", "partial", 4, total=9), judged("torch", "unverified", 100)],
        (100, "torch", "thop-2020 gives 4.0 % of its dense MACs (partial): "
         "charged as torch counts it"),
    ),
    "4 times as much": (
        [judged("thop-2020", "disputed", 400), judged("torch", "verified", 100)],
        (100, "torch", "thop-2020 gives 400.0 % of its dense MACs (disputed): "
         "charged as torch counts it"),
    ),
    "nothing of it": (
        [judged("thop-2020", "unverified", 0), judged("torch", "unverified", 100)],
        (100, "torch", "thop-2020 does not count it: charged as torch counts it"),
    ),
    "the reference is outvoted": (
        [judged("thop-2020", "partial", 4), judged("torch", "disputed", 90),
         judged("fvcore", "verified", 100, total=104), judged("deepspeed", "verified", 100)],
        (100, "fvcore", "thop-2020 gives 4.0 % of its dense MACs (partial): "
         "charged as fvcore counts it"),
    ),
    "the reference sees more, not all": (
        [judged("thop-2020", "partial", 15), judged("torch", "partial", 60, "no counter prices x")],
        (60, "torch", "thop-2020 gives 25.0 % of its dense MACs (partial): charged as torch "
         "counts it; partial under torch, so at least this: no counter prices x"),
    ),
    "all miss the same": (
        [judged("thop-2020", "partial", 60, "no counter prices x", total=65),
         judged("torch", "partial", 60, "no counter prices x")],
        (65, "", "partial under thop-2020, so at least this: no counter prices x"),
    ),
    "more than a reference with gaps": (
        [judged("thop-2020", "disputed", 400, "why"), judged("torch", "partial", 60)],
        (400, "", "disputed under thop-2020: why"),
    ),
    "two that no verdict doubts": (
        [judged("thop-2020", "partial", 4), judged("fvcore", "unverified", 90),
         judged("torch", "unverified", 100)],
        (100, "torch", "thop-2020 gives 4.0 % of its dense MACs (partial): "
         "charged as torch counts it"),
    ),
    "the reference is doubted, with nothing verified": (
        [judged("thop-2020", "disputed", 4), judged("torch", "partial", 60),
         judged("fvcore", "unverified", 100)],
        (100, "fvcore", "thop-2020 gives 4.0 % of its dense MACs (disputed): "
         "charged as fvcore counts it"),
    ),
    "the reference failed": (
        [judged("thop-2020", "partial", 60, "why"), judged("torch", "failed", None)],
        (60, "", "partial under thop-2020, so at least this: why"),
    ),
    "the note on what is printed comes first": (
        [replace(judged("thop-2020", "partial", 60, "published 4.1", "why"), published_gflops=4.1),
         judged("torch", "partial", 60)],
        (60, "", "partial under thop-2020, so at least this: why"),
    ),
    "parameters that took no part": (
        [judged("thop-2020", "verified", 100), judged("torch", "verified", 100, UNUSED)],
        (100, "", UNUSED),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", JUDGED)
def test_a_doubted_figure_gives_way_to_the_one_to_believe(case: str) -> None:
    """Partial, disputed or nothing: the dense MACs of a counter that sees more are charged."""
    rows, expected = JUDGED[case]
    price = book(table=with_rows(*rows)).lists["thop-2020"].prices["resnet50"]
    assert (price.total_macs, price.stand_in, price.note) == expected
    assert price.flagged == bool(price.note)


def test_what_a_table_alone_doubts_is_counted_by_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it can be; where it cannot, the doubt remains, and the run does not fail."""
    asked: list[Any] = []

    def counted(specs: Any, counters: Any, **_: Any) -> Any:
        asked.append(([str(spec) for spec in specs], counters))
        whole = profile("torch", op("conv", "conv", 100))
        return [Measurement(spec=specs[0], profiles=(whole,), failures={})]

    monkeypatch.setattr(price_rows, "measure", counted)
    partial = with_rows(judged("thop-2020", "partial", 4, "why"))
    found = book(table=partial)
    assert found.lists["thop-2020"].prices["resnet50"].total_macs == 100
    assert list(found.lists) == ["thop-2020", "published"]
    assert asked == [([NET], ["torch"])]

    def fails(*_: Any, **__: Any) -> Any:
        raise InputError("there is no such file here")

    monkeypatch.setattr(price_rows, "measure", fails)
    price = book(table=partial).lists["thop-2020"].prices["resnet50"]
    assert price.note == "partial under thop-2020, so at least this: why"


def test_a_list_alone_is_judged_by_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """``check`` prices under one counter: the reference is asked, too, and has no list."""
    asked: list[Any] = []

    def counted(specs: Any, counters: Any, **_: Any) -> Any:
        asked.append(list(counters))
        parts = {
            "thop-2020": [op("a", "conv", 4)],
            "torch": [op("a", "conv", 4), op("b", "conv", 5)],
        }
        found = tuple(profile(name, *parts[name]) for name in counters)
        return [Measurement(spec=spec, profiles=found, failures={}) for spec in specs]

    monkeypatch.setattr(price_rows, "measure", counted)
    found = book(table=None, alone=True, counter="thop-2020")
    assert list(found.lists) == ["thop-2020"]
    assert found.lists["thop-2020"].prices["resnet50"].total_macs == 9
    book(table=None, alone=True, counter="torch")
    assert asked == [["thop-2020", "torch"], ["torch"]]


def test_doubted_prices_are_warned_of(tmp_path: Path) -> None:
    """In the run's warnings, and below the counters whose lines have the figure of another."""
    rows, (_, _, note) = JUDGED["4 of 100"]
    fine = [row(spec, n, "torch") for spec, n in THOP_2020.items() if spec != NET]
    run = estimated(tmp_path, ARNET_ROWS["uncut"], table=with_rows(*rows, *fine))
    assert [str(w) for w in run.warnings if "charged" in str(w)] == [f"resnet50: {note}"]
    assert [price.component for price in run.prices.prices.values() if price.flagged] == [
        "resnet50"
    ]
    caption = estimate_grids(run)["counters"].caption
    assert caption == ("Counted by torch in place of thop-2020: resnet50.",)
    clean = estimated(tmp_path, ARNET_ROWS["uncut"])
    assert not any("charged" in str(warning) for warning in clean.warnings)
    assert estimate_grids(clean)["counters"].caption == ()


def test_what_a_table_lacks_is_measured_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A component that the table lacks under the primary counter is measured, with a note."""
    if not (is_installed("torch") and is_installed("thop")):
        pytest.skip("a counter that the table lacks must be one that is installed")
    asked: list[tuple[list[str], list[str]]] = []

    def measured(specs: Any, counters: Any, **_: Any) -> list[Any]:
        asked.append(([str(spec) for spec in specs], list(counters)))
        return []

    monkeypatch.setattr(price_rows, "measure", measured)
    lacking = "resnet18@112,classes=200"
    with pytest.raises(MeasureError, match="no prices under thop-2020: resnet18"):
        book(table=table(without=lacking))
    assert asked == [([lacking], ["thop-2020"])]
    with pytest.raises(MeasureError, match="no prices under torch"):
        book(counter="torch")
    assert sorted(asked[1][0]) == sorted(THOP_2020)
    assert asked[1][1] == ["torch", "thop-2020"]


def test_a_witness_in_a_table_is_no_price_list() -> None:
    """It joined one model of the table, and the others do not lack it."""
    joined = table(row("resnet50@224,classes=200", 4_087_136_256, "formula"))
    assert list(book(table=joined).lists) == ["thop-2020", "published"]
    assert not book(table=joined).gaps


def test_published_prices_correct_the_misprint() -> None:
    """The publication's printed figures, with ResNet-18 taken as 0.4863 and a note."""
    found = book(counter="published")
    assert (found.primary, next(iter(found.lists))) == ("published", "published")
    prices = found.lists["published"].prices
    macs = {name: price.total_macs for name, price in prices.items()}
    assert macs == {
        "resnet50": 4_110_300_000,
        "resnet34": 2_249_000_000,
        "resnet18": 486_300_000,
        "policy": 52_900_000,
        "lstm": 3_276_800,
    }
    note = "printed 0.4683, taken as 0.4863: two digits exchanged in print"
    assert prices["resnet18"].note == note
    assert "Table 2" in found.lists["published"].source


def test_published_prices_give_the_published_sums(tmp_path: Path) -> None:
    """AR-Net's three logs, priced as the command prices them: both rules."""
    found = [
        estimated(tmp_path, ARNET_ROWS[name], counter="published")
        for name in ("uncut", "cut", "independent")
    ]
    shown = [
        (f"{run.primary.gflops_per_video:.4f}", f"{run.published.gflops_per_video:.4f}")  # type: ignore[union-attr]
        for run in found
    ]
    expected = [("13.7105", "13.7105"), ("11.4615", "11.4194"), ("14.5900", "14.2530")]
    assert shown == expected


def test_the_leading_counter_is_the_publication_s(tmp_path: Path) -> None:
    """The preset's counter is primary; one that cannot price every component is a named gap."""
    more = [row(spec, n + 1, "torch") for spec, n in THOP_2020.items() if "18" not in spec]
    failed = row("resnet18@112,classes=200", None, "torch", "failed")
    run = estimated(tmp_path, ARNET_ROWS["cut"], table=table(*more, failed))
    assert run.book.primary == "thop-2020"
    assert list(run.under_counters) == ["thop-2020", "published"]
    assert run.under_counters["thop-2020"] == run.primary
    assert run.book.gaps["torch"].startswith("resnet18 (resnet18@112,classes=200)")


def test_code_that_a_log_names_is_not_started() -> None:
    """A header cannot make flopbench run the user's files, and all of them are named at once.

    Prices come from a table; what it has under another counter only, or as failed, does not run.
    """
    spec, other = "net.py:Net@8", "net.py:Gate@8"
    header = header_of(
        components={"net": spec, "gate": other, "fc": "linear:2x3"},
        actions=[{"name": "run", "costs": {"net": 1, "gate": 1, "fc": 1}}],
        steps=1,
    )
    linear = row("linear:2x3", 6, "torch")
    both = CostTable(rows=(row(spec, 5, "torch"), row(other, 7, "torch"), linear))
    prices = price_book(header, table=both).lists["torch"].prices
    assert {name: one.total_macs for name, one in prices.items()} == {"net": 5, "gate": 7, "fc": 6}
    for known, lacking in (
        ((linear,), {"net": spec, "gate": other}),
        ((linear, row(spec, 5, "torch")), {"gate": other}),
        ((linear, row(spec, 5, "thop"), row(other, 7, "torch")), {"net": spec}),
    ):
        with pytest.raises(UnpricedError, match="a log does not run code") as caught:
            price_book(header, table=CostTable(rows=known), table_source="t.json", refresh=True)
        assert caught.value.components == lacking
        listed = ", ".join(f"{name} ({text})" for name, text in lacking.items())
        assert caught.value.message.startswith(f"no price under torch in t.json for {listed}:")
    with pytest.raises(UnpricedError) as caught:  # what the user named is not the log's
        price_book(header, overrides={"net": "m.py:f@8"}, may_measure=False)
    assert "flopbench table m.py:f@8 --for LOG -o table.json" in caught.value.hint
    failed = CostTable(rows=(linear, row(spec, None, "torch", "failed"), row(other, 7, "torch")))
    with pytest.raises(MeasureError, match="no prices under torch"):
        price_book(header, table=failed)


def test_the_way_to_a_table_names_every_log(tmp_path: Path) -> None:
    """One line to paste: all logs of the command, their preset, a counter that is no default."""
    actions = [{"name": "run", "costs": {"net": 1}}]
    header = {"components": {"net": "net.py:Net@8"}, "actions": actions, "steps": 1}
    log = write_log(tmp_path / "my run.jsonl", header, [{"actions": [0]}])
    for choices, words in (
        (Choices(), f"'{log}' -o table.json;"),
        (Choices(beside=("a.jsonl", "b.jsonl")), "a.jsonl b.jsonl -o table.json;"),
    ):
        with pytest.raises(UnpricedError) as caught:
            run_of_log([log], choices)
        assert f"flopbench table --for {words} then add --table table.json" in caught.value.hint
    command = table_command(["run.csv"], "arnet-resnet", "ptflops")
    assert command.endswith("run.csv --preset arnet-resnet --counter ptflops -o table.json")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("counted when the log was written", "prices counted when the log was written"),
        ("measured by flopbench", "prices measured by flopbench"),
        ("table.json", "prices from table.json"),
        ("constants of the log", "prices from constants of the log"),
    ],
)
def test_where_prices_come_from_is_english(source: str, said: str) -> None:
    """Captions of figures say it in a sentence."""
    prices = PriceList(counter="thop", version="0.1", source=source, prices={})
    assert (prices.counted_by, prices.origin) == ("thop 0.1", said)
    assert PriceList(counter="torch", version="", source="", prices={}).counted_by == "torch"
