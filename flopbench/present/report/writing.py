"""The folder of a report: whether it may be used, and writing it atomically."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from flopbench.core import stopping
from flopbench.core.errors import InputError
from flopbench.core.files import check_writable, locked, temporary, umask, write_atomic
from flopbench.present.report.page import GENERATOR

PAGE = "index.html"
STAGE = ".flopbench-"
"""Start of the name of a folder whose files are not in place yet."""
FOLDERS = ("tables", "figures")
MARK = f'<meta name="generator" content="{GENERATOR} '
MARK_BYTES = 4096
"""The mark is within this many bytes of the start of a page."""
_OURS = re.compile(r"(?:tables|figures)/[a-z0-9-]+\.(?:tex|csv|svg|pdf)")


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot become a report, before any work is done.

    A folder may be missing, empty, or hold an earlier report.
    """
    if not os.path.lexists(folder):
        check_writable(folder)
        return
    if not folder.is_dir():
        what = "a file" if folder.exists() else "a link to nothing"
        raise InputError(
            f"cannot write a report into {folder}: it is {what}", "a report is a folder of files"
        )
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(f"cannot write into {folder}: permission denied")
    if any(folder.iterdir()) and not _is_report(folder):
        raise InputError(
            f"{folder} is not empty and does not hold a report: nothing in it is touched",
            f"name a new folder, such as {folder / 'report'}",
        )
    for name in FOLDERS:
        if os.path.lexists(folder / name) and not (folder / name).is_dir():
            raise InputError(f"cannot write into {folder / name}: it is not a folder")


def write_folder(folder: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Write the files of a report: all into a temporary folder first, then each to its place.

    Existing files are only replaced when everything has been written; nothing is ever deleted. Of
    two processes that write one report, the second waits: its files are the ones that stay.

    Returns:
        Names of files of an earlier report that this one does not have, and of temporary folders of
        a report that was killed.
    """
    with locked(folder.resolve().parent):
        check_folder(folder)
        there = folder.is_dir()
        try:
            with temporary(folder if there else folder.parent, STAGE) as stage:
                stage.mkdir(0o700)
                for name, content in files.items():
                    path = stage / name
                    path.parent.mkdir(exist_ok=True)
                    write_atomic(path, content)
                if there:
                    _move(stage, folder, files)
                else:
                    os.chmod(stage, 0o777 & ~umask())
                    os.rename(stage, folder)
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror}") from None
        found = [
            path.relative_to(folder).as_posix() for path in folder.glob("*/*") if path.is_file()
        ]
        ours = sorted(name for name in found if _OURS.fullmatch(name) and name not in files)
        return (*ours, *sorted(path.name for path in folder.glob(f"{STAGE}*") if path.is_dir()))


def _move(stage: Path, folder: Path, files: Mapping[str, bytes]) -> None:
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
    for name in files:
        check_writable(folder / name)
    with stopping.held():
        for name in files:
            os.replace(stage / name, folder / name)


def _is_report(folder: Path) -> bool:
    try:
        with open(folder / PAGE, "rb") as stream:
            head = stream.read(MARK_BYTES)
    except OSError:
        return False
    return MARK.encode() in head
