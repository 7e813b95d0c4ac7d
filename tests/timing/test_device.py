"""Facts of machines: this one, and recorded ones."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest
import torch
from msgspec import to_builtins

from flopbench.core.errors import InputError
from flopbench.core.records import decode
from flopbench.timing.devices import MUST_MATCH, DeviceFacts, differing
from flopbench.timing.measure import device
from flopbench.timing.measure.cpu_facts import cpu_facts, quota_cores
from flopbench.timing.measure.device import check_device, device_facts, without_folders

needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8480+
stepping\t: 8
flags\t\t: fpu avx2 fma avx512f avx512_bf16 amx_tile amx_bf16

processor\t: 1
model name\t: another
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd asimdhp sve bf16
CPU implementer\t: 0x41
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write a recorded tree."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_facts_of_this_machine() -> None:
    """They survive JSON, equal themselves, and every gap has a reason."""
    facts = device_facts("cpu")
    assert decode(json.loads(json.dumps(to_builtins(facts))), DeviceFacts, "t") == facts
    assert differing(facts, facts) == []
    assert facts.facts["torch.version"] == torch.__version__
    assert facts.facts["torch.cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert facts.name.endswith("visible)")
    if platform.system() == "Linux":
        assert facts.facts["cpu.cores_visible"] == len(os.sched_getaffinity(0))
    known = {key for key in MUST_MATCH if not key.startswith(("gpu.", "env.", "av.", "pillow."))}
    assert known <= set(facts.facts)


def test_facts_can_be_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host name, user name or folder is in them, whatever the environment holds."""
    monkeypatch.setenv("LD_PRELOAD", "/srv/somebody/lib/libjemalloc.so:/opt/x/libfoo.so")
    monkeypatch.setenv("CUDA_CACHE_PATH", str(Path.home()))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f6e1c42-1111-2222-3333-444455556666")
    facts = device_facts("cpu").facts
    text = json.dumps(dict(facts))
    assert facts["env.LD_PRELOAD"] == "libjemalloc.so:libfoo.so"
    assert facts["env.CUDA_VISIBLE_DEVICES"] == "GPU-hidden"
    assert "/" not in text.replace("GNU/Linux", "")
    assert "somebody" not in text
    words = set(text.replace('"', " ").replace(":", " ").split())
    assert not words & {platform.node(), Path.home().name}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("4", "4"),
        ("granularity=fine,compact,1,0", "granularity=fine,compact,1,0"),
        ("expandable_segments:True", "expandable_segments:True"),
        ("/a/b.so /c/d.so", "b.so d.so"),
        ("/srv/My Name/x.so", "x.so"),
        ("C:\\Users\\me\\x.dll", "C:x.dll"),
        ("dump=/srv/me/", "dump="),
    ],
)
def test_paths_in_variables_keep_only_their_last_part(value: str, shown: str) -> None:
    """Other values stay as they are."""
    assert without_folders(value) == shown


def test_an_intel_server_in_a_container(tmp_path: Path) -> None:
    """First processor of cpuinfo, hyper-threads by topology, caches, governor, quota."""
    cpu = "sys/devices/system/cpu"
    topology = {f"{cpu}/cpu{i}/topology/core_cpus_list": f"{i % 2},{i % 2 + 2}" for i in range(4)}
    root = tree(
        tmp_path,
        {
            "proc/cpuinfo": X86,
            "proc/meminfo": "MemTotal:       1024 kB\nMemFree: 1 kB\n",
            "proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-2\n",
            "proc/self/cgroup": "0::/outside/pod\n",
            "proc/sys/kernel/osrelease": "6.1.0\n",
            "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian 12"\n',
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
            **topology,
            f"{cpu}/cpu0/cache/index0/level": "1",
            f"{cpu}/cpu0/cache/index0/type": "Instruction",
            f"{cpu}/cpu0/cache/index0/size": "32K",
            f"{cpu}/cpu0/cache/index2/level": "2\n",
            f"{cpu}/cpu0/cache/index2/type": "Unified\n",
            f"{cpu}/cpu0/cache/index2/size": "2048K\n",
            f"{cpu}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{cpu}/cpu0/cpufreq/cpuinfo_max_freq": "3800000\n",
        },
    )
    found = cpu_facts(root)
    expected = {
        "cpu.model": "Intel(R) Xeon(R) Platinum 8480+",
        "cpu.family_model_stepping": "GenuineIntel 6 143 8",
        "cpu.flags": "avx2 fma avx512f avx512_bf16 amx_tile amx_bf16",
        "cpu.hypervisor": "none",
        "cpu.affinity": "0-2",
        "cpu.cores_visible": 3,
        "cpu.cores_physical": 2,
        "cpu.l2_bytes": 2 * 2**20,
        "cpu.l3_bytes": None,
        "cpu.governor": "powersave",
        "cpu.max_mhz": 3800.0,
        "cpu.quota_cores": 1.5,
        "memory.total_bytes": 2**20,
        "os.kernel": "Linux 6.1.0",
    }
    assert {key: found.facts[key] for key in expected} == expected
    assert found.absent == {"cpu.l3_bytes": "no such cache under /sys"}


def test_an_arm_server(tmp_path: Path) -> None:
    """cpuinfo names no model there and has other words; what is missing has a reason."""
    found = cpu_facts(tree(tmp_path, {"proc/cpuinfo": ARM}))
    assert found.facts["cpu.model"] is None
    assert "ARM" in found.absent["cpu.model"]
    assert found.facts["cpu.family_model_stepping"] == "0x41 0xd40 0x1 1"
    assert found.facts["cpu.flags"] == "asimd asimdhp bf16 sve"
    assert found.facts["cpu.hypervisor"] is None
    assert set(found.absent) == {key for key, value in found.facts.items() if value is None}


def test_a_system_without_proc(tmp_path: Path) -> None:
    """macOS and others: what Python itself knows, and reasons for the rest."""
    found = cpu_facts(tmp_path)
    assert found.facts["cpu.cores_visible"] == os.cpu_count()
    assert set(found.absent) == {key for key, value in found.facts.items() if value is None}
    assert found.facts.keys() >= cpu_facts(tree(tmp_path, {"proc/cpuinfo": ARM})).facts.keys()


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, 4.0),
        ({"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "200000 100000\n"}, 2.0),
        ({"cpu.max": "nonsense\n"}, None),
        ({"unified/a/b/cpu.max": "300000 100000"}, 3.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/c/cpu.cfs_quota_us": "250000", "cpu/c/cpu.cfs_period_us": "100000"}, 2.5),
        ({"cpu/c/cpu.cfs_quota_us": "1", "cpu/c/cpu.cfs_period_us": "0"}, None),
    ],
)
def test_the_tightest_quota_of_all_levels_counts(
    tmp_path: Path, files: dict[str, str], cores: float | None
) -> None:
    """Control groups of version 2 and 1, own group and those above it."""
    groups = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    root = tree(tmp_path, {"proc/self/cgroup": "5:cpuacct,cpu:/c\n0::/a/b\n", **groups})
    found, why_not = quota_cores(root)
    assert found == cores
    assert bool(why_not) == (cores is None)


@needs_no_cuda
def test_a_missing_gpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says why, for the two common causes too, what is there, and the way out."""
    with pytest.raises(InputError, match=r"^there is no CUDA device here: torch ") as caught:
        check_device("cuda", "fp32")
    assert "available: cpu" in caught.value.message
    assert caught.value.hint == "--device cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for version, why in (("13.2", "CUDA_VISIBLE_DEVICES hides every GPU"), (None, "without CUDA")):
        monkeypatch.setattr(torch.version, "cuda", version)
        with pytest.raises(InputError, match=why):
            check_device("cuda", "fp32")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is an Apple GPU here")
def test_a_missing_apple_gpu_is_told() -> None:
    """With the reason, in torch's build or in the machine."""
    with pytest.raises(InputError, match="there is no MPS device here: torch"):
        check_device("mps", "fp16")


def test_unknown_names_are_told_before_anything_is_tried() -> None:
    """Device first, then number format."""
    with pytest.raises(InputError, match="unknown device 'cdua'"):
        check_device("cdua", "fp8")
    with pytest.raises(InputError, match="unknown dtype 'fp8'"):
        check_device("cpu", "fp8")
    with pytest.raises(InputError, match="cpu has no TF32"):
        check_device("cpu", "tf32")


def test_the_cpu_is_asked_whether_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format is refused where torch's own convolution refuses it."""
    check_device("cpu", "fp32")
    check_device("cpu", "bf16")

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("\"slow_conv2d_cpu\" not implemented for 'Half'\nand a second line")

    monkeypatch.setattr(torch.nn.functional, "conv2d", refuse)
    device._problem.cache_clear()
    try:
        with pytest.raises(InputError, match="cannot convolve in fp16 on cpu: ") as caught:
            check_device("cpu", "fp16")
        assert caught.value.message.endswith("for 'Half'")
    finally:
        device._problem.cache_clear()


@pytest.mark.gpu
@needs_cuda
def test_facts_of_a_gpu() -> None:
    """torch's facts are there; NVML's are there or have a reason."""
    facts = device_facts("cuda")
    assert facts.name == torch.cuda.get_device_name()
    assert facts.facts["gpu.cuda_runtime"] == torch.version.cuda
    assert {key for key in MUST_MATCH if key.startswith("gpu.")} <= set(facts.facts)
    assert decode(json.loads(json.dumps(to_builtins(facts))), DeviceFacts, "t") == facts
    assert "uuid" not in json.dumps(to_builtins(facts)).lower().replace("the uuid", "")
