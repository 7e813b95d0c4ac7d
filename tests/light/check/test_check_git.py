"""Files of another revision, from real repositories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from repositories import commit, git

from flopbench.check.git import extract, show
from flopbench.core.errors import DataError, InputError

BASE = Path(".flopbench/baseline.json")


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return time and content of every file, those of git too."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two commits, of which the first is tagged; the working folder."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "sub" / ".flopbench").mkdir(parents=True)
    (folder / "sub" / BASE).write_bytes("{\r\n}ü\n".encode())
    (folder / "nets.py").write_text("WIDTH = 1\n")
    commit(folder, "one")
    git(folder, "tag", "v1")
    (folder / BASE).parent.mkdir()
    (folder / BASE).write_text("new\n")
    (folder / "nets.py").write_text("WIDTH = 2\n")
    commit(folder, "two")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.chdir(folder)
    return folder


def test_a_file_is_shown_as_it_was(repository: Path) -> None:
    """By branch, tag, commit and ancestor; neither what is on disk matters nor whether it is."""
    (repository / "nets.py").write_text("not committed\n")
    (repository / "sub" / BASE).unlink()
    (repository / "sub" / BASE).parent.rmdir()
    (repository / "sub").rmdir()
    for ref in ("HEAD~1", "v1", git(repository, "rev-parse", "--short", "v1")):
        assert show(ref, Path("nets.py")) == "WIDTH = 1\n"
    for ref in ("main", "HEAD"):
        assert show(ref, Path("nets.py")) == "WIDTH = 2\n"
    assert show("HEAD", Path("sub") / BASE) == "{\r\n}ü\n"  # line ends as committed
    # A missing baseline is not an error, even where its folder does not exist either.
    assert show("v1", BASE) is None
    assert show("HEAD", Path("no/such/folder/file.json")) is None


def test_paths_are_relative_to_the_working_folder_or_absolute(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for any other tool; ``..`` too."""
    assert show("HEAD", repository / BASE) == "new\n"
    monkeypatch.chdir(repository / "sub")
    assert show("HEAD", Path("../nets.py")) == "WIDTH = 2\n"
    assert show("HEAD", BASE) == "{\r\n}ü\n"


def test_a_repository_behind_a_link_is_the_same_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporary folders are often links; git names the folder behind them."""
    link = tmp_path / "link"
    link.symlink_to(repository)
    assert show("v1", link / "nets.py") == "WIDTH = 1\n"
    monkeypatch.chdir(link / "sub")
    assert show("HEAD", BASE) == "{\r\n}ü\n"
    assert extract("HEAD", link / "sub", tmp_path / "out") == tmp_path / "out" / "sub"


def test_names_with_odd_characters_are_taken_as_they_are(repository: Path) -> None:
    """No glob, no option, no revision syntax is seen in a path."""
    names = ("a b*[c]?.json", "-x.json", "ü:é.json", "with\nbreak.json", ":(glob)x.json")
    for name in names:
        (repository / name).write_text(name)
        assert show("HEAD", repository / name) is None
    commit(repository, "odd")
    for name in names:
        assert show("HEAD", repository / name) == name


def test_a_hook_does_not_lead_git_elsewhere(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a hook git sets variables that hold only for the folder it started in."""
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
    monkeypatch.setenv("GIT_WORK_TREE", "/nowhere")
    monkeypatch.chdir(repository / "sub")
    assert show("HEAD", BASE) == "{\r\n}ü\n"


def test_a_linked_worktree_is_a_repository(repository: Path, tmp_path: Path) -> None:
    """There ``.git`` is a file."""
    git(repository, "worktree", "add", "-q", str(tmp_path / "other"), "v1")
    assert show("main", tmp_path / "other" / "nets.py") == "WIDTH = 2\n"
    assert show("HEAD", tmp_path / "other" / "nets.py") == "WIDTH = 1\n"


@pytest.mark.parametrize("ref", ["nowhere", "main..HEAD", "HEAD:nets.py", "HEAD~99", "0" * 40])
def test_an_unknown_revision_tells_how_to_fetch_it(repository: Path, ref: str) -> None:
    """A shallow clone is the usual reason."""
    for call in (lambda: show(ref, BASE), lambda: extract(ref, Path("."), Path("../out"))):
        with pytest.raises(InputError) as caught:
            call()
        assert ref in caught.value.message
        assert "fetch-depth: 0" in caught.value.hint
    assert not (repository.parent / "out").exists()


def test_a_shallow_clone_lacks_the_older_revision(repository: Path, tmp_path: Path) -> None:
    """What CI sees without ``fetch-depth: 0``."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), str(clone))
    assert show("HEAD", clone / "nets.py") == "WIDTH = 2\n"
    with pytest.raises(InputError, match="no such revision") as caught:
        show("HEAD~1", clone / "nets.py")
    assert "fetch-depth: 0" in caught.value.hint


@pytest.mark.parametrize("ref", ["", "-h", "--output=x", "^HEAD", "a\nb", "a\0b"])
def test_what_can_be_no_revision_never_reaches_git(repository: Path, ref: str) -> None:
    """Least of all as an option."""
    with pytest.raises(InputError, match="is not a revision"):
        show(ref, BASE)
    with pytest.raises(InputError, match="is not a revision"):
        extract(ref, Path("."), Path("../out"))
    assert sorted(path.name for path in repository.iterdir()) == [
        ".flopbench",
        ".git",
        "nets.py",
        "sub",
    ]


def test_outside_a_repository_the_option_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says which option needed a repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InputError, match="not in a git repository, so --against main"):
        show("main", BASE)
    with pytest.raises(InputError, match="not in a git repository, so --paired main"):
        extract("main", Path("."), tmp_path / "out")


def test_a_repository_without_commits_has_no_revision(tmp_path: Path) -> None:
    """No traceback on the very first day."""
    git(tmp_path, "init", "-q", "-b", "main")
    with pytest.raises(InputError, match="no such revision"):
        show("HEAD", tmp_path / BASE)


def test_without_git_the_message_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image without git is common in CI."""
    monkeypatch.setenv("PATH", str(repository / "sub"))
    with pytest.raises(InputError, match="git is not installed"):
        show("HEAD", BASE)


def test_a_folder_or_bytes_in_place_of_the_file_are_named(repository: Path) -> None:
    """A revision may hold something else under the path."""
    (repository / "bytes").write_bytes(b"\xff\xfe")
    commit(repository, "bytes")
    with pytest.raises(InputError, match="sub is not a file at HEAD"):
        show("HEAD", Path("sub"))
    with pytest.raises(DataError, match="HEAD:bytes is not UTF-8 text at byte 0"):
        show("HEAD", Path("bytes"))


def test_a_revision_is_written_out_and_the_counterpart_returned(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the revision, wherever one stands; the folder given is found again in the copy."""
    assert extract("v1", repository, tmp_path / "one") == tmp_path / "one"
    assert (tmp_path / "one" / "nets.py").read_text() == "WIDTH = 1\n"
    for place, where in ((repository, "sub"), (repository / "sub", ".")):
        monkeypatch.chdir(place)
        inside = extract("HEAD", Path(where), tmp_path / where / "two")
        assert inside == tmp_path / where / "two" / "sub"
        assert (inside / BASE).read_bytes() == "{\r\n}ü\n".encode()
        assert (inside.parent / "nets.py").read_text() == "WIDTH = 2\n"


def test_a_folder_that_the_revision_lacks_is_named(repository: Path, tmp_path: Path) -> None:
    """A new folder has no counterpart."""
    with pytest.raises(InputError, match=r"there is no folder \.flopbench at v1"):
        extract("v1", repository / ".flopbench", tmp_path / "out")


def test_links_that_lead_out_are_left_out(repository: Path, tmp_path: Path) -> None:
    """A link to data of the machine is not part of a model; links inside are kept."""
    (repository / "inside").symlink_to("nets.py")
    (repository / "data").symlink_to("/etc")
    (repository / "above").symlink_to("../..")
    commit(repository, "links")
    folder = extract("HEAD", repository, tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == [
        ".flopbench",
        "inside",
        "nets.py",
        "sub",
    ]
    assert (folder / "inside").read_text() == "WIDTH = 2\n"


def test_a_place_that_cannot_be_written_is_an_input_error(repository: Path, tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the files of HEAD into"):
        extract("HEAD", repository, tmp_path / "file")


def test_nothing_in_the_repository_changes(repository: Path, tmp_path: Path) -> None:
    """Not even the index, which git would like to refresh."""
    os.utime(repository / "nets.py", (1, 1))
    (repository / "new.py").write_text("")
    before = state(repository)
    show("v1", BASE)
    show("HEAD", BASE)
    extract("v1", repository / "sub", tmp_path / "out")
    assert state(repository) == before
