"""Files: whole or not at all, and errors that name what is wrong."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from flopbench.core.errors import DataError, InputError
from flopbench.core.files import check_apart, check_writable, locked, read_json, write_atomic


def test_write_replaces_whole_files(tmp_path: Path) -> None:
    """The new text is there, nothing else is, and the old permissions are kept."""
    path = tmp_path / "table.json"
    path.write_text("old")
    path.chmod(0o640)
    write_atomic(path, "new\n")
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_new_files_follow_the_umask(tmp_path: Path) -> None:
    """A new file gets the permissions of any other that the user makes."""
    path = tmp_path / "table.json"
    write_atomic(path, "x")
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_failing_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the rename fails, the old content stays and nothing is left behind."""
    path = tmp_path / "table.json"
    path.write_text("old")

    def refuse(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InputError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_followed_and_devices_written_to(tmp_path: Path) -> None:
    """A link stays a link; a pipe or a device stays what it is."""
    target = tmp_path / "real.json"
    target.write_text("old")
    link = tmp_path / "link.json"
    link.symlink_to(target)
    write_atomic(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomic(pipe, "through")
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("where", [".", "missing/file.json", "file.txt/below.json"])
def test_impossible_outputs_are_refused(tmp_path: Path, where: str) -> None:
    """A directory, or a file in a directory that is not there, is refused before any work."""
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        check_writable(tmp_path / where)


@pytest.mark.parametrize(
    ("content", "needle"),
    [
        (b'{"a": 1', "cut off"),
        (b"", ":1:1 is not JSON"),
        (b'{"a": 1,\n "b": nope}', ":2:7 is not JSON"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_json_names_its_place(tmp_path: Path, content: bytes, needle: str) -> None:
    """The message names the file, and line and column where there are any."""
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.json") as caught:
        read_json(path, "a cost table")
    assert needle in caught.value.message


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    """A missing file is an error that the user can fix."""
    with pytest.raises(InputError, match="No such file"):
        read_json(tmp_path / "none.json", "a cost table")


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    """Binary content is not text: line ends and bytes beyond ASCII stay."""
    path = tmp_path / "figure.png"
    write_atomic(path, b"\x89PNG\r\n\x1a\n\xff")
    assert path.read_bytes() == b"\x89PNG\r\n\x1a\n\xff"
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"rows": [{"n": 1' + "0" * 400 + "}]}", r"rows\[0\].n is an integer of more than 64"),
        ('{"a": [1, -18446744073709551616]}', r"a\[1\] is an integer of more than 64 bits"),
        ('{"a": {"b": "x\\ud800"}}', r"a.b has half of a surrogate pair: 'x\\ud800'"),
        ('{"a": {"\\uDC00": 1}}', r"a has a key with half of a surrogate pair"),
    ],
)
def test_json_that_nothing_can_count_with_or_write(tmp_path: Path, text: str, message: str) -> None:
    """Integers beyond floating point and half surrogate pairs are refused, with their place."""
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_json(path, "a timing file")
    assert caught.value.message.startswith(f"{path} is not a timing file: ")


def test_json_of_the_largest_numbers_and_whole_pairs(tmp_path: Path) -> None:
    """64 bits and characters written as a pair of surrogates are read as they are."""
    path = tmp_path / "t.json"
    path.write_text('{"seed": 18446744073709551615, "name": "\\ud83d\\ude00"}')
    assert read_json(path, "a timing file") == {"seed": 2**64 - 1, "name": "\N{GRINNING FACE}"}


def test_outputs_are_apart_from_inputs_and_each_other(tmp_path: Path) -> None:
    """One file under two names, also through links, is refused; a device or a new file is not."""
    log, new = tmp_path / "log.jsonl", tmp_path / "new.csv"
    log.write_text("x")
    soft, hard, dangling = tmp_path / "soft", tmp_path / "hard", tmp_path / "dangling"
    soft.symlink_to(log)
    os.link(log, hard)
    dangling.symlink_to(new)
    for path in (log, soft, hard, tmp_path / "." / "log.jsonl"):
        with pytest.raises(InputError, match=r"--data .* would overwrite .*, which is an input"):
            check_apart({"-o": new, "--data": path}, [tmp_path / "missing", log])
    for path in (new, dangling, tmp_path / "." / "new.csv"):
        with pytest.raises(InputError, match="-o and --data are the same file"):
            check_apart({"-o": new, "--data": path}, [])
    check_apart({"-o": Path(os.devnull), "--data": Path(os.devnull)}, [log, Path(os.devnull)])
    check_apart({"-o": new, "--data": tmp_path / "other.csv"}, [log])


def test_one_process_at_a_time_has_a_folder(tmp_path: Path) -> None:
    """The second waits until the first is done; a folder that is missing is nobody's."""
    fcntl = pytest.importorskip("fcntl")
    first = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    done: list[str] = []

    def work() -> None:
        with locked(tmp_path):
            done.append("second")

    waiting = threading.Thread(target=work)
    waiting.start()
    waiting.join(0.1)
    done.append("first")
    os.close(first)
    waiting.join()
    assert done == ["first", "second"]
    with locked(tmp_path / "missing"):
        pass
