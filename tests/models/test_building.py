"""How models are built: integers keep their values beside shapes, and nothing is left set."""

from __future__ import annotations

import os
import socket
import sys
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from flopbench.core.errors import InputError
from flopbench.counting.measure.profiler import profile_spec
from flopbench.counting.registry import find_counters
from flopbench.models.build.builders import DownloadRefused, offline, on_meta
from flopbench.models.build.by_source import build
from flopbench.models.build.kept_integers import KeptIntegers
from flopbench.models.build.reach import parameter_sizes, what_missed
from flopbench.models.spec import parse_spec

IDS = torch.tensor([[1, 7, 7, 2, 7]])


def placed(ids: Any, x: Any) -> Any:
    """Replace the features at a placeholder, as vision-language models do."""
    x[ids == 7] = x[0, :3] * 2
    return x


def repeated(ids: Any, x: Any) -> Any:
    """Repeat each feature as often as an id says."""
    return torch.repeat_interleave(x, ids[0], dim=1)


def split(ids: Any, x: Any) -> Any:
    """Split by lengths that were counted."""
    lengths = torch.tensor([(ids == 7).sum(), (ids != 7).sum()])
    return torch.cat(torch.split(x, lengths.tolist(), dim=1)[:1])


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize(
    "work",
    [
        lambda ids, x: x[ids == 7],
        lambda ids, x: x[(ids == 7).to(x.device)],
        lambda ids, x: x[0, torch.where(ids[0] == 7)[0]],
        lambda ids, x: x.masked_scatter((ids == 7).unsqueeze(-1), x[0, :3]),
        lambda ids, x: x[:, torch.arange(3, device=x.device)] * (ids[:, :3, None] > 1),
        lambda ids, x: x[:, : int(torch.full((), 3, device=x.device))],
        lambda ids, x: x[torch.ones(ids.shape, device=x.device).bool()],
        lambda ids, x: nn.functional.one_hot(ids, 9).to(x) @ x.new_zeros(9, 2),
        lambda ids, x: x.cpu() * ids.unsqueeze(-1).to(x.device, x.dtype),
        placed,
        repeated,
        split,
    ],
)
def test_shapes_follow_the_values_of_integers(
    work: Callable[[Any, Any], Any], context: Callable[[], Any]
) -> None:
    """What is computed on shapes has the shape that it has on values, and takes no memory."""
    with context():
        expected = work(IDS.clone(), torch.rand(1, 5, 4))
        with KeptIntegers():
            found = work(IDS.clone(), torch.empty(1, 5, 4, device="meta"))
    assert found.shape == expected.shape
    assert found.is_meta


def test_what_has_no_value_is_not_made_up() -> None:
    """A shape written among values would leave them wrong without a word."""
    ids, shapes = IDS.clone(), torch.empty(3, dtype=torch.long, device="meta")
    with KeptIntegers(), pytest.raises(NotImplementedError, match="writes a shape into values"):
        ids[0, :3] = shapes
    with KeptIntegers(), pytest.raises(NotImplementedError, match="writes a shape into values"):
        ids[ids == 7] = shapes


def test_unread_parameters_are_crossed_out() -> None:
    """What an operator takes is read, the rest stays."""
    with torch.device("meta"):
        net = nn.ModuleList([nn.Linear(2, 2, bias=False) for _ in range(2)])
    unread = {id(parameter): name for name, parameter in net.named_parameters()}
    with KeptIntegers(unread):
        net[1](torch.empty(1, 2, device="meta"))
    assert list(unread.values()) == ["0.weight"]


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("tower", "3.8 % of its parameters take no part: tower"),  # 4 of 104: but a whole tower
        ("head", "5.8 % of its parameters take no part: head"),  # 6 of 104
        ("small", ""),  # 4 of 104
    ],
)
def test_a_small_tower_is_missed_too(missing: str, said: str) -> None:
    """A tower beside a language model of 72 B is less than a hundredth of the parameters."""
    parts = {"body": (9, 10), "tower": (2, 2), "small": (1, 4), "head": (2, 3)}
    net = nn.ModuleDict({name: nn.Linear(*size, bias=False) for name, size in parts.items()})
    net["tower"].main_input_name = "pixel_values"
    sizes = parameter_sizes(net)
    unread = {one: entry for one, entry in sizes.items() if entry[0].startswith(missing)}
    assert what_missed(net, unread) == said


@pytest.mark.parametrize("before", [None, "0", "1"])
@pytest.mark.parametrize("text", ["transformers:bert@8,num_hidden_layers=1", "transformers:vitt"])
def test_the_hub_is_as_it_was(
    before: str | None, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after an exception, and also where a library was imported meanwhile."""
    constants = pytest.importorskip("huggingface_hub.constants")
    pytest.importorskip("transformers")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if before is not None:
        monkeypatch.setenv("HF_HUB_OFFLINE", before)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", before == "1")
    environment = dict(os.environ)
    try:
        build(parse_spec(text), "meta")
    except InputError:
        assert "vitt" in text
    assert dict(os.environ) == environment
    assert constants.HF_HUB_OFFLINE is (before == "1")
    with offline():
        assert (os.environ["HF_HUB_OFFLINE"], constants.HF_HUB_OFFLINE) == ("1", True)


def test_a_hub_that_is_imported_meanwhile_is_online_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It read the switch when it was imported."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delitem(sys.modules, "huggingface_hub.constants", raising=False)
    late = types.ModuleType("huggingface_hub.constants")
    with offline():
        late.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, late.__name__, late)
    assert late.HF_HUB_OFFLINE is False


PRETRAINED = """
import urllib.request
import torch
from torch import nn

def fetch(wanted):
    print("called", file=open("calls", "a"))
    if wanted:
        urllib.request.urlopen("http://10.255.255.1/weights.pth")
    return nn.Conv2d(3, 4, 3)

def plain(pretrained=True): return fetch(pretrained)
def named(width=4, weights="imagenet"): return fetch(weights)
def hidden(): return fetch(True)
def falls_back(pretrained=True):
    try:
        return fetch(pretrained)
    except OSError:
        return nn.Conv2d(3, 4, 3)
def hub(pretrained=True):
    torch.hub.load_state_dict_from_url("https://example.com/flopbench-absent.pth")
def repository(): return torch.hub.load("someone/absent:main", "net")
def of_timm(pretrained=True):
    import timm
    return timm.create_model("resnet10t", pretrained=pretrained)
def of_torchvision():
    import torchvision
    return torchvision.models.resnet18(weights="DEFAULT")
def of_the_hub(checkpoint="a/b"):
    import huggingface_hub
    return huggingface_hub.hf_hub_download(checkpoint, "weights.bin")
"""


@pytest.fixture
def fetching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Factories that download, where nothing is on disk yet, and the hub may go online."""
    (tmp_path / "fetching.py").write_text(PRETRAINED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("fetching.py:plain@8", "(fetching.py:9), and nothing is downloaded"),
        ("fetching.py:plain@8", "write fetching.py:plain@8,pretrained=False"),
        ("fetching.py:named@8,width=5", "write fetching.py:named@8,weights=None,width=5"),
        ("fetching.py:hidden", "let hidden leave them out, as with a parameter pretrained=False"),
        ("fetching.py:hub", "write fetching.py:hub,pretrained=False"),
        ("fetching.py:repository", "fetching.py:repository wants to download something"),
        ("fetching.py:of_timm", "write fetching.py:of_timm,pretrained=False"),
        ("fetching.py:of_torchvision", "let of_torchvision leave them out"),
        ("fetching.py:of_the_hub", "write fetching.py:of_the_hub,checkpoint=None"),
        ("resnet18@8,weights=DEFAULT", "leave out weights=DEFAULT"),
    ],
)
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_download_is_refused_at_once(fetching: Path, device: str, text: str, needle: str) -> None:
    """Nothing hangs, the message names the fix, and connections work again afterwards."""
    for library in ("timm", "the_hub"):
        if library in text:
            pytest.importorskip(library.replace("the_hub", "huggingface_hub"))
    connections = socket.socket.connect, socket.create_connection, socket.getaddrinfo
    with pytest.raises(DownloadRefused) as caught:
        build(parse_spec(text), device)
    assert needle in caught.value.line
    assert (socket.socket.connect, socket.create_connection, socket.getaddrinfo) == connections
    assert "connect" not in vars(socket.socket)


def test_a_refused_download_is_not_tried_again(fetching: Path) -> None:
    """One call for all counters; without weights, or with a way out of its own, it is counted."""
    counters = find_counters(["torch", "thop", "fvcore"])
    with pytest.raises(DownloadRefused):
        profile_spec(parse_spec("fetching.py:plain@8"), counters)
    assert (fetching / "calls").read_text().split() == ["called"]
    for text in ("fetching.py:plain@8,pretrained=False", "fetching.py:falls_back@8"):
        found = profile_spec(parse_spec(text), counters)
        # 4 × 3 × 3 × 3 products at each of 6 × 6 positions
        assert {one.dense_macs for one in found.values()} == {108 * 36}  # type: ignore[union-attr]


def test_only_the_thread_that_builds_is_offline() -> None:
    """Another thread of the process keeps its connections, and sockets of files are none."""
    with socket.create_server(("127.0.0.1", 0)) as server, offline():
        with pytest.raises(ConnectionError, match="nothing is downloaded while counting"):
            socket.create_connection(server.getsockname())
        with ThreadPoolExecutor(1) as pool:
            pool.submit(socket.create_connection, server.getsockname()).result().close()
        with socket.socket(socket.AF_UNIX) as file, pytest.raises(FileNotFoundError):
            file.connect("/absent/socket")


def test_a_refusal_is_not_built_twice() -> None:
    """Only a builder that fails on the meta device is tried once more, without it."""
    tried: list[bool] = []

    def refused() -> nn.Module:
        tried.append(torch.empty(0).is_meta)
        raise InputError("no such model")

    with pytest.raises(InputError, match="no such model"):
        on_meta(refused)
    assert tried == [True]
