"""Data-sheet peaks: dense, by exact name, with their source."""

from __future__ import annotations

import pytest

from flopbench.timing.devices import DTYPES
from flopbench.timing.peaks import all_peaks, no_peak_reason, peak_of


def test_units() -> None:
    """FLOP/s and bytes/s of a GPU whose sheet is widely known: 312 dense TFLOP/s, 2039 GB/s."""
    peak = peak_of("NVIDIA A100-SXM4-80GB")
    assert peak is not None
    assert peak.flops_per_s("bf16") == 312e12
    assert peak.flops_per_s("fp32") == 19.5e12
    assert peak.bytes_per_s == 2039e9
    assert peak.flops_per_s("fp64") is None


def test_a_figure_printed_with_sparsity_is_halved() -> None:
    """H100 SXM: 1979 TFLOP/s with sparsity are 989.5 dense, and the entry says so."""
    peak = peak_of("NVIDIA H100 80GB HBM3")
    assert peak is not None
    assert peak.flops_per_s("fp16") == 1979e12 / 2
    assert peak.sparse_printed == ("tf32", "bf16", "fp16")


def test_a_generation_without_a_format_has_no_peak_for_it() -> None:
    """Volta and Turing have neither TF32 nor BF16."""
    for name in ("Tesla V100-SXM2-16GB", "Tesla T4"):
        peak = peak_of(name)
        assert peak is not None
        assert (peak.flops_per_s("tf32"), peak.flops_per_s("bf16")) == (None, None)


@pytest.mark.parametrize(
    "name", ["NVIDIA A100-SXM4-40GB MIG 3g.20gb", "NVIDIA A10G", "nvidia l4", "L40S", ""]
)
def test_only_exact_names_match(name: str) -> None:
    """A similar name is another card: no guess, but a reason."""
    assert peak_of(name) is None
    assert repr(name) in no_peak_reason("cuda", name)


def test_devices_without_a_data_sheet_say_why() -> None:
    """CPUs and Apple GPUs have none; a known GPU needs no reason."""
    assert "CPU" in no_peak_reason("cpu", "AMD EPYC (2 cores visible)")
    assert "Apple" in no_peak_reason("mps", "Apple M2 GPU")
    assert no_peak_reason("cuda", "NVIDIA L4") == ""


def test_every_entry_is_possible() -> None:
    """A narrower format is never slower, figures are positive, and a source is given."""
    peaks = all_peaks()
    entries = {peak.names for peak in peaks.values()}
    assert sorted(name for names in entries for name in names) == sorted(peaks)
    for name, peak in peaks.items():
        assert {*peak.tflops, *peak.sparse_printed} <= set(DTYPES), name
        rates = [peak.tflops[dtype] for dtype in DTYPES if dtype in peak.tflops]
        assert rates == sorted(rates), name
        assert 1 < rates[0] <= rates[-1] < 1000, name
        assert 100 < peak.memory_gb_per_s < 10_000, name
        assert set(peak.sparse_printed) <= set(peak.tflops), name
        assert peak.source.startswith("NVIDIA"), name
