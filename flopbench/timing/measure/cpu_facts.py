"""What the operating system reports about processor and memory.

``root`` is the folder that holds ``proc`` and ``sys``, so that tests can read recorded trees of
other machines. A missing fact is null with a reason; nothing is guessed.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from flopbench.core.memory import group_folders, text_of
from flopbench.timing.devices import GatheredFacts

FLAGS = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni"),
    *("amx_tile", "amx_bf16", "amx_int8", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)
"""The instruction sets that torch's CPU kernels choose between, as Linux names them."""

_SYSCTL = {
    "cpu.model": "machdep.cpu.brand_string",
    "cpu.cores_visible": "hw.logicalcpu",
    "cpu.cores_physical": "hw.physicalcpu",
    "cpu.l2_bytes": "hw.perflevel0.l2cachesize",
    "memory.total_bytes": "hw.memsize",
}


def cpu_facts(root: Path = Path("/")) -> GatheredFacts:
    """Return ``cpu.*``, ``memory.*``, ``os.*`` of a Linux tree, or of this machine elsewhere."""
    found = GatheredFacts()
    if (root / "proc/cpuinfo").is_file():
        _processor(found, root)
        _cores(found, root)
        _caches(found, root)
        _clocks(found, root)
        found.put("cpu.quota_cores", *quota_cores(root))
        total = re.search(r"^MemTotal:\s*(\d+) kB", text_of(root / "proc/meminfo"), re.MULTILINE)
        nbytes = int(total[1]) * 1024 if total else None
        found.put("memory.total_bytes", nbytes, "no MemTotal in /proc/meminfo")
    else:
        _without_proc(found)
    release = text_of(root / "proc/sys/kernel/osrelease").strip()
    kernel = f"Linux {release}" if release else f"{platform.system()} {platform.release()}"
    found.put("os.kernel", kernel, "")
    found.put("os.name", _os_name(root), "no PRETTY_NAME in /etc/os-release")
    return found


def quota_cores(root: Path = Path("/")) -> tuple[float | None, str]:
    """Return how many cores the control group may use, or None and why there is no limit.

    The tightest limit from the process's own group up to the root counts. Version 2 keeps it in
    ``cpu.max``, version 1 in ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us``.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst.
    """
    new, old = group_folders("cpu", root)
    limits = [_share(*text_of(folder / "cpu.max").partition(" ")[::2]) for folder in new]
    limits += [
        _share(text_of(folder / "cpu.cfs_quota_us"), text_of(folder / "cpu.cfs_period_us"))
        for folder in old
    ]
    known = [limit for limit in limits if limit is not None]
    if known:
        return min(known), ""
    return None, "no control group limits the processor time"


def _share(quota: str, period: str) -> float | None:
    """Return quota / period; None if there is no limit (``max``, -1) or no such file."""
    with contextlib.suppress(ValueError, ZeroDivisionError):
        share = int(quota) / int(period)
        return share if share > 0 else None
    return None


def _processor(found: GatheredFacts, root: Path) -> None:
    """Read the first processor of /proc/cpuinfo, whose keys differ between x86 and ARM."""
    first = text_of(root / "proc/cpuinfo").strip().split("\n\n")[0]
    lines = (line.partition(":") for line in first.splitlines())
    words = {key.strip(): value.strip() for key, _, value in lines}
    model = (
        words.get("model name")
        or words.get("Processor")
        or text_of(root / "sys/firmware/devicetree/base/model").strip("\0 \n")
    )
    found.put("cpu.model", model or None, "/proc/cpuinfo names no model (as usual on ARM)")
    x86 = [words.get(key) for key in ("vendor_id", "cpu family", "model", "stepping")]
    arm = [words.get(f"CPU {key}") for key in ("implementer", "part", "variant", "revision")]
    numbers = next((part for part in (x86, arm) if all(part)), None)
    found.put(
        "cpu.family_model_stepping",
        " ".join(str(number) for number in numbers) if numbers else None,
        "/proc/cpuinfo gives no family, model and stepping",
    )
    flags = (words.get("flags") or words.get("Features") or "").split()
    found.put(
        "cpu.flags",
        " ".join(flag for flag in FLAGS if flag in flags) if flags else None,
        "/proc/cpuinfo lists no flags",
    )
    hypervisor = text_of(root / "sys/hypervisor/type").strip()
    if not hypervisor and "hypervisor" in flags:
        hypervisor = "yes, unnamed"
    if not hypervisor and "flags" in words:  # x86 processors report this to guests
        hypervisor = "none"
    found.put("cpu.hypervisor", hypervisor or None, "this processor does not report it to guests")


def _cores(found: GatheredFacts, root: Path) -> None:
    """Count the hardware threads that this process may use, and the physical cores."""
    status = text_of(root / "proc/self/status")
    match = re.search(r"^Cpus_allowed_list:\s*(.+)", status, re.MULTILINE)
    allowed = match[1].strip() if match else ""
    why_not = "no Cpus_allowed_list in /proc/self/status"
    found.put("cpu.affinity", allowed or None, why_not)
    found.put("cpu.cores_visible", len(_numbers(allowed)) or None, why_not)
    siblings = {
        text_of(folder / "topology/core_cpus_list")
        or text_of(folder / "topology/thread_siblings_list")
        for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*")
    }
    siblings.discard("")
    found.put("cpu.cores_physical", len(siblings) or None, "no core topology under /sys")


def _caches(found: GatheredFacts, root: Path) -> None:
    """Read the caches of the first processor: one L2 per core, one L3 per cluster of cores."""
    sizes: dict[str, int] = {}
    for folder in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*"):
        size = re.fullmatch(r"(\d+)([KMG]?)", text_of(folder / "size").strip())
        if size and text_of(folder / "type").strip() in ("Unified", "Data"):
            scale = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[size[2]]
            sizes[text_of(folder / "level").strip()] = int(size[1]) * scale
    for level in ("2", "3"):
        found.put(f"cpu.l{level}_bytes", sizes.get(level), "no such cache under /sys")


def _clocks(found: GatheredFacts, root: Path) -> None:
    folder = root / "sys/devices/system/cpu/cpu0/cpufreq"
    why_not = "no cpufreq on this machine, as is usual in a virtual one"
    found.put("cpu.governor", text_of(folder / "scaling_governor").strip() or None, why_not)
    khz = text_of(folder / "cpuinfo_max_freq").strip()
    found.put("cpu.max_mhz", int(khz) / 1e3 if khz.isdecimal() else None, why_not)


def _os_name(root: Path) -> str | None:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', text_of(root / "etc/os-release"), re.MULTILINE)
    return match[1] if match else None


def _without_proc(found: GatheredFacts) -> None:
    """Ask sysctl on macOS; elsewhere only Python's standard library is left."""
    for key in (
        *("cpu.family_model_stepping", "cpu.affinity", "cpu.quota_cores", "cpu.flags"),
        *("cpu.l3_bytes", "cpu.governor", "cpu.max_mhz", "cpu.hypervisor"),
    ):
        found.put(key, None, "not available on this operating system")
    for key, word in _SYSCTL.items():
        text = _sysctl(word) if sys.platform == "darwin" else ""
        number = int(text) if text.isdecimal() else None
        found.put(key, text or None if key == "cpu.model" else number, f"no sysctl {word} here")
    if found.facts["cpu.cores_visible"] is None:
        found.put("cpu.cores_visible", os.cpu_count(), "Python cannot determine it")
    if found.facts["cpu.model"] is None:
        found.put("cpu.model", platform.processor() or None, "Python cannot determine it")


def _sysctl(word: str) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["/usr/sbin/sysctl", "-n", word]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
    return ""


def _numbers(text: str) -> set[int]:
    """Read Linux's list of numbers: ``0-2,8`` is {0, 1, 2, 8}."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.strip().isdecimal():
            numbers.update(range(int(first), int(last or first) + 1))
    return numbers
