"""PolicyLogger with tensors: of any type, in a graph, on any device, and in several processes."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
pytest.importorskip("msgspec")

from torch.nn import functional as F  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from flopbench.core.errors import DataError, FlopbenchError  # noqa: E402
from flopbench.policy.log import open_log  # noqa: E402
from flopbench.policy.logger import PolicyLogger  # noqa: E402
from flopbench.policy.samples import Sample  # noqa: E402

ROWS = [[0, 1, 6, 6, 6, 6, 2, 3], [3, 3, 5, 5, 4, 0, 1, 2]]
IDS = torch.tensor([7, 8])
EXPECTED = b'{"id":"7","actions":[0,1,6,6,6,6,2,3]}\n{"id":"8","actions":[3,3,5,5,4,0,1,2]}\n'
ONE_HOT = F.one_hot(torch.tensor(ROWS), 7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's log goes."""
    return tmp_path / "run.jsonl"


def logged(path: Path, *args: Any, **fields: Any) -> bytes:
    """Log one batch; return what follows the header."""
    with PolicyLogger(path, preset="arnet-resnet", rank=0, world_size=1) as log:
        log.add(*args, **fields)
    return path.read_bytes().partition(b"\n")[2]


def read(path: Path) -> list[Sample]:
    """Return the samples as the reader gives them."""
    return [sample for samples, _ in open_log([path]).samples() for sample in samples]


@pytest.mark.parametrize(
    "actions",
    [
        torch.tensor(ROWS),
        torch.tensor(ROWS, dtype=torch.uint8),
        torch.tensor(ROWS, dtype=torch.float16),
        torch.tensor(ROWS, dtype=torch.bfloat16),
        ONE_HOT,
        ONE_HOT.bool(),
        ONE_HOT.float(),
        ONE_HOT.bfloat16(),
        ONE_HOT.to(torch.float8_e4m3fn),
        ONE_HOT.float().requires_grad_() * 1,
        ONE_HOT.float().transpose(0, 1).contiguous().transpose(0, 1),
        list(torch.tensor(ROWS)),
        [list(row) for row in torch.tensor(ROWS)],
        list(ONE_HOT),
        [list(rows) for rows in ONE_HOT.float()],
    ],
)
def test_every_kind_of_tensor_gives_one_file(path: Path, actions: Any) -> None:
    """Type, strides, a graph, and being in a list make no difference."""
    assert logged(path, IDS, actions) == EXPECTED


def test_gumbel_rows_of_a_straight_through_policy_are_one_hot(path: Path) -> None:
    """What F.gumbel_softmax(hard=True) returns in training is accepted as it is."""
    torch.manual_seed(0)
    for number, kind in enumerate((torch.float32, torch.bfloat16, torch.float16)):
        logits = torch.randn(64, 16, 7, dtype=kind, requires_grad=True)
        rows = F.gumbel_softmax(logits, tau=0.7, hard=True)
        file = path.with_name(f"{number}.jsonl")
        logged(file, range(64), rows)
        assert [s.actions for s in read(file)] == rows.argmax(-1).tolist()


def test_a_soft_row_is_refused_by_its_place(path: Path) -> None:
    """A forgotten hard=True is found at the first batch."""
    rows = torch.softmax(torch.arange(2 * 8 * 7.0).reshape(2, 8, 7) % 5, -1)
    with pytest.raises(
        DataError, match=r"batch sample 0 \(id '7'\): actions\[0\] is .* not one-hot"
    ):
        logged(path, IDS, rows)
    assert path.read_bytes().count(b"\n") == 1


def test_an_evaluation_loop(path: Path) -> None:
    """The loop of the documentation: ids of a loader, logits and actions of a model."""

    class Videos(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 10

        def __getitem__(self, n: int) -> tuple[str, Any, Any]:
            return f"v_{n}", torch.full((8, 3), n / 10), torch.tensor([n, -1])

    held = []
    with (
        torch.inference_mode(),
        PolicyLogger(path, preset="arnet-resnet", method="gumbel", rank=0, world_size=1) as log,
    ):
        for ids, frames, labels in DataLoader(Videos(), batch_size=4):
            logits = frames.mean(1).bfloat16()
            actions = F.one_hot((frames[..., 0] * 6).long(), 7)
            log.add(ids, actions, labels=labels, scores=logits, predictions=logits.argmax(-1))
            held.append(logits.float())
    samples = read(path)
    assert [s.id for s in samples] == [f"v_{n}" for n in range(10)]
    assert [s.labels for s in samples] == [[n] for n in range(10)]
    assert torch.equal(torch.tensor([s.scores for s in samples]), torch.cat(held))
    assert log.header.environment is not None
    assert log.header.environment["torch"] == torch.__version__


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_scores_are_what_the_tensor_holds(path: Path, kind: Any) -> None:
    """Read back in their original type, scores are equal bit for bit."""
    scores = torch.randn(2, 200, generator=torch.Generator().manual_seed(0)).to(kind)
    logged(path, IDS, torch.tensor(ROWS), scores=scores)
    stored = torch.tensor([s.scores for s in read(path)], dtype=torch.float64)
    assert torch.equal(stored.to(kind), scores)


@pytest.mark.parametrize(
    ("fields", "needle"),
    [
        ({"scores": torch.tensor([[0.0, 1], [torch.nan, 1]]).bfloat16()}, "scores[0] is nan"),
        ({"labels": torch.tensor([0.5, 1])}, "labels[0] is 0.5"),
        ({"labels": torch.eye(4)[:2]}, "multi-hot"),
        ({"scores": torch.zeros(2, 2, device="meta")}, "scores: cannot turn Tensor into numbers"),
        ({"scores": torch.zeros(2, 2, dtype=torch.complex64)}, "scores: complex64"),
        ({"latency_ms": torch.tensor(3.0)}, "latency_ms: a single number"),
    ],
)
def test_tensors_that_are_refused(path: Path, fields: dict[str, Any], needle: str) -> None:
    """The message names the argument, and the sample where there is one."""
    with pytest.raises(FlopbenchError) as refused:
        logged(path, IDS, torch.tensor(ROWS), **fields)
    assert needle in str(refused.value)
    assert path.read_bytes().count(b"\n") == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_a_gpu(path: Path) -> None:
    """Calling .cpu() is not necessary."""
    scores = torch.randn(2, 200, device="cuda", requires_grad=True)
    logged(path, IDS.cuda(), ONE_HOT.cuda().bfloat16(), scores=scores, labels=IDS.cuda())
    samples = read(path)
    assert [s.actions for s in samples] == ROWS
    assert torch.equal(torch.tensor([s.scores for s in samples]), scores.detach().cpu())


DISTRIBUTED = """
import sys, torch.distributed as dist
from torch.utils.data import DistributedSampler
from flopbench.policy.logger import PolicyLogger
path, rank, port = sys.argv[1], int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
with PolicyLogger(path, preset="arnet-resnet") as log:
    for n in DistributedSampler(range(5), shuffle=False, drop_last=False):
        log.add_one(n, [0, 1, 2, 3])
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ranks_of_torch_distributed(path: Path) -> None:
    """Each rank writes its shard; reading both finds the samples that the sampler repeats."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", DISTRIBUTED, str(path)]
    ranks = [subprocess.Popen([*command, str(rank), port]) for rank in range(2)]
    assert [process.wait(timeout=100) for process in ranks] == [0, 0]
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "run.rank0-of-2.jsonl",
        "run.rank1-of-2.jsonl",
    ]
    assert [s.id for s in read(path)] == ["0", "2", "4", "1", "3", "0"]


def test_the_rank_of_torch_goes_before_the_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running process group decides, whatever the variables say."""
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        with PolicyLogger(path, preset="arnet-resnet") as log:
            assert (log.path, log.header.shard) == (path, None)
    finally:
        torch.distributed.destroy_process_group()
    with PolicyLogger(path.with_name("after.jsonl"), preset="arnet-resnet") as log:
        assert log.path.name == "after.rank3-of-4.jsonl"
