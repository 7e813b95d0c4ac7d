"""Readings of a GPU: NVML's units and bits, what is not supported, and what readings mean."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT
from msgspec.structs import replace

from flopbench.core.errors import MeasureError
from flopbench.timing.gpu_readings import (
    MIN_TICKS,
    GpuReading,
    energy_per_image_j,
    foreign,
    throttle_names,
    throttled,
)
from flopbench.timing.measure import nvml
from flopbench.timing.measure.nvml import Nvml, nvml_index

DATA = json.loads((ROOT / "tests/data/nvml-readings.json").read_text(encoding="utf-8"))


class RecordedError(Exception):
    """Stands in for pynvml.NVMLError."""


class Recorded:
    """Behaves like the module pynvml, with recorded readings one after another."""

    NVMLError = RecordedError

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = iter(rows)
        self.row: dict[str, Any] = {}
        self.opened = 0

    def clock(self) -> float:
        """Go to the next reading."""
        self.row = next(self.rows)
        return float(self.row["t_s"])

    def _value(self, key: str) -> Any:
        if self.row.get(key) is None:
            raise RecordedError("Not Supported")
        return self.row[key]

    def nvmlInit(self) -> None:
        self.opened += 1

    def nvmlShutdown(self) -> None:
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetUUID(self, handle: int) -> bytes | str:
        return [b"GPU-11-aa", "GPU-22-bb"][handle]

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index > 1:
            raise RecordedError("Invalid Argument")
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle: int) -> int:
        return self._value("energy_mj")

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _handle: int) -> int:
        return self._value("reasons")  # an old nvidia-ml-py: the newer name is missing

    def nvmlDeviceGetUtilizationRates(self, _handle: int) -> Any:
        return SimpleNamespace(gpu=self._value("utilization_percent"), memory=0)

    def nvmlDeviceGetClockInfo(self, _handle: int, kind: int) -> int:
        return self._value({1: "sm_mhz", 2: "memory_mhz"}[kind])

    def nvmlDeviceGetTemperature(self, _handle: int, _sensor: int) -> int:
        return self._value("temperature_c")

    def nvmlDeviceGetPowerUsage(self, _handle: int) -> int:
        return self._value("power_mw")

    def nvmlDeviceGetEnforcedPowerLimit(self, _handle: int) -> int:
        return self._value("power_limit_mw")

    def nvmlDeviceGetComputeRunningProcesses(self, _handle: int) -> list[Any]:
        return [SimpleNamespace(pid=pid) for pid in self._value("pids")]

    def nvmlDeviceGetMigMode(self, _handle: int) -> list[int]:
        return [0, 1]  # now, and after the next reset

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"535.104.05"


def read(run: str) -> list[GpuReading]:
    """Read a recorded run through ``Nvml``."""
    rows = DATA["runs"][run]
    source = Recorded(rows)
    with Nvml(source, 0, own_pids=[DATA["own_pid"]], clock=source.clock) as gpu:
        readings = [gpu.reading() for _ in rows]
    assert source.opened == 0
    return readings


def images(rate: float, start_s: float = 0.0, end_s: float = 1000.0) -> list[tuple[float, float]]:
    """Return images done at a steady rate."""
    return [(start_s, 0.0), (end_s, rate * (end_s - start_s))]


def test_units_are_turned_into_ours() -> None:
    """Milliwatts become watts, masks become names, process numbers become a count."""
    assert read("throttled")[9] == GpuReading(
        t_s=200.9,
        sm_mhz=1410,
        memory_mhz=2619,
        temperature_c=89,
        power_w=690.0,
        power_limit_w=700.0,
        throttle_reasons=("sw power cap", "sw thermal slowdown"),
        energy_mj=8_124_077_789,
        foreign_processes=0,
        utilization_percent=100,
    )


def test_what_is_not_supported_is_none_with_its_reason() -> None:
    """An old card without counter, reasons and processes still gives the rest."""
    rows = DATA["runs"]["old card"]
    source = Recorded(rows)
    gpu = Nvml(source, 1, own_pids=[1], clock=source.clock)
    reading = gpu.reading()
    assert (reading.energy_mj, reading.throttle_reasons, reading.foreign_processes) == (None,) * 3
    assert (reading.sm_mhz, reading.power_w) == (1350, 150.0)
    assert gpu.absent == {
        "energy_mj": "NVML: Not Supported",
        "throttle_reasons": "NVML: Not Supported",
        "foreign_processes": "NVML: Not Supported",
    }


def test_facts_are_words_or_null_with_a_reason() -> None:
    """The mode in force counts, not the one after the next reset; bytes of old modules decode."""
    source = Recorded(DATA["runs"]["calm"])
    found = Nvml(source, 0, own_pids=[1], clock=source.clock).facts()
    assert found.facts["gpu.mig"] == "off"
    assert found.facts["gpu.driver"] == "535.104.05"
    assert found.facts["gpu.ecc"] is None
    assert found.absent["gpu.ecc"] == "this nvidia-ml-py has no nvmlDeviceGetEccMode"
    assert set(found.absent) == {key for key, value in found.facts.items() if value is None}


def test_a_gpu_that_is_not_there_is_an_error_and_closes_nvml() -> None:
    """The message names the number; NVML is closed."""
    source = Recorded([])
    with pytest.raises(MeasureError, match="NVML has no GPU 2: Invalid Argument"):
        Nvml(source, 2)
    assert source.opened == 0


def test_a_gpu_is_found_by_its_uuid() -> None:
    """torch prints no prefix, old modules give bytes, and a MIG slice is not found."""
    assert [nvml_index(Recorded([]), uuid) for uuid in ("11-aa", "22-bb", "33-cc")] == [0, 1, None]


def test_process_numbers_of_another_namespace_mean_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a container NVML may give the host's numbers: the caller is among them, unseen."""
    monkeypatch.setattr(nvml, "_is_visible", lambda pid: pid == 4242)
    source = Recorded(DATA["runs"]["guest"][1:])
    gpu = Nvml(source, 0, own_pids=[77], clock=source.clock)
    assert gpu.reading().foreign_processes is None
    assert "host" in gpu.absent["foreign_processes"]


def test_every_bit_has_a_name() -> None:
    """Bits of nvml.h by name, one of a newer driver by its value."""
    assert throttle_names(0) == ()
    assert throttle_names(0x1 | 0x48) == ("gpu idle", "hw slowdown", "hw thermal slowdown")
    assert throttle_names(0x4000) == ("unknown bit 0x4000",)


def test_a_calm_run_is_not_throttled() -> None:
    """Idle clocks at the start and boost steps of 15 MHz are normal."""
    assert throttled(read("calm")) == ""
    assert throttled(read("old card")) == ""
    assert throttled([]) == ""


def test_a_throttled_run_says_why_and_how_much() -> None:
    """Named reasons with their share, and the fall of the clock."""
    assert throttled(read("throttled")) == (
        "sw power cap in 6 of 12 readings (50%); sw thermal slowdown in 3 of 12 readings (25%);"
        " the SM clock fell to 1410 MHz, 29% below the 1980 MHz seen while busy"
    )


def test_a_fallen_clock_is_enough() -> None:
    """If the driver names no reason, the clock shows it; clocks while idle do not."""
    blind = [replace(r, throttle_reasons=None) for r in read("throttled")]
    assert throttled(blind).startswith("the SM clock fell to 1410 MHz")
    assert throttled([replace(r, utilization_percent=3) for r in blind]) == ""


def test_foreign_processes_are_counted() -> None:
    """The worst reading counts; unknown is not zero."""
    assert foreign(read("guest")) == 2
    assert foreign(read("calm")) == 0
    assert foreign(read("old card")) is None
    assert foreign([]) is None


def test_energy_is_divided_between_ticks() -> None:
    """300 W at 100 images a second is 3 J an image, whatever the counter does between ticks."""
    energy = energy_per_image_j(read("calm"), images(100.0))
    # The counter moves at 100.1, 100.2, ... 103.0 s: 29 intervals of 30 J in 2.9 s.
    assert (energy.per_image_j, energy.reason) == (pytest.approx(870 / 290), "")


def test_energy_outside_the_work_does_not_count() -> None:
    """Only ticks while images were being done; the images between them are interpolated."""
    energy = energy_per_image_j(read("calm"), [(100.55, 0.0), (101.0, 90.0), (102.95, 480.0)])
    # Ticks at 100.6 ... 102.9 s: 690 J in 2.3 s; 200 images a second throughout.
    assert energy.per_image_j == pytest.approx(690 / 460)


@pytest.mark.parametrize(
    ("run", "done", "reason"),
    [
        ("old card", images(1.0), "no energy counter"),
        ("throttled", images(1.0), f"moved 10 times while images were processed; {MIN_TICKS} are"),
        ("calm", images(1.0, end_s=50.0), "moved 0 times"),
        ("calm", [(100.0, 0.0)], "fewer than two instants"),
        ("calm", images(0.0), "no image was processed"),
    ],
)
def test_energy_that_cannot_be_told_has_a_reason(
    run: str, done: list[tuple[float, float]], reason: str
) -> None:
    """No figure from too few ticks, no counter, no images."""
    energy = energy_per_image_j(read(run), done)
    assert energy.per_image_j is None
    assert reason in energy.reason


def test_a_counter_that_goes_back_gives_no_energy() -> None:
    """A reloaded driver starts at 0."""
    readings = read("calm")
    readings[30] = replace(readings[30], energy_mj=5)
    assert "went back" in energy_per_image_j(readings, images(100.0)).reason
