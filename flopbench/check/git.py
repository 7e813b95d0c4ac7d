"""Reading another revision of the repository: one file, or all files into a folder.

Git is only read from: no ref, index, configuration or file of the repository changes.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from flopbench.core.errors import DataError, InputError

# A hook sets these for its repository, some of them relative to a folder other than ours.
_FOREIGN = (
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
_NOT_FETCHED = "in CI, fetch it first: actions/checkout with fetch-depth: 0, or git fetch origin"


def show(ref: str, path: Path) -> str | None:
    """Return the text of a file at a revision, line ends as stored; None where that lacks the file.

    The file, relative to the working folder or absolute, need not exist now.
    """
    top, inside, commit = _resolved(ref, path, "--against")
    found = _git(top, "rev-parse", "--verify", "--quiet", f"{commit}:{inside}")
    if found.returncode != 0:
        return None
    blob = found.stdout.decode().strip()
    if _git(top, "cat-file", "-t", blob).stdout.strip() != b"blob":
        raise InputError(f"{inside} is not a file at {ref}")
    content = _git(top, "cat-file", "blob", blob)
    if content.returncode != 0:
        raise InputError(f"git cannot read {ref}:{inside}: {_complaint(content)}")
    try:
        return content.stdout.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{ref}:{inside} is not UTF-8 text at byte {error.start}") from None


def extract(ref: str, where: Path, folder: Path) -> Path:
    """Write all files of a revision into a folder; return the counterpart of ``where`` in it.

    Left out are what ``git archive`` leaves out (files with the attribute ``export-ignore``, the
    content of submodules) and links that lead out of the repository.
    """
    top, inside, commit = _resolved(ref, where, "--paired")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile() as archive:
            packed = _git(top, "archive", "--format=tar", commit, into=archive.fileno())
            if packed.returncode != 0:
                raise InputError(f"git cannot pack {ref}: {_complaint(packed)}")
            archive.seek(0)
            with tarfile.open(fileobj=archive, mode="r:") as tar:
                _unpack(tar, folder)
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"cannot write the files of {ref} into {folder}: {error}") from None
    if not (folder / inside).is_dir():
        raise InputError(f"there is no folder {inside} at {ref}")
    return folder / inside


def _resolved(ref: str, path: Path, flag: str) -> tuple[Path, PurePosixPath, str]:
    """Return the top of the repository, a path from there (links resolved), and the commit."""
    if not ref or ref[0] in "-^" or not ref.isprintable():
        raise InputError(
            f"{flag} {ref!r} is not a revision",
            "name a branch, a tag or a commit, such as origin/main",
        )
    absolute = Path(os.path.abspath(path))
    anchor = absolute if absolute.is_dir() else absolute.parent
    while not anchor.is_dir():
        anchor = anchor.parent
    found = _git(anchor, "rev-parse", "--show-toplevel")
    if found.returncode != 0:
        complaint = _complaint(found)
        if "dubious ownership" in complaint:
            raise InputError(
                f"git does not trust the repository around {anchor}, so {flag} {ref} is not read",
                f"git config --global --add safe.directory {anchor}",
            )
        reason = "" if "not a git repository" in complaint else f" ({complaint})"
        raise InputError(
            f"{anchor} is not in a git repository{reason}, so {flag} {ref} has nothing to read",
            f"run it in a clone, or leave out {flag}",
        )
    top = Path(os.fsdecode(found.stdout.removesuffix(b"\n"))).resolve()
    inside = (anchor.resolve() / absolute.relative_to(anchor)).relative_to(top)
    commit = _git(top, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if commit.returncode != 0:
        raise InputError(f"{flag} {ref}: this clone has no such revision", _NOT_FETCHED)
    return top, PurePosixPath(inside.as_posix()), commit.stdout.decode().strip()


def _git(
    folder: Path, *arguments: str, into: int = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder, with messages in English and without prompts."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    quiet = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=into,
            stderr=subprocess.PIPE,
            env={**kept, **quiet},
            check=False,
        )
    except FileNotFoundError:
        raise InputError(
            "git is not installed, but --against and --paired use it to read another revision",
            "install git, or leave them out",
        ) from None


def _complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return git's error message as one line."""
    text = done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"
    return text.splitlines()[0].removeprefix("fatal: ")


def _unpack(tar: tarfile.TarFile, folder: Path) -> None:
    """Write the members that stay inside the folder; a link to elsewhere is not part of a model."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(folder, filter=_inside)
    else:  # a Python from before 2023: links are left out
        files = (member for member in tar if member.isfile() or member.isdir())
        paths = ((member, PurePosixPath(member.name)) for member in files)
        inside = [m for m, path in paths if not path.is_absolute() and ".." not in path.parts]
        tar.extractall(folder, members=inside)


def _inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    try:
        return tarfile.data_filter(member, folder)
    except tarfile.FilterError:
        return None
