"""NVML, NVIDIA's management library: facts and readings of a GPU through the module ``pynvml``.

``pynvml`` comes from the package nvidia-ml-py and is passed in, so that tests can replace it with a
recorded one. What a device or its driver does not support is None, with the reason in ``absent``.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from flopbench.core.errors import MeasureError
from flopbench.timing.devices import GatheredFacts
from flopbench.timing.gpu_readings import GpuReading, throttle_names

NOT_INSTALLED = "nvidia-ml-py is not installed: python -m pip install 'flopbench[gpu]'"

_CLOCK_SM, _CLOCK_MEMORY, _TEMPERATURE_GPU = 1, 2, 0  # nvml.h: nvmlClockType_t, ...Sensors_t


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1e3


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _word(value: int, words: Sequence[str] = ("off", "on")) -> str | None:
    return words[value] if 0 <= value < len(words) else None


def _now(modes: Sequence[int]) -> str | None:
    """Name the mode in force; the second of the two follows the next reset."""
    return _word(modes[0])


def _compute_mode(value: int) -> str | None:
    return _word(value, ("default", "exclusive thread", "prohibited", "exclusive process"))


FACTS: dict[str, tuple[Callable[[Any], Any], str, tuple[int, ...]]] = {
    "gpu.driver": (_text, "nvmlSystemGetDriverVersion", ()),
    # The generation in use falls while the GPU idles, so the highest one is recorded.
    "gpu.pcie_generation_max": (int, "nvmlDeviceGetMaxPcieLinkGeneration", ()),
    "gpu.pcie_width": (int, "nvmlDeviceGetCurrPcieLinkWidth", ()),
    "gpu.mig": (_now, "nvmlDeviceGetMigMode", ()),
    "gpu.ecc": (_now, "nvmlDeviceGetEccMode", ()),
    "gpu.persistence_mode": (_word, "nvmlDeviceGetPersistenceMode", ()),
    "gpu.compute_mode": (_compute_mode, "nvmlDeviceGetComputeMode", ()),
    "gpu.power_limit_w": (_watts, "nvmlDeviceGetEnforcedPowerLimit", ()),
    "gpu.power_limit_default_w": (_watts, "nvmlDeviceGetPowerManagementDefaultLimit", ()),
    "gpu.clock_sm_max_mhz": (int, "nvmlDeviceGetMaxClockInfo", (_CLOCK_SM,)),
    "gpu.application_clock_sm_mhz": (int, "nvmlDeviceGetApplicationsClock", (_CLOCK_SM,)),
    "gpu.clock_memory_max_mhz": (int, "nvmlDeviceGetMaxClockInfo", (_CLOCK_MEMORY,)),
    "gpu.application_clock_memory_mhz": (int, "nvmlDeviceGetApplicationsClock", (_CLOCK_MEMORY,)),
}
"""Fact -> how NVML's answer is turned into it, the call, and its arguments after the device."""


def load_pynvml() -> ModuleType | None:
    """Return the module ``pynvml``; None if nvidia-ml-py is not installed."""
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return None


class Nvml:
    """One GPU behind NVML; a context manager that closes it.

    ``index`` is NVML's number of the GPU, which differs from torch's if CUDA_VISIBLE_DEVICES is
    set; ``own_pids`` are the caller's processes, by default this one.

    Raises:
        MeasureError: no driver, or no such GPU.
    """

    def __init__(
        self,
        pynvml: Any,
        index: int,
        own_pids: Collection[int] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._nvml = pynvml
        self._own = frozenset((os.getpid(),) if own_pids is None else own_pids)
        self._clock = clock
        self.absent: dict[str, str] = {}
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise MeasureError(f"NVML does not start: {error}") from None
        try:
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        except pynvml.NVMLError as error:
            self.close()
            raise MeasureError(f"NVML has no GPU {index}: {error}") from None

    def __enter__(self) -> Nvml:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close NVML; a driver that has disappeared by then is not an error."""
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError as error:
            self.absent["shutdown"] = str(error)

    def reading(self) -> GpuReading:
        """Read clocks, power, temperature, limits, energy and foreign processes now."""
        # The energy counter first, next to the clock: its time is the one that matters.
        t_s = self._clock()
        energy = self._ask("energy_mj", "nvmlDeviceGetTotalEnergyConsumption")
        mask = self._ask(
            "throttle_reasons",
            "nvmlDeviceGetCurrentClocksEventReasons",
            older="nvmlDeviceGetCurrentClocksThrottleReasons",
        )
        rates = self._ask("utilization_percent", "nvmlDeviceGetUtilizationRates")
        return GpuReading(
            t_s=t_s,
            energy_mj=energy,
            sm_mhz=self._ask("sm_mhz", "nvmlDeviceGetClockInfo", _CLOCK_SM),
            memory_mhz=self._ask("memory_mhz", "nvmlDeviceGetClockInfo", _CLOCK_MEMORY),
            temperature_c=self._ask("temperature_c", "nvmlDeviceGetTemperature", _TEMPERATURE_GPU),
            power_w=_watts(self._ask("power_w", "nvmlDeviceGetPowerUsage")),
            power_limit_w=_watts(self._ask("power_limit_w", "nvmlDeviceGetEnforcedPowerLimit")),
            throttle_reasons=None if mask is None else throttle_names(mask),
            foreign_processes=self._foreign_processes(),
            utilization_percent=None if rates is None else rates.gpu,
        )

    def facts(self) -> GatheredFacts:
        """Return the ``gpu.*`` facts that only NVML has. No serial number and no UUID."""
        found = GatheredFacts()
        for key, (turned, call, args) in FACTS.items():
            answer = self._ask(key, call, *args, device=key != "gpu.driver")
            value = None if answer is None else turned(answer)
            found.put(key, value, self.absent.get(key, "NVML gives a value of unknown meaning"))
        return found

    def _ask(self, key: str, call: str, *args: int, device: bool = True, older: str = "") -> Any:
        """Make one call; None if it is not supported, with the reason under ``key``."""
        function = getattr(self._nvml, call, None) or getattr(self._nvml, older, None)
        if function is None:
            self.absent[key] = f"this nvidia-ml-py has no {call}"
            return None
        try:
            return function(*((self._handle,) if device else ()), *args)
        except self._nvml.NVMLError as error:
            self.absent[key] = f"NVML: {error}"
            return None

    def _foreign_processes(self) -> int | None:
        """Count compute processes that are not the caller's; None if their numbers are unusable."""
        processes = self._ask("foreign_processes", "nvmlDeviceGetComputeRunningProcesses")
        if processes is None:
            return None
        pids = {process.pid for process in processes}
        foreign = pids - self._own
        if foreign == pids and not all(_is_visible(pid) for pid in foreign):
            # In another namespace the caller cannot find its own number among them.
            self.absent["foreign_processes"] = (
                "NVML gives process numbers of the host, but this is a container"
            )
            return None
        return len(foreign)


def nvml_index(pynvml: Any, uuid: str) -> int | None:
    """Return NVML's number of the GPU with the UUID that torch reports; None if there is none.

    Call it between ``nvmlInit`` and ``nvmlShutdown``. A slice of a MIG GPU has another UUID and is
    not found.
    """
    wanted = uuid.removeprefix("GPU-")
    for index in range(pynvml.nvmlDeviceGetCount()):
        own = pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index))
        if _text(own).removeprefix("GPU-") == wanted:
            return index
    return None


def _is_visible(pid: int) -> bool:
    """Return whether a process number exists in this namespace; True if there is no /proc."""
    return not Path("/proc/self").exists() or Path(f"/proc/{pid}").exists()
