"""What a timing ran on: a record that explains every missing fact, and what is comparable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs, to_builtins

from flopbench.core.errors import DataError, InputError
from flopbench.core.records import decode
from flopbench.counting import cache
from flopbench.timing import roofs
from flopbench.timing.devices import (
    MUST_MATCH,
    DeviceFacts,
    Fact,
    GatheredFacts,
    differing,
    refuse_dtype,
)
from flopbench.timing.roofs import (
    CONDITIONS,
    CopyRoof,
    FamilyRoof,
    Roof,
    Roofs,
    load_roofs,
    store_roofs,
)


def facts(**changes: Fact) -> DeviceFacts:
    """Return the facts of a CPU; changes by key with ``__`` for the dot."""
    found = GatheredFacts()
    found.put("cpu.model", "AMD EPYC", "")
    found.put("cpu.cores_visible", 2, "")
    found.put("cpu.max_mhz", None, "no cpufreq")
    found.put("torch.version", "2.15.0", "")
    for key, value in changes.items():
        found.put(key.replace("__", "."), value, "left out")
    return DeviceFacts(device="cpu", name="AMD EPYC", facts=found.facts, absent=found.absent)


def some_roofs(threads: int = 1, scale: float = 1.0) -> Roofs:
    """Return the roofs of a CPU."""
    clock = "process CPU time"
    return Roofs(
        device="cpu",
        threads=threads,
        matmul=(
            Roof(dtype="fp32", n=64, flops_per_s=1e11 * scale, seconds=1.0, repeats=9, clock=clock),
        ),
        copy=CopyRoof(
            buffer_bytes=2**20, bytes_per_s=2e10 / scale, seconds=1.0, repeats=5, clock=clock
        ),
        families=(
            FamilyRoof(
                dtype="fp32",
                family="convolution",
                flops_per_s=9e10 * scale,
                streams=((2**14, 6e10 / scale), (2**16, 3e10 * scale)),
                call_s=6e-6 / scale,
            ),
        ),
    )


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ENVIRONMENT_VARIABLE, str(tmp_path / "cache"))


def test_facts_survive_json() -> None:
    """Strings, numbers, booleans and nulls with their reasons are restored."""
    record = facts(cpu__quota_cores=1.5, gpu__ecc=None, env__KMP_BLOCKTIME=True)
    assert decode(json.loads(json.dumps(to_builtins(record))), DeviceFacts, "t") == record


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"device": "cuda:0"}, "t: device is 'cuda:0' where one of cpu, cuda, mps was expected"),
        ({"name": None}, "t: 'name' is null where text was expected"),
        ({"surprise": 1}, "'surprise' is an unknown key"),
        ({"facts": []}, "t: 'facts' is a list where an object was expected"),
        (
            {"facts": {"a": 1, "cpu.model": ["AMD"]}},
            "t: facts['cpu.model'] is a list where text, a whole",
        ),
        ({"facts": {"cpu.max_mhz": float("nan")}}, "cpu.max_mhz is nan"),
        ({"absent": {}}, "cpu.max_mhz must be null with a reason, or neither"),
        ({"absent": {"cpu.max_mhz": ""}}, "absent['cpu.max_mhz'] is '' where text that is not e"),
        ({"facts": {"cpu.max_mhz": 3000.0}}, "cpu.max_mhz must be null with a reason, or neither"),
    ],
)
def test_facts_of_another_form_are_refused(change: dict[str, Any], needle: str) -> None:
    """Unknown fields, other types, and a null without a reason: the fact is named."""
    with pytest.raises(DataError) as caught:
        decode({**to_builtins(facts()), **change}, DeviceFacts, "t")
    assert needle in caught.value.message


def test_equal_machines_differ_in_nothing() -> None:
    """Nor do facts that no timing depends on, nor facts missing on both sides."""
    assert differing(facts(), facts()) == []
    assert differing(facts(), facts(os__kernel="Linux 7", gpu__driver=None)) == []
    assert len(set(MUST_MATCH)) == len(MUST_MATCH)


def test_differences_name_key_and_both_values() -> None:
    """The device first, then keys in the order of MUST_MATCH; a one-sided gap is a difference."""
    other = facts(torch__version="2.4.1", cpu__quota_cores=2.0)
    other = DeviceFacts(device="mps", name="x", facts=other.facts, absent=other.absent)
    assert differing(facts(), other) == [
        ("device", "cpu", "mps"),
        ("cpu.quota_cores", None, 2.0),
        ("torch.version", "2.15.0", "2.4.1"),
    ]


@pytest.mark.parametrize(
    ("device", "dtype", "capability", "message"),
    [
        ("gpu", "fp32", None, "unknown device 'gpu'"),
        ("cuda:0", "fp32", None, "did you mean 'cuda'"),
        ("cpu", "bf61", None, "did you mean 'bf16'"),
        ("cpu", "tf32", None, "cpu has no TF32"),
        ("mps", "tf32", None, "mps has no TF32"),
        ("cuda", "tf32", (7, 5), "compute capability is 7.5"),
        ("cuda", "bf16", (7, 0), "8.0 is the first"),
    ],
)
def test_what_a_device_lacks_is_refused(
    device: str, dtype: str, capability: tuple[int, int] | None, message: str
) -> None:
    """By name, by kind of device, by generation of the GPU."""
    with pytest.raises(InputError) as caught:
        refuse_dtype(device, dtype, capability)
    assert message in str(caught.value)


def test_what_a_device_may_have_is_let_through() -> None:
    """Nothing is refused on suspicion."""
    refuse_dtype("cpu", "bf16", None)
    refuse_dtype("cuda", "tf32", None)
    refuse_dtype("cuda", "tf32", (8, 0))
    refuse_dtype("cuda", "bf16", (12, 0))
    refuse_dtype("cuda", "fp16", (7, 0))
    refuse_dtype("mps", "fp16", None)


def test_roofs_are_kept_for_their_machine_and_threads_only() -> None:
    """Another torch, quota or number of threads finds nothing."""
    assert load_roofs(facts(), 1) is None
    store_roofs(facts(), some_roofs())
    assert load_roofs(facts(), 1) == some_roofs()
    assert load_roofs(facts(), 2) is None
    assert load_roofs(facts(torch__version="2.4.1"), 1) is None
    assert load_roofs(facts(cpu__quota_cores=1.0), 1) is None


def test_roofs_have_a_folder_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a chosen one, where the cache of profiles neither counts nor clears them; else next
    to it.
    """
    store_roofs(facts(), some_roofs())
    assert (cache.files(), cache.clear()) == ([], 0)
    assert load_roofs(facts(), 1) is not None
    assert roofs.roofs_folder() == cache.cache_folder() / "roofs"
    monkeypatch.delenv(cache.ENVIRONMENT_VARIABLE)
    assert roofs.roofs_folder() == cache.cache_folder().parent / "roofs"


def _damage(text: str) -> list[str]:
    """Return damaged forms of a file."""
    changes = [
        ('"n": 64', '"n": 64.5'),
        ('"repeats": 9', '"repeats": true'),
        ('"flops_per_s": 100000000000.0', '"flops_per_s": -1'),
        ('"flops_per_s": 100000000000.0', '"flops_per_s": NaN'),
        ('"clock": "process CPU time"', '"clock": 3'),
        ('"fp32"', '"fp8"'),
        ('"threads": 1,', '"threads": 2,'),
        ('"matmul"', '"matmuls"'),
    ]
    assert all(before in text for before, _ in changes)
    return ["", "[]", "{}", text[:-20], *(text.replace(*change) for change in changes)]


def test_a_damaged_file_of_roofs_is_dropped_with_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As if there were none, with a warning."""
    store_roofs(facts(), some_roofs())
    (path,) = roofs.roofs_folder().iterdir()
    for content in _damage(path.read_text(encoding="utf-8")):
        path.write_text(content, encoding="utf-8")
        assert load_roofs(facts(), 1) is None, content
        assert "is damaged and will be measured again" in capsys.readouterr().err


def test_roofs_that_cannot_be_kept_cost_only_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were measured; not caching them is not an error."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.ENVIRONMENT_VARIABLE, str(tmp_path / "file"))
    store_roofs(facts(), some_roofs())
    assert "cannot store results" in capsys.readouterr().err
    assert load_roofs(facts(), 1) is None


def test_of_two_measurements_the_higher_roof_counts() -> None:
    """Each roof is a maximum of its own."""
    merged = some_roofs().merged(some_roofs(scale=2.0))
    assert merged.flops_per_s("fp32") == 2e11
    assert merged.bytes_per_s == 2e10
    assert merged.lacks(["fp32", "bf16"]) == ("bf16",)
    (family,) = merged.families
    assert (family.flops_per_s, family.streams) == (1.8e11, ((2**14, 6e10), (2**16, 6e10)))
    assert family.call_s == 3e-6
    again = some_roofs().completed_by(some_roofs(scale=2.0))
    assert again.families == some_roofs().families


def measured(flops_per_s: float, others: float | None, at: float) -> Roofs:
    """Return roofs that were measured at a time, while others used a share of it."""
    quiet = some_roofs()
    (roof,) = quiet.matmul
    how = {"others": others, "measured_unix_s": at, "load": 2.0, "spread": 0.25}
    matmul = (structs.replace(roof, flops_per_s=flops_per_s, **how),)
    return structs.replace(quiet, matmul=matmul, copy=structs.replace(quiet.copy, **how))


@pytest.mark.parametrize(
    ("first", "then", "lacks", "flops_per_s", "others", "at"),
    [
        # What was measured on a busy machine is lacking, so it is measured again.
        ((1e11, 0.4), None, ("fp32",), 1e11, 0.4, 1.0),
        ((1e11, 0.1), None, (), 1e11, 0.1, 1.0),
        ((1e11, None), None, (), 1e11, None, 1.0),
        # The higher value stays, and is one of a quiet machine if one of the two is.
        ((1e11, 0.4), (2e11, 0.0), (), 2e11, 0.0, 2.0),
        ((2e11, 0.4), (1e11, 0.0), (), 2e11, 0.0, 2.0),
        ((2e11, 0.4), (1e11, 0.3), ("fp32",), 2e11, 0.4, 1.0),
        ((2e11, 0.0), (1e11, 0.4), (), 2e11, 0.0, 1.0),
    ],
)
def test_roofs_of_a_busy_machine_are_measured_again(
    first: tuple[float, float | None],
    then: tuple[float, float | None] | None,
    lacks: tuple[str, ...],
    flops_per_s: float,
    others: float | None,
    at: float,
) -> None:
    """More than a tenth of the time taken by others makes a bound doubtful."""
    roofs = measured(*first, 1.0)
    roofs = roofs.merged(measured(*then, 2.0)) if then else roofs
    assert roofs.lacks(["fp32"]) == lacks
    row = roofs.of("fp32")
    assert (row["flops_per_s"], row["others"], row["measured_unix_s"]) == (flops_per_s, others, at)


def test_roofs_of_older_files_have_no_conditions() -> None:
    """They are read, count as quiet, and a format that was not measured has none.

    Roofs of no family are lacking, so they are measured.
    """
    old = to_builtins(some_roofs())
    for one in (*old["matmul"], old["copy"]):
        for name in CONDITIONS:
            del one[name]
    roofs = decode(old, Roofs, "roofs")
    assert roofs == some_roofs()
    assert roofs.lacks(["fp32", "bf16"]) == ("bf16",)
    assert roofs.of("bf16") == {"flops_per_s": None, "bytes_per_s": 2e10}
    del old["families"]
    assert decode(old, Roofs, "roofs").lacks(["fp32"]) == ("fp32",)
