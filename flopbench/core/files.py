"""Reading and writing files so that nothing is ever half written."""

from __future__ import annotations

import contextlib
import errno
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flopbench.core import stopping
from flopbench.core.errors import DataError, InputError, cut
from flopbench.core.limits import LARGEST_INTEGER

if TYPE_CHECKING:
    import json


def check_writable(path: Path) -> None:
    """Refuse an output path that cannot become a file, before any work is done.

    Raises:
        InputError: a directory, a missing or unwritable parent, an unwritable file.
    """
    try:
        is_folder = path.is_dir()
    except OSError as error:  # a name that is too long
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    if is_folder:
        raise InputError(f"cannot write {path}: it is a directory", "name a file inside it")
    parent = path.parent
    if not parent.is_dir():
        raise InputError(f"cannot write {path}: there is no directory {parent}")
    needed = [path] if path.exists() else []
    needed += [] if path.exists() and not path.is_file() else [parent]
    if not all(os.access(place, os.W_OK) for place in needed):
        raise InputError(f"cannot write {path}: permission denied")


def check_apart(outputs: Mapping[str, Path], inputs: Iterable[Path]) -> None:
    """Refuse to write two outputs into one file, or to overwrite an input, also through links.

    Args:
        outputs: the option of an output (``-o``) -> its path.
        inputs: files that are read; those that do not exist are ignored.
    """
    read = [path for path in inputs if path.is_file()]
    before: dict[str, Path] = {}
    for name, path in outputs.items():
        for other, own in before.items():
            if _same(path, own):
                raise InputError(
                    f"{other} and {name} are the same file, {path}: "
                    "the second would replace the first",
                    "name two files",
                )
        for own in read:
            if _same(path, own):
                raise InputError(
                    f"{name} {path} would overwrite {own}, which is an input",
                    "name another file",
                )
        before[name] = path


def _same(a: Path, b: Path) -> bool:
    """Return whether two paths are one file; a device takes any number of outputs."""
    try:
        return os.path.samefile(a, b) and a.is_file()
    except OSError:  # one of them does not exist yet
        return os.path.realpath(a) == os.path.realpath(b)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write next to the target, then rename over it: readers see the old file or the new one.

    Text becomes UTF-8, with ``?`` for what a file name has that is none. A link is followed. A
    device or a pipe is written to directly.

    Raises:
        InputError: the file cannot be written.
    """
    path = path.resolve()
    check_writable(path)
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        # Only its owner may read it until it is whole.
        private = partial(os.open, mode=0o600)
        with temporary(path.parent, f".{path.name}.") as new:
            with open(new, "xb", opener=private) as stream:
                stream.write(data)
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask()
            os.chmod(new, mode)
            os.replace(new, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None


@contextlib.contextmanager
def temporary(parent: Path, start: str) -> Iterator[Path]:
    """Yield the path of a new file or folder, of which nothing is left however the block ends.

    Args:
        parent: the folder that it is in.
        start: how its name starts.
    """
    # Named before it exists, so that a signal at any moment leaves nothing behind.
    path = parent / f"{start}{os.urandom(4).hex()}"

    def remove() -> None:
        if path.is_dir():
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()

    with stopping.cleaned(remove):
        try:
            yield path
        finally:
            remove()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time run the block for a folder, where the system has such locks."""
    number = None
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
    try:
        if number is not None:
            lock(number)
        yield
    finally:
        if number is not None:
            os.close(number)  # which unlocks it


def lock(number: int, *, wait: bool = True) -> bool:
    """Lock an open file until it is closed; return False where another process has the lock.

    True where the system has no such locks. Programs that do not ask for the lock are not held up.
    """
    try:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True


def unlock(number: int) -> None:
    """Give up a lock, also where a fork has the file open still."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(number, fcntl.LOCK_UN)


def read_text(path: Path, what: str) -> str:
    """Read a text file; arguments and errors as ``read_if_there``.

    Raises:
        InputError: no such file, or it cannot be read.
        DataError: not UTF-8.
    """
    text = read_if_there(path, what)
    if text is None:
        raise InputError(f"cannot read {path}: {os.strerror(errno.ENOENT)}")
    return text


def read_if_there(path: Path, what: str) -> str | None:
    """Read a text file; return None where there is none.

    ``what`` says, for the message, what it should hold (``a cost table``).

    Raises:
        InputError: it cannot be read.
        DataError: not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not {what}: not UTF-8 text at byte {error.start}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; arguments and errors as ``read_text``.

    Raises:
        DataError: see ``parse_json``.
    """
    hint = f"expected {what}; write it again with the command that made it"
    return parse_json(read_text(path, what), str(path), what, hint)


def parse_json(
    text: str, source: str, what: str, hint: str, *, finite: bool = True, plain: bool = True
) -> Any:
    """Return what a JSON text holds.

    Args:
        text: of the file.
        source: names the file.
        what: what it should hold (``a cost table``).
        hint: what to do about a text that is not JSON.
        finite: refuse NaN and Infinity.
        plain: refuse integers of more than 64 bits, and half of a surrogate pair.

    Raises:
        DataError: not JSON (the message names line and column), a key twice in one object, or a
            value that can be neither computed with nor written.
    """
    import json

    large: list[str] = []

    def integer(digits: str) -> int:
        number = int(digits)
        if abs(number) >= LARGEST_INTEGER:
            large.append(digits)
        return number

    try:
        data = json.loads(
            text,
            parse_int=integer,
            parse_constant=_finite if finite else None,
            parse_float=_finite if finite else None,
            object_pairs_hook=only_once,
        )
        # Half of a surrogate pair can only come from an escape; text with one cannot be written.
        defect = _defect(data) if plain and (large or "\\ud" in text.lower()) else ""
    except json.JSONDecodeError as error:
        raise not_json(error, source, hint) from None
    except RecursionError:
        raise DataError(f"{source} is not {what}: nested too deeply", hint) from None
    except RepeatedKey as error:
        raise _repeated(text, source, error.key) from None
    except ValueError as error:  # not a finite number, or one of thousands of digits
        raise DataError(f"{source} is not {what}: {error}", hint) from None
    if defect:
        raise DataError(f"{source} is not {what}: {defect}", hint)
    return data


class RepeatedKey(Exception):
    """An object of JSON has a key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, as ``object_pairs_hook``; raise ``RepeatedKey``."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise RepeatedKey(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return made


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{cut(text)} is not a finite number")
    return value


def _repeated(text: str, source: str, key: str) -> DataError:
    """Return the error for a key twice in one object, with its two lines where they are known."""
    import json

    opening = json.dumps(key, ensure_ascii=False) + ":"
    numbered = enumerate(text.split("\n"), start=1)
    lines = [str(number) for number, line in numbered if line.lstrip().startswith(opening)]
    # A key that every entry has is on many lines; a list of them would not help.
    place = f" (lines {' and '.join(lines)})" if len(lines) == 2 else ""
    return DataError(
        f"{source} has the key {key!r} twice in one object{place}",
        "a merge may have kept both sides: restore the file with git, or remove one of them",
    )


def not_json(error: json.JSONDecodeError, source: str, hint: str) -> DataError:
    """Return the error for text that is not JSON; it names line and column."""
    cut_off = " (the file looks cut off)" if error.pos >= len(error.doc.rstrip()) else ""
    place = f"{source}:{error.lineno}:{error.colno}"
    return DataError(f"{place} is not JSON: {error.msg}{cut_off}", hint)


def _defect(value: Any, place: str = "") -> str:
    """Describe the first integer that is too large or invalid text; empty where there is none."""
    if isinstance(value, dict):
        halved = next((key for key in value if _is_halved(key)), None)
        if halved is not None:
            return f"{place or 'the object'} has a key with half of a surrogate pair: {halved!a}"
        own = ((f"{place}.{key}" if place else key, item) for key, item in value.items())
    elif isinstance(value, list):
        own = ((f"{place}[{n}]", item) for n, item in enumerate(value))
    else:
        if isinstance(value, str) and _is_halved(value):
            return f"{place} has half of a surrogate pair: {value!a}"
        if isinstance(value, int) and abs(value) >= LARGEST_INTEGER:
            return f"{place} is an integer of more than 64 bits"
        return ""
    return next((found for where, item in own if (found := _defect(item, where))), "")


def _is_halved(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def check_schema(data: Any, where: str, *, kind: str, schema: int, what: str, remake: str) -> None:
    """Check that a file's content is of the right kind and of a known schema.

    Args:
        data: decoded JSON.
        where: names the file.
        kind: what its ``kind`` must be (``flopbench.timings``).
        schema: the newest known one.
        what: what it should be, for messages (``a flopbench timing file``).
        remake: the command that writes one, for the hint.
    """
    if not isinstance(data, dict) or data.get("kind") != kind:
        has = data.get("kind") if isinstance(data, dict) else type(data).__name__
        raise DataError(f"{where} is not {what} (kind: {has!r})", f"{remake} writes one")
    own = data.get("schema")
    if isinstance(own, bool) or not isinstance(own, int) or own < 1:
        raise DataError(f"{where}: 'schema' is {own!r} where {schema} was expected")
    if own > schema:
        raise DataError(
            f"{where} has schema {own}; this flopbench reads up to {schema}",
            f"upgrade flopbench, or write the file again with this version: {remake}",
        )


def umask() -> int:
    """Return which permissions new files lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
