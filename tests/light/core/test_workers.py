"""Fresh processes: an answer, an error of the same class, a traceback, or a reported death.

The jobs are modules written for the test; none of them needs torch.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from flopbench.core import workers
from flopbench.core.errors import (
    DataError,
    FlopbenchError,
    InputError,
    MeasureError,
    NotComparableError,
)
from flopbench.core.workers import THREAD_VARIABLES, WorkerDied, answers, run_job

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a module of jobs that parent and child can import; return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> str:
        (tmp_path / "some_jobs.py").write_text(textwrap.dedent(source), encoding="utf-8")
        return "some_jobs"

    return write


def test_a_job_is_answered(write: Write) -> None:
    """JSON in, JSON out: nested, empty, null, and text beyond ASCII."""
    name = write("def echo(job):\n    return job['value']\n")
    for value in ({"a": [1, 2.5, None, True]}, "§ × Ω", [], None, 10**20):
        assert run_job(f"{name}:echo", {"value": value}) == value


def test_a_job_tells_how_far_it_is(write: Write, tmp_path: Path) -> None:
    """The caller hears of it while the job runs: this one ends once it has been heard."""
    name = write(
        """
        import os, time
        from flopbench.core.worker_main import tell
        def work(job):
            tell(3, 8, "split")
            while not os.path.exists(job["heard"]):
                time.sleep(0.01)
            return "done"
        """
    )
    told = []

    def hear(*how_far: object) -> None:
        told.append(how_far)
        (tmp_path / "heard").touch()

    job = {"heard": str(tmp_path / "heard")}
    assert run_job(f"{name}:work", job, progress=hear) == "done"
    assert told == [(3, 8, "split")]
    assert run_job(f"{name}:work", job) == "done"


def test_a_job_runs_in_an_interpreter_of_its_own(write: Write) -> None:
    """It is neither our process nor a fork of it: nothing loaded here is loaded there."""
    name = write(
        """
        import os, sys
        def who(job):
            return [os.getpid(), os.getppid(), "pytest" in sys.modules, "torch" in sys.modules]
        """
    )
    first, second = (run_job(f"{name}:who", {}) for _ in range(2))
    assert len({os.getpid(), first[0], second[0]}) == 3
    assert first[1:] == second[1:] == [os.getpid(), False, False]


def test_threads_are_set_before_the_libraries_load(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every variable that the libraries read is set; None leaves the caller's values."""
    name = write(
        "import os\ndef names(job):\n    return [os.environ.get(n) for n in job['names']]\n"
    )
    job = {"names": list(THREAD_VARIABLES)}
    for variable in THREAD_VARIABLES:
        monkeypatch.setenv(variable, "7")
    assert run_job(f"{name}:names", job, threads=3) == ["3"] * len(THREAD_VARIABLES)
    assert run_job(f"{name}:names", job) == ["7"] * len(THREAD_VARIABLES)
    assert os.environ[THREAD_VARIABLES[0]] == "7"


def test_a_module_beside_the_caller_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty entry of the import path means the working directory, in the child too."""
    (tmp_path / "beside.py").write_text("def answer(job):\n    return 'found'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert run_job("beside:answer", {}) == "found"


@pytest.mark.parametrize("kind", [InputError, DataError, MeasureError, NotComparableError])
def test_an_error_comes_back_as_it_was(write: Write, kind: type[FlopbenchError]) -> None:
    """It has the same class, message and hint, and so the same exit status."""
    name = write(
        f"""
        from flopbench.core import errors
        def fail(job):
            raise errors.{kind.__name__}("no « room »", "a smaller one")
        """
    )
    with pytest.raises(FlopbenchError) as caught:
        run_job(f"{name}:fail", {})
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.hint) == ("no « room »", "a smaller one")


def test_an_error_of_a_subclass_comes_back_as_the_class_that_is_known(write: Write) -> None:
    """A job's own kind of MeasureError keeps its exit status."""
    name = write(
        """
        from flopbench.core.errors import MeasureError
        class Full(MeasureError):
            pass
        def fail(job):
            raise Full("full")
        """
    )
    with pytest.raises(MeasureError, match="full") as caught:
        run_job(f"{name}:fail", {})
    assert type(caught.value) is MeasureError


@pytest.mark.parametrize("package", ["torch", "torchvision"])
def test_a_missing_library_says_how_to_get_it(
    write: Write, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """What measuring needs is an extra; the user can install it."""
    name = write(f"def need(job):\n    raise ModuleNotFoundError('no', name={package!r})\n")
    with pytest.raises(InputError, match=f"measuring needs {package}") as caught:
        run_job(f"{name}:need", {})
    assert "flopbench[measure]" in caught.value.hint


def test_a_library_that_ends_the_process_costs_its_row_only(write: Write) -> None:
    """An exit status without a traceback is not our fault: the worker died."""
    name = write("def job(job):\n    import os; os._exit(5)\n")
    with pytest.raises(WorkerDied, match="ended with exit status 5"):
        run_job(f"{name}:job", {})


def test_a_file_named_like_a_library_hides_nothing(write: Write, tmp_path: Path) -> None:
    """The working directory comes last on the child's path."""
    name = write("def job(job):\n    import random; return random.randint(3, 3)\n")
    (tmp_path / "random.py").write_text("raise SystemExit('hidden')\n")
    assert run_job(f"{name}:job", {}) == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise ValueError('on purpose')", "ValueError: on purpose"),
        ("import no_such_library", "No module named 'no_such_library'"),
        ("return object()", "not JSON serializable"),
    ],
)
def test_a_fault_of_ours_keeps_its_traceback(write: Write, body: str, words: str) -> None:
    """It is a RuntimeError with what the child wrote, never a tidy message."""
    name = write(f"def job(job):\n    {body}\n")
    with pytest.raises(RuntimeError) as caught:
        run_job(f"{name}:job", {})
    assert words in str(caught.value)
    assert not isinstance(caught.value, FlopbenchError)
    if "Error" in words:
        assert "Traceback" in str(caught.value)
        assert "some_jobs.py" in str(caught.value)


def test_an_unknown_job_is_a_fault_of_ours(write: Write) -> None:
    """A module or function that does not exist is named."""
    name = write("")
    with pytest.raises(RuntimeError, match="has no attribute 'nothing'"):
        run_job(f"{name}:nothing", {})
    with pytest.raises(RuntimeError, match="no_such_module"):
        run_job("no_such_module:job", {})


def test_a_killed_child_is_told(write: Write) -> None:
    """SIGKILL is what the system sends when memory runs out: a measuring error with a way out."""
    name = write("import os, signal\ndef die(job):\n    os.kill(os.getpid(), job['signal'])\n")
    with pytest.raises(WorkerDied, match="SIGKILL") as caught:
        run_job(f"{name}:die", {"signal": int(signal.SIGKILL)})
    assert caught.value.out_of_memory
    assert "smaller --batch" in caught.value.hint
    assert isinstance(caught.value, MeasureError)
    with pytest.raises(WorkerDied, match="SIGSEGV") as caught:
        run_job(f"{name}:die", {"signal": int(signal.SIGSEGV)})
    assert (caught.value.out_of_memory, caught.value.hint) == (False, "")


def test_an_interrupted_child_is_an_interrupt(write: Write) -> None:
    """Ctrl-C reaches the whole process group: the child's end is not another error."""
    name = write("import os, signal\ndef die(job):\n    os.kill(os.getpid(), signal.SIGINT)\n")
    with pytest.raises(KeyboardInterrupt):
        run_job(f"{name}:die", {})


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_chatter_does_not_matter(write: Write, stream: str) -> None:
    """Libraries print where they please: a megabyte, from C, or bytes that are not text."""
    number = {"stdout": 1, "stderr": 2}[stream]
    name = write(
        f"""
        import os, sys
        def talk(job):
            print("{{'value': 'wrong'}}" * 50_000, file=sys.{stream}, flush=True)
            os.write({number}, b"\\xff\\x00\\n" * 1000)
            return "right"
        """
    )
    assert run_job(f"{name}:talk", {}) == "right"


def test_the_last_words_of_a_talkative_child_are_its_traceback(write: Write) -> None:
    """The output that is passed on is cut at the front, where the noise is."""
    name = write(
        """
        import sys
        def talk(job):
            print("chatter " * 100_000, file=sys.stderr)
            raise ValueError("the reason")
        """
    )
    with pytest.raises(RuntimeError, match="the reason") as caught:
        run_job(f"{name}:talk", {})
    assert len(str(caught.value)) < 3000


def test_nothing_is_left_behind(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an answer as after a death, the folder of the answer is gone."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    name = write(
        """
        import os
        def job(job):
            if job["die"]:
                os.kill(os.getpid(), 9)
        """
    )
    run_job(f"{name}:job", {"die": False})
    with pytest.raises(WorkerDied):
        run_job(f"{name}:job", {"die": True})
    assert list(scratch.iterdir()) == []


# --- several at once

CREW = """
import os, sys, time
from flopbench.core.errors import InputError
def work(job):
    if job == "dies":
        os._exit(7)
    if job == "killed":
        os.kill(os.getpid(), 9)
    if job == "hangs":
        time.sleep(600)
    if job == "refuses":
        raise InputError("no such thing", "try another")
    if job == "fails":
        raise ZeroDivisionError("by nought")
    return os.getpid(), os.environ["OMP_NUM_THREADS"]
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], object]:
    """Return a function that other processes find."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (tmp_path / "crew_jobs.py").write_text(CREW)
    sys.modules.pop("crew_jobs", None)
    found: Callable[[str], object] = importlib.import_module("crew_jobs").work
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="signals end processes otherwise there")
def test_what_one_worker_meets_is_its_own(
    work: Callable[[str], object], capfd: pytest.CaptureFixture[str]
) -> None:
    """Death, a time limit, an error and a fault are each one job's; a killed one is tried twice."""
    jobs = ["a", "dies", "b", "killed", "refuses", "fails", "c"]
    found = dict(answers(work, jobs, 2))
    assert found.keys() == set(jobs)
    assert list(found)[-1] == "killed"
    found |= dict(answers(work, ["hangs"], 1, limit_s=0.5))
    lines = {job: one.value.line for job, one in found.items() if len(job) > 1}
    assert lines == {
        "dies": "its worker process ended with exit status 7",
        "killed": "its worker process was killed, probably for lack of memory (SIGKILL)",
        "hangs": "its worker process took longer than 0.5 s",
        "refuses": "no such thing: try another",
        "fails": "a fault of flopbench: ZeroDivisionError: by nought: its traceback is on stderr",
    }
    assert "crew_jobs.py" in capfd.readouterr().err
    threads = max(1, (os.cpu_count() or 1) // 2)
    assert {found[job].value[1] for job in "abc"} == {str(threads)}
    assert found["a"].peak_bytes > 2**20


def test_workers_are_replaced(
    work: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five jobs, two a process: three processes, one after another."""
    monkeypatch.setattr(workers, "JOBS_A_WORKER", 2)
    found = [answer.value[0] for _, answer in answers(work, list("abcde"), 1)]
    assert sorted(Counter(found).values()) == [1, 2, 2]
    assert os.getpid() not in found
