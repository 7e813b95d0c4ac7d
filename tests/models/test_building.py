"""How models are built: integers keep their values beside shapes, and nothing is left set."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from flopbench.core.errors import InputError
from flopbench.models.build.builders import offline, on_meta
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


def test_a_refusal_is_not_built_twice() -> None:
    """Only a builder that fails on the meta device is tried once more, without it."""
    tried: list[bool] = []

    def refused() -> nn.Module:
        tried.append(torch.empty(0).is_meta)
        raise InputError("no such model")

    with pytest.raises(InputError, match="no such model"):
        on_meta(refused)
    assert tried == [True]
