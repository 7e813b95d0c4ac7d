"""Calls the builders of libraries: offline, on the meta device where possible, errors as ours."""

from __future__ import annotations

import difflib
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

from flopbench.core.errors import InputError
from flopbench.models.build.built import reason
from flopbench.models.build.environment import Name, replaced, silence
from flopbench.models.build.hints import file_instead
from flopbench.models.build.memory import registering
from flopbench.models.spec import ModelSpec

_OFFLINE = "HF_HUB_OFFLINE"
_FLAGS = {"huggingface_hub.constants": _OFFLINE, "transformers.utils.hub": "_is_offline_mode"}
"""Where libraries keep what that variable said when they were imported."""

_NOT_ON_DISK = {"LocalEntryNotFoundError", "OfflineModeIsEnabled"}
"""What the hub raises while it is offline."""
_CONNECTIONS = (
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket, "create_connection"),
    (socket, "getaddrinfo"),
)

NO_DOWNLOAD = "nothing is downloaded while counting"
_Made = TypeVar("_Made")


class BuilderError(InputError):
    """A library's builder rejected what it was given, or does not work on the meta device."""


class DownloadRefused(InputError):
    """A model wanted to download something; to try again would not help."""


class _NoNetwork(ConnectionError):
    """What code gets that opens a connection, or a library weights, while a model is built."""


def wanted_download(error: BaseException | None) -> bool:
    """Whether an exception comes from a refused download."""
    while error is not None:
        if isinstance(error, _NoNetwork) or type(error).__name__ in _NOT_ON_DISK:
            return True
        error = error.__cause__ or error.__context__
    return False


def call_builder(spec: ModelSpec, builder: Callable[[], _Made]) -> _Made:
    """Run a library's builder; what it rejects is the user's error.

    Raises:
        BuilderError: the builder failed.
        DownloadRefused: it wanted to download something.
    """
    try:
        with silence(), replaced(_loaders(spec), _never):
            return builder()
    except Exception as error:
        if wanted_download(error):
            asked = " and ".join(f"{key}={value}" for key, value in spec.options) or "weights"
            raise DownloadRefused(
                f"{str(spec)!r} wants to download weights, and {NO_DOWNLOAD}",
                f"weights do not change a cost: leave out {asked}",
            ) from error
        twice = re.search(r"multiple values for keyword argument '(\w+)'", str(error))
        hint = f"{spec.name} sets {twice[1]} itself: it is no option of it" if twice else ""
        raise BuilderError(f"cannot build {str(spec)!r}: {reason(error)}", hint) from error


def _loaders(spec: ModelSpec) -> list[Name]:
    """Return what reads weights, or a repository's code, which no library's model needs."""
    kinds = ((torch, "load"), (torch.jit, "load"))
    if spec.source != "transformers":
        return [*kinds]
    library: Any = sys.modules["transformers"]
    return [
        *kinds,
        (library.PretrainedConfig, "get_config_dict"),
        (library.PreTrainedModel, "from_pretrained"),
    ]


def _never(_key: Name, _given: Callable[..., Any]) -> Any:
    def load(*_args: Any, **_kwargs: Any) -> Any:
        raise _NoNetwork(NO_DOWNLOAD)

    return load


def on_meta(make: Callable[[], _Made]) -> _Made:
    """Make a model whose parameters are on the meta device; its buffers may be on the CPU.

    A few builders (RegNet's, for example) compute with tensors, which the meta device does not
    allow. They run on the CPU, and only their parameters are put on the meta device, each as soon
    as a module registers it, so that they never all take memory at once.
    """
    try:
        with torch.device("meta"):
            return make()
    except BuilderError:
        with parameters_on_meta():
            return make()


def parameters_on_meta() -> AbstractContextManager[None]:
    """Move each parameter to the meta device as a module registers it."""
    return registering(lambda one: nn.Parameter(one.to("meta"), one.requires_grad))


@contextmanager
def offline() -> Iterator[None]:
    """Let nothing be downloaded by this thread; everything is put back on exit.

    Neither by a hub of models, whose switches are set, nor over a connection, which is refused at
    once: a download that cannot come does not wait, and is not tried again.
    """
    before = dict(os.environ)
    flags = {home: getattr(sys.modules.get(home), name, None) for home, name in _FLAGS.items()}
    os.environ[_OFFLINE] = "1"
    _set_flags(dict.fromkeys(_FLAGS, True))
    try:
        refused = replaced(_CONNECTIONS, _refuser(threading.get_ident()))
        with refused, replaced([(torch.hub, "_check_repo_is_trusted")], _only_on_disk):
            yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
        theirs = before.get(_OFFLINE, "").upper() in {"1", "ON", "YES", "TRUE"}
        _set_flags({home: theirs if flag is None else flag for home, flag in flags.items()})


def _refuser(thread: int) -> Callable[[Name, Callable[..., Any]], Any]:
    """Refuse connections of one thread; sockets of files are none."""

    def wrap(key: Name, given: Callable[..., Any]) -> Any:
        def connect(*args: Any, **kwargs: Any) -> Any:
            to_file = key[0] is not socket and not isinstance(args[-1], tuple)
            if threading.get_ident() == thread and not to_file:
                raise _NoNetwork(NO_DOWNLOAD)
            return given(*args, **kwargs)

        return connect

    return wrap


def _only_on_disk(_key: Name, given: Callable[..., Any]) -> Any:
    """Refuse a repository that is not on disk, before torch asks whether it is trusted."""

    def check(*args: Any, **kwargs: Any) -> Any:
        if not os.path.isdir(os.path.join(torch.hub.get_dir(), *args[2:3])):
            raise _NoNetwork(NO_DOWNLOAD)
        return given(*args, **kwargs)

    return check


def _set_flags(values: dict[str, Any]) -> None:
    for home, value in values.items():
        if hasattr(sys.modules.get(home), _FLAGS[home]):
            setattr(sys.modules[home], _FLAGS[home], value)


def missing_library(library: str, extra: str, error: ImportError) -> InputError:
    """Say how to install a library."""
    return InputError(
        f"{library} cannot be imported ({error})", f"python -m pip install 'flopbench[{extra}]'"
    )


def unknown_model(spec: ModelSpec, library: str, known: Iterable[str]) -> InputError:
    """Name the models whose names are nearest."""
    file = file_instead(spec.name)
    if file is not None:
        return InputError(*file)
    names = sorted(known)
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(spec.name.lower(), by_lower, n=3)
    hint = f"did you mean {', '.join(by_lower[name] for name in near)}? " if near else ""
    return InputError(
        f"{library} has no model {spec.name!r}",
        f"{hint}{len(names)} models are known; for your own code write package.module:factory",
    )
