"""Claims read, recomputed and judged, without counting anything."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from io import StringIO
from pathlib import Path

import pytest
from conftest import RunCli, assert_refused
from hypothesis import given
from hypothesis import strategies as st

from flopbench.audit import Audit, ClaimResult, audit, check_claims
from flopbench.audit.reading import claim_of, read_claims, shipped_claims
from flopbench.audit.records import (
    Derived,
    exact_text,
    rounded,
    size_unit,
    unit_readings,
)
from flopbench.audit.text import audit_tables
from flopbench.audit.verdicts import judge_claim, rounds_to, signed_percent
from flopbench.core.errors import DataError, InputError
from flopbench.core.escaping import markdown_escape

HEAD = 'schema = 1\ntitle = "Mine"\nsource = "my paper"\n'
ENTRY = '[[claim]]\nid = "a"\nwhat = "a number"\nunit = "GFLOPS/video"\n'
NET = "components = { net = 'value:2.05514e9 \"mine\"' }\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A place for a claims file."""
    return tmp_path / "mine.toml"


def read_text(file: Path, text: str) -> Audit:
    """Audit a claims file with this text."""
    file.write_text(text, encoding="utf-8")
    files = [read_claims(str(file))]
    check_claims(files)
    return audit(files)


def only(file: Path, claim: str) -> ClaimResult:
    """Audit a file of one claim."""
    return read_text(file, HEAD + ENTRY + claim).results[0]


def test_the_publications_sums_come_out() -> None:
    """The sums that any estimator must hit, each from the table entry of a preset."""
    files = [read_claims(name) for name in ("uniform", "scsampler", "videoiq")]
    found = audit(files).results
    assert {f.verdict for f in found} == {"reproduced"}
    assert [f.recomputed for f in found] == [
        Fraction("32.8824"),
        Fraction("65.7648"),
        Fraction("102.7575"),
        Fraction("41.9494"),
        Fraction("41.95") / 16,
        Fraction("65.7648"),
    ]
    assert found[3].derivation == (
        "10 × 4.1103 (published resnet50@224,classes=200) + "
        "16 × 0.0529 (published mobilenet_v2@84,classes=200)"
    )


def test_a_file_needs_no_head(file: Path) -> None:
    """Title and source are for readers; the schema is the first."""
    found = read_text(file, ENTRY + 'printed = "1"\nnot_derivable = "why"\n')
    text = audit_tables(found).render("md", StringIO()) or ""
    assert text.startswith(f"**{markdown_escape(str(file))}**")


def test_one_claim_without_a_file() -> None:
    """8 frames, half of them: 4 runs of a constant."""
    one = claim_of("4.8 GMACs/video", 'value:1.2e9 "a paper"', frames=8, share="0.5")
    result = audit([one]).results[0]
    assert (result.verdict, result.recomputed) == ("reproduced", Fraction("4.8"))
    assert result.derivation == "4 × 1.2 (constant, a paper)"
    with pytest.raises(DataError, match=r"--claim, claim 1 .*'printed' is 'four'"):
        claim_of("four GMACs", "resnet18@64")


@pytest.mark.parametrize(
    ("unit", "what", "factor"),
    [
        ("params", "params", 1),
        ("M params", "params", 10**6),
        ("Mparams", "params", 10**6),
        ("B parameters", "params", 10**9),
        ("K activations", "activations", 1000),
    ],
)
def test_sizes_are_units_too(unit: str, what: str, factor: int) -> None:
    """Parameters and activations, in thousands, millions and billions."""
    assert size_unit(unit) == (what, factor)
    assert size_unit(unit + "/video") is None
    assert unit_readings(unit) == {}


def test_every_shipped_file_is_sound() -> None:
    """Each can be read, and all that can be checked without counting is right."""
    names = shipped_claims()
    assert {"arnet", "scsampler", "frameexit", "videoiq", "adafuse", "adaframe"} <= set(names)
    check_claims([read_claims(name) for name in names])


def test_a_distribution_is_priced_by_the_published_rule(file: Path) -> None:
    """SCSampler as shares: its sampler is charged on each of 16 frames, exactly as by counts."""
    found = only(
        file,
        'printed = "41.95"\npreset = "scsampler"\nsteps = 16\n'
        'shares = { "resnet50@224" = 0.625, drop = 0.375 }\n',
    )
    assert (found.verdict, found.recomputed) == ("reproduced", Fraction("41.9494"))
    assert "16 × (0.625 resnet50@224 + 0.375 drop)" in found.derivation


def test_shares_charge_the_chosen_variant_and_a_skip_by_its_span(file: Path) -> None:
    """AR-Net, half resnet18@112 and half skip 4: the misprint is corrected, with a note."""
    shares = 'preset = "arnet-resnet"\nshares = { "resnet18@112" = 0.5, "skip 4" = 0.5 }\n'
    # 0.5 × 0.4863 + (0.0529 + 0.0016384) × (0.5 + 0.5 / 4)
    found = only(file, f'printed = "0.2772"\n{shares}variants = {{ lstm = "published" }}\n')
    assert found.recomputed == Fraction("0.277236500")
    assert any("printed as 0.4683, taken as 0.4863" in note for note in found.notes)
    # The released variant of the LSTM: twice 0.0016384.
    assert only(file, f'printed = "0.2783"\n{shares}').recomputed == Fraction("0.278260500")


def test_rounded_shares_allow_only_what_adds_up_to_one(file: Path) -> None:
    """One digit of 0.6 and 0.4 leaves 0.55 to 0.65, and the other share moves against it."""
    shares = 'preset = "scsampler"\nshares = { "resnet50@224" = 0.6, drop = 0.4 }\nsteps = 10\n'
    found = only(file, f'printed = "26.4"\n{shares}')  # 6 × 4.1103 + 10 × 0.0529 = 25.1908
    assert found.verdict_text == "rounding only (+4.8 %) as MACs"
    # 5.5 × 4.11025 + 10 × 0.05285, and 6.5 × 4.11035 + 10 × 0.05295
    allowed = ("the rounding of the printed inputs allows 23.135 to 27.247",)
    assert found.reasons == allowed
    far = only(file, f'printed = "26.9"\n{shares}')  # explained, and still misleading
    assert (far.verdict_text, far.reasons) == ("off by +6.8 %", allowed)
    beyond = only(file, f'printed = "27.3"\n{shares}')
    assert (beyond.verdict, beyond.reasons) != ("rounding only", allowed)


@pytest.mark.parametrize(
    ("printed", "verdict", "words"),
    [
        ("2.0551", "reproduced", ""),
        ("2", "reproduced", ""),
        ("2.0552", "rounding only (+0.0029 %)", "2.0552 is rounded up where 2.0551 is the nearest"),
        ("2.05", "rounding only (-0.25 %)", "2.05 is truncated where 2.06 is the nearest"),
        ("2.0", "rounding only (-2.7 %)", "2.0 is truncated where 2.1 is the nearest"),
        ("3", "off by +46 %", "3 is rounded up where 2 is the nearest"),
        ("1.9", "off by -7.5 %", "none of the known slips"),
        ("2.0515", "off by -0.18 %", "2.0551 with two neighbouring digits exchanged"),
        ("4.1103", "off by +100 %", "as FLOPs in place of MACs"),
        ("1.0276", "off by -50 %", "as MACs in place of FLOPs"),
        ("3.3333", "off by +62 %", "none of the known slips"),
    ],
)
def test_verdicts_name_the_slip_that_gives_the_number(
    file: Path, printed: str, verdict: str, words: str
) -> None:
    """One run of a network of 2.05514 GMACs, printed in many ways."""
    entry = ENTRY.replace("GFLOPS", "GMACs")
    claim = f'printed = "{printed}"\ncounts = {{ net = 1 }}\n{NET}'
    found = read_text(file, HEAD + entry + claim).results[0]
    assert found.verdict_text == verdict
    assert words in "; ".join(found.reasons)
    assert bool(words) == bool(found.reasons)


def test_another_number_of_frames_is_named_only_if_it_is_the_only_one(file: Path) -> None:
    """33.47 / 25 = 1.3388; a number with few digits fits many T, and none is named."""
    divide = 'divide = { numerator = "33.47", by = 16 }\n'
    assert only(file, f'printed = "1.34"\n{divide}').reasons == ("25 as T in place of 16 gives it",)
    assert "none of the known" in only(file, f'printed = "0.4"\n{divide}').reasons[0]
    eight = f'printed = "32.8822"\nread_as = "MACs"\ncounts = {{ net = 8 }}\n{NET}'  # 16 × 2.05514
    assert "16 × net in place of 8 gives it" in only(file, eight).reasons


def test_a_tie_is_rounded_either_way() -> None:
    """Half to even and half up both reproduce; half down is rounding only."""
    assert rounds_to(Fraction("0.125"), Decimal("0.12"))
    assert rounds_to(Fraction("0.125"), Decimal("0.13"))
    value = Fraction("0.39375")
    judged = judge_claim(
        Decimal("0.3937"), Derived(value=value, low=value, high=value, text=""), is_cost=True
    )
    assert judged.verdict == "rounding only"
    assert "the tie was rounded down" in judged.reasons[0]


def test_a_slip_explains_only_the_number_that_it_gives(file: Path) -> None:
    """Twice 2.05514 is 4.11028, printed 4.1103; a unit of the last digit away is no slip."""
    net = f"counts = {{ net = 1 }}\nread_as = 'MACs'\n{NET}"
    assert "as FLOPs" in only(file, f'printed = "4.1103"\n{net}').reasons[0]
    for near in ("4.1102", "4.1104"):
        (reason,) = only(file, f'printed = "{near}"\n{net}').reasons
        assert reason == "none of the known slips gives the printed number"


def test_scaling_says_whose_input_the_figure_belongs_to(file: Path) -> None:
    """The rule, that nothing was profiled, and what the rule gives from the right input."""
    scaled = "scaled = { gflops = '1.80', input_px = 224, figure_input_px = 300, to_px = 224 }\n"
    found = only(file, f'printed = "1.8000"\n{scaled}')
    assert (found.verdict, found.derivation) == ("reproduced", "1.80 × (224/224)²")
    assert "1.80 belongs to 300 px, not to 224 px: 1.80 × (224/300)² = 1.0035" in found.notes
    assert "1.80 × (224/300)² gives it" in only(file, f'printed = "1.0035"\n{scaled}').reasons


def test_the_claims_own_reason_stands_first(file: Path) -> None:
    """A known reason is shown where the number is not reproduced, a note in any case."""
    own = f'counts = {{ net = 1 }}\nreason = "a slip"\nnote = "from a figure"\n{NET}'
    own = f'read_as = "MACs"\n{own}'
    off = only(file, f'printed = "4.1103"\n{own}')
    assert off.reasons[0] == "a slip"
    assert len(off.reasons) == 2
    right = only(file, f'printed = "2.0551"\n{own}')
    assert (right.reasons, right.notes) == ((), ("from a figure",))


def test_nothing_is_not_a_hundred_percent(file: Path) -> None:
    """A recomputed 0 gives no percentage, and still no verdict but off."""
    found = only(file, 'printed = "0.5"\ncounts = { net = 1 }\ncomponents = { net = "value:0" }\n')
    assert (found.verdict_text, found.off) == ("off", None)


@given(st.integers(0, 10**15), st.integers(0, 9))
def test_a_number_reproduces_itself_at_any_digits(millionths: int, digits: int) -> None:
    """What is printed by correct rounding is reproduced."""
    value = Fraction(millionths, 10**6)
    text = rounded(value, digits)
    assert rounds_to(value, Decimal(text))
    assert abs(Fraction(text) - value) * 2 <= Fraction(1, 10**digits)
    assert Fraction(exact_text(value)) == value


@pytest.mark.parametrize(
    ("share", "text"),
    [("0.872", "+87 %"), ("-0.03704", "-3.7 %"), ("1", "+100 %"), ("1.123", "+110 %"),
     ("0.0000123", "+0.0012 %"), ("0.0996", "+10 %")],
)  # fmt: skip
def test_percentages_have_a_sign_and_two_digits(share: str, text: str) -> None:
    """As many decimals as two significant digits need, never an exponent."""
    assert signed_percent(Fraction(share)) == text


def test_units_of_cost_are_told_from_others() -> None:
    """A denominator may follow a unit of cost; accuracy, ratios and frames are not costs."""
    assert unit_readings("GFLOPS/video") == {"MACs": 10**9, "FLOPs": 5 * 10**8}
    assert unit_readings("MMACs/frame") == {"MACs": 10**6}
    assert list(unit_readings("GFLOPs").items()) == [("FLOPs", 5 * 10**8), ("MACs", 10**9)]
    assert not any(unit_readings(u) for u in ("mAP", "ratio", "frames/video", "GB"))


@pytest.mark.parametrize(
    ("unit", "printed", "verdict", "recomputed", "read_as"),
    [
        ("GFLOPS/video", "2.0551", "reproduced as MACs", "2.05514", "MACs"),
        ("GFLOPS", "4.1103", "reproduced as FLOPs (2 a MAC)", "4.11028", "FLOPs"),
        ("gflops", "4.11", "reproduced as FLOPs (2 a MAC)", "4.11028", "FLOPs"),
        ("MFLOPS", "4110.2", "rounding only (-0.0019 %) as FLOPs (2 a MAC)", "4110.28", "FLOPs"),
        ("GFLOPS", "2.0552", "rounding only (+0.0029 %) as MACs", "2.05514", "MACs"),
        ("GFLOPS", "3.3333", "off by +62 %", "2.05514", None),
        ("GMACs", "4.1103", "off by +100 %", "2.05514", None),
        ("GFLOPs", "4.1103", "reproduced as FLOPs (2 a MAC)", "4.11028", "FLOPs"),
        ("GFLOPs", "2.0551", "reproduced as MACs", "2.05514", "MACs"),
        ("GFLOPs", "3.3333", "off by -19 %", "4.11028", None),
    ],
)
def test_a_unit_of_flops_is_tried_as_macs_and_as_flops(
    file: Path, unit: str, printed: str, verdict: str, recomputed: str, read_as: str | None
) -> None:
    """One run of a network of 2.05514 GMACs; an author who calls them FLOPs is right."""
    entry = ENTRY.replace("GFLOPS/video", unit)
    claim = f'printed = "{printed}"\ncounts = {{ net = 1 }}\n{NET}'
    found = read_text(file, HEAD + entry + claim).results[0]
    assert (found.verdict_text, found.read_as) == (verdict, read_as)
    assert found.recomputed == Fraction(recomputed)
    assert found.derivation.startswith(f"1 × {recomputed} (")


def test_what_gflops_counts_may_be_said(file: Path) -> None:
    """In the file, or in the claim, which takes precedence; the other reading is not tried."""
    claim = f'printed = "4.1103"\ncounts = {{ net = 1 }}\n{NET}'
    macs = 'read_as = "MACs"\n'
    assert read_text(file, HEAD + macs + ENTRY + claim).results[0].verdict_text == "off by +100 %"
    own = 'read_as = "FLOPs"\n'
    found = read_text(file, HEAD + macs + ENTRY + own + claim)
    assert found.results[0].verdict_text == "reproduced"
    assert "both are tried" not in (audit_tables(found).render("md", StringIO()) or "")
    with pytest.raises(DataError, match="'read_as' is 'GMACs' where 'FLOPs' or 'MACs' was expec"):
        read_text(file, HEAD + ENTRY + 'read_as = "GMACs"\n' + claim)


def test_the_two_readings_are_told_once(file: Path) -> None:
    """Below the table, and by claim in JSON; figures over figures have no reading."""
    claim = f'printed = "2.0551"\ncounts = {{ net = 1 }}\n{NET}'
    found = read_text(file, HEAD + ENTRY + claim)
    text = audit_tables(found).render("md", StringIO()) or ""
    assert text.count("both are tried") == 1
    assert text.count("By GFLOPS, MACs are meant here.") == 1
    data = json.loads(audit_tables(found).render("json", StringIO()) or "")
    assert [one["read_as"] for one in data["results"]] == ["MACs"]
    scaled = "scaled = { gflops = '1.80', input_px = 224, figure_input_px = 224, to_px = 112 }\n"
    for unit in ("GFLOPS", "GFLOPs", "GMACs"):
        entry = ENTRY.replace("GFLOPS/video", unit)
        found = read_text(file, HEAD + entry + f'printed = "0.45"\n{scaled}')
        assert (found.results[0].verdict, found.results[0].read_as) == ("reproduced", None)
        assert "both are tried" not in (audit_tables(found).render("md", StringIO()) or "")


BAD = [
    ("schema = ", "not TOML"),
    ("schema = 2", "has schema 2; this flopbench reads up to 1"),
    ("schema = true", "'schema' is true where 1 was expected"),
    (HEAD, "holds no claim"),
    (HEAD + "claim = [3]", "claim 1 is 3 where a [[claim]] table"),
    ('schema = 1\ntitel = "x"', "did you mean 'title'"),
    (HEAD + 'counter = "thopp"\n' + ENTRY, "did you mean 'thop'"),
    (HEAD + 'components = { a = "@" }\n' + ENTRY, "components.a"),
    (HEAD + ENTRY + 'printed = "1"\n', "does not say how to recompute it"),
    (HEAD + ENTRY * 2, "claim 1 ('a'): 'printed' is missing"),
    ("[[claim]]\nmodel = 'resnet18@64'", "claim 1: 'id', 'what', 'printed', 'unit' are missing"),
    (
        "[[claim]]\nid = 'a'\nwhat = 'w'\nprinted = '1'\nunit = 'Mpixels'\nmodel = 'resnet18@64'",
        "GFLOPS/frame or GMACs, or M params or M activations",
    ),
    (HEAD + (ENTRY + 'printed = "1"\nnot_derivable = "w"\n') * 2, "'id' repeats 'a'"),
]


@pytest.mark.parametrize(("text", "needle"), BAD)
def test_a_broken_file_is_named(file: Path, text: str, needle: str) -> None:
    """The message names the file and what is wrong in it."""
    with pytest.raises(DataError, match=r"mine\.toml") as caught:
        read_text(file, text)
    assert needle in str(caught.value)


BAD_CLAIMS = [
    ('printed = "much"\nnot_derivable = "w"', "'printed' is 'much' where a number"),
    ('printed = 41.95\nnot_derivable = "w"', "is 41.95 where a number in quotes, with its digits"),
    ('printed = "1"\nnot_derivable = ""', "'not_derivable' is ''"),
    ('printed = "1"\nnot_derivable = "w"\ncount = 3', "did you mean 'counts'"),
    ('printed = "1"\nnot_derivable = "w"\nsteps = 3', "'steps' does not go with 'not_derivable'"),
    (f'printed = "1"\ncounts = {{ net = 1 }}\n{NET}model = "resnet18"', "two derivations"),
    ('printed = "1"\ncounts = {}', "'counts' holds no count above 0"),
    (f'printed = "1"\ncounts = {{ nett = 1 }}\n{NET}', "did you mean 'net'"),
    (f'printed = "1"\ncounts = {{ net = -1 }}\n{NET}', "counts.net is -1"),
    (f'printed = "1"\ncounts = {{ net = 1e999999999 }}\n{NET}', "counts.net is 1E+999999999"),
    (f'printed = "1"\ncounts = {{ net = nan }}\n{NET}', "counts.net is NaN"),
    (f'printed = "1"\ncounts = {{ net = true }}\n{NET}', "counts.net is true"),
    (f'printed = "1"\ncounts = {{ net = 0 }}\n{NET}', "no count above 0"),
    ('printed = "1"\ncounts = { net = 1 }\ncomponents = { net = 4.1 }', "components.net is 4.1"),
    (
        'printed = "1"\ncounts = { n = 1 }\ncomponents = { n = "published:resnet50@223" }',
        "did you mean 'resnet50@224,classes=200'",
    ),
    ('printed = "1"\ncounts = { n = 1 }\ncomponents = { n = "nets.py:build@8" }', "must not start"),
    ('printed = "1"\nmodel = "resnet50@big"', "model: input size 'big'"),
    ('printed = "1"\nmodel = "value:7"', "a constant is not"),
    ('printed = "1"\nmodel = "resnet18"\ncounter = "published"', "a published figure is not"),
    ('printed = "1"\nmodel = "published:resnet50@224"', "a published figure is not"),
    ('printed = "1"\nmodel = "resnet18"\ncounter = "fvcor"', "did you mean 'fvcore'"),
    ('printed = "1"\ndivide = { by = 0 }', "divide.by is 0 where a whole number of at least 1"),
    ('printed = "1"\ndivide = { numerator = 3.1 }', "divide.numerator is 3.1 where a number in"),
    ('printed = "1"\ndivide = { at = 2 }', "divide.at is an unknown key\n  keys: numerator, by"),
    ('printed = "1"\nscaled = { gflops = "1", input_px = 1 }', "scaled.figure_input_px is missing"),
    ('printed = "1"\nshares = { drop = 1 }', "'preset' is missing"),
    ('printed = "1"\npreset = "uniformm"\nshares = { drop = 1 }', "did you mean 'uniform'"),
    ('printed = "1"\npreset = "arnet"\nshares = { drop = 1 }', "describes no policy"),
    ('printed = "1"\npreset = "frameexit"\nshares = { drop = 1 }', "has no actions"),
    ('printed = "1"\npreset = "scsampler"\nshares = { dropp = 1 }', "did you mean 'drop'"),
    ('printed = "1"\npreset = "scsampler"\nshares = { drop = 50 }', "shares are fractions"),
    ('printed = "1"\npreset = "scsampler"\nshares = { drop = 0.5 }', "the shares add up to 0.5"),
    (
        'printed = "1"\npreset = "scsampler"\nshares = { drop = 1 }\nvariants = { samplr = "x" }',
        "did you mean 'sampler'",
    ),
    (
        'printed = "1"\npreset = "arnet-resnet"\nshares = { "skip 1" = 1 }\n'
        'variants = { lstm = "publishd" }',
        "did you mean 'published'",
    ),
]


@pytest.mark.parametrize(("claim", "needle"), BAD_CLAIMS)
def test_a_broken_claim_is_named(file: Path, claim: str, needle: str) -> None:
    """File, claim, field, what was expected, and a near match where there is one."""
    with pytest.raises(DataError, match=r"mine\.toml, claim 1 \('a'\)") as caught:
        only(file, claim)
    assert needle in str(caught.value)


def test_a_cost_needs_a_unit_of_cost(file: Path) -> None:
    """Counts of components give no accuracy."""
    entry = ENTRY.replace("GFLOPS/video", "mAP")
    with pytest.raises(DataError, match="'unit' is 'mAP', but 'counts' gives a cost"):
        read_text(file, HEAD + entry + 'printed = "1"\ncounts = { net = 1 }\n' + NET)


def test_an_unknown_name_lists_what_ships(tmp_path: Path) -> None:
    """With a near match; a folder is not a claims file."""
    with pytest.raises(InputError) as caught:
        read_claims("scsamplr")
    assert "did you mean 'scsampler'" in caught.value.hint
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(InputError, match="there is no claims file"):
        read_claims(str(folder))


def test_every_format_holds_every_claim() -> None:
    """Table, Markdown, CSV, JSON and LaTeX of the same audit."""
    found = audit([read_claims("scsampler"), read_claims("adaframe")])
    for format in ("md", "csv", "latex", "table"):
        stream = StringIO()
        text = audit_tables(found).render(format, stream) or stream.getvalue()
        for word in ("per-video", "41.9494", "reproduced", "not derivable"):
            assert word in text, format
    data = json.loads(audit_tables(found).render("json", StringIO()) or "")
    assert (data["schema"], data["kind"]) == (1, "flopbench.audit")
    assert data["summary"]["reproduced"] == 2
    assert data["results"][0]["recomputed_exact"] == str(Fraction("41.9494"))
    assert data["results"][2]["recomputed"] is None


def test_the_verb_audits_and_strict_fails(run_cli: RunCli, tmp_path: Path) -> None:
    """Exit status 0 with a claim that is off, 1 under --strict; files and names mix."""
    path = tmp_path / "mine.toml"
    off = f'printed = "3.3333"\ncounts = {{ net = 1 }}\n{NET}'
    path.write_text(HEAD + ENTRY + off, encoding="utf-8")
    result = run_cli("audit", str(path), "scsampler")
    assert result.returncode == 0, result.stderr
    assert "off by +62 %" in result.stdout
    assert "3 claims: 2 reproduced, 1 off." in result.stdout
    strict = run_cli("audit", str(path), "--strict", "-o", "out.json")
    assert (strict.returncode, strict.stdout) == (1, "")
    assert json.loads((tmp_path / "out.json").read_text())["summary"]["off"] == 1
    assert run_cli("audit", "scsampler", "--strict").returncode == 0
    assert "scsampler  SCSampler\n" in run_cli("audit", "--list").stdout


@pytest.mark.parametrize(
    ("args", "needle"),
    [
        (("none.toml",), "there is no claims file 'none.toml'"),
        (("scsamplr",), "did you mean 'scsampler'"),
        (("../presets/arnet",), "there is no claims file"),
        (("scsampler", "--list"), "--list takes no claims"),
        (("scsampler", "-o", "no/such/file.md"), "there is no directory"),
    ],
)
def test_bad_input_is_one_message_and_2(
    run_cli: RunCli, args: tuple[str, ...], needle: str
) -> None:
    """Refused before anything is counted."""
    assert_refused(run_cli("audit", *args), needle)
