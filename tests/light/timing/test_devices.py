"""What a timing ran on: a record that explains every missing fact, and what is comparable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flopbench.core.errors import DataError, InputError
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
from flopbench.timing.roofs import CopyRoof, Roof, Roofs, load_roofs, store_roofs


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
    )


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ENVIRONMENT_VARIABLE, str(tmp_path / "cache"))


def test_facts_survive_json() -> None:
    """Strings, numbers, booleans and nulls with their reasons are restored."""
    record = facts(cpu__quota_cores=1.5, gpu__ecc=None)
    assert DeviceFacts.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize(
    "change",
    [
        {"device": "cuda:0"},
        {"name": None},
        {"surprise": 1},
        {"facts": []},
        {"facts": {"cpu.model": ["AMD"]}},
        {"facts": {"cpu.max_mhz": float("nan")}},
        {"facts": {"cpu.max_mhz": None}, "absent": {}},
        {"facts": {"cpu.max_mhz": None}, "absent": {"cpu.max_mhz": ""}},
        {"facts": {"cpu.max_mhz": 3000.0}, "absent": {"cpu.max_mhz": "no cpufreq"}},
    ],
)
def test_facts_of_another_form_are_refused(change: dict[str, Any]) -> None:
    """Unknown fields, other types, and a null without a reason are a DataError."""
    with pytest.raises(DataError, match="not device facts"):
        DeviceFacts.from_json({**facts().to_json(), **change})
    with pytest.raises(DataError):
        DeviceFacts.from_json(None)


def test_equal_machines_differ_in_nothing() -> None:
    """Nor do facts that no timing depends on, nor facts missing on both sides."""
    assert differing(facts(), facts()) == []
    assert differing(facts(), facts(os__kernel="Linux 7", gpu__driver=None)) == []


def test_differences_name_key_and_both_values() -> None:
    """The device first, then keys in the order of MUST_MATCH; a one-sided gap is a difference."""
    other = facts(torch__version="2.4.1", cpu__quota_cores=2.0)
    other = DeviceFacts(device="mps", name="x", facts=other.facts, absent=other.absent)
    assert differing(facts(), other) == [
        ("device", "cpu", "mps"),
        ("cpu.quota_cores", None, 2.0),
        ("torch.version", "2.15.0", "2.4.1"),
    ]


def test_the_list_of_what_must_match_has_no_double() -> None:
    """Each fact is compared once."""
    assert len(set(MUST_MATCH)) == len(MUST_MATCH)


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


@pytest.mark.parametrize(
    ("device", "dtype", "capability"),
    [
        ("cpu", "bf16", None),
        ("cuda", "tf32", None),
        ("cuda", "tf32", (8, 0)),
        ("cuda", "bf16", (12, 0)),
        ("cuda", "fp16", (7, 0)),
        ("mps", "fp16", None),
    ],
)
def test_what_a_device_may_have_is_let_through(
    device: str, dtype: str, capability: tuple[int, int] | None
) -> None:
    """Nothing is refused on suspicion."""
    refuse_dtype(device, dtype, capability)


def test_roofs_are_kept_for_their_machine_and_threads_only() -> None:
    """Another torch, quota or number of threads finds nothing."""
    assert load_roofs(facts(), 1) is None
    store_roofs(facts(), some_roofs())
    assert load_roofs(facts(), 1) == some_roofs()
    assert load_roofs(facts(), 2) is None
    assert load_roofs(facts(torch__version="2.4.1"), 1) is None
    assert load_roofs(facts(cpu__quota_cores=1.0), 1) is None


def test_clearing_the_cache_of_profiles_leaves_roofs() -> None:
    """They are in a separate folder, which the cache does not count."""
    store_roofs(facts(), some_roofs())
    assert (cache.size(), cache.clear()) == (0, 0)
    assert load_roofs(facts(), 1) is not None
    assert roofs.roofs_folder() == cache.cache_folder() / "roofs"


def test_without_a_chosen_folder_roofs_lie_beside_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the user's cache folder, next to the profiles, not among them."""
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
        assert "is damaged; roofs are measured again" in capsys.readouterr().err


def test_roofs_that_cannot_be_kept_cost_only_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were measured; not caching them is not an error."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.ENVIRONMENT_VARIABLE, str(tmp_path / "file"))
    store_roofs(facts(), some_roofs())
    assert "cannot cache roofs" in capsys.readouterr().err
    assert load_roofs(facts(), 1) is None


def test_of_two_measurements_the_higher_roof_counts() -> None:
    """Each roof is a maximum of its own."""
    merged = some_roofs().merged(some_roofs(scale=2.0))
    assert merged.flops_per_s("fp32") == 2e11
    assert merged.bytes_per_s == 2e10
    assert merged.lacks(["fp32", "bf16"]) == ("bf16",)
