# SPDX-License-Identifier: BSD-3-Clause
"""Names of cells and tokenizers: built-in, registered, or of an installed package.

A package offers a class through an entry point in the group `rnnkit.cells` or
`rnnkit.tokenizers`. Entry points are looked at when a name is first missed, never at
import, and a package is imported when one of its names is asked for, never before. So a
broken package breaks its own names only. Built-in names belong to rnnkit for good.

A name is found as what is built in, then what `register_cell` has registered, then what
is installed. Where several packages offer a name, "package:name" tells them apart.
"""

import importlib
import json
import os
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from rnnkit.errors import ParameterError, PluginError, PluginWarning, UnknownNameError

# What a plugin's `rnnkit_api` is compared with; it grows when old plugins would break.
API_VERSION = 1

KINDS = ("cell", "tokenizer")

BUILT_IN = {
    "cell": {
        "rnn": "rnnkit.cells.rnn:RNN",
        "lstm": "rnnkit.cells.lstm:LSTM",
        "gru": "rnnkit.cells.gru:GRU",
        "irnn": "rnnkit.cells.irnn:IRNN",
        "lstmp": "rnnkit.cells.lstmp:LSTMP",
        "gru_reset_before": "rnnkit.cells.gru_reset_before:ResetBeforeGRU",
        "layer_norm_lstm": "rnnkit.cells.layer_norm_lstm:LayerNormLSTM",
    },
    "tokenizer": {
        "whitespace": "rnnkit.tokenizers.whitespace:WhitespaceTokenizer",
        "word": "rnnkit.tokenizers.word:WordTokenizer",
        "char": "rnnkit.tokenizers.char:CharTokenizer",
        "byte": "rnnkit.tokenizers.byte:ByteTokenizer",
    },
}

# Packages that are known to offer a name, for the message when it is missed.
KNOWN_PACKAGES = {
    "cell": {
        "peephole": "rnnkit-lstm-variants",
        "cifg": "rnnkit-lstm-variants",
        "capped_lstm": "rnnkit-lstm-variants",
        "multiplicative_lstm": "rnnkit-lstm-variants",
        "mingru": "rnnkit-minimal-cells",
        "minlstm": "rnnkit-minimal-cells",
        "indrnn": "rnnkit-minimal-cells",
        "sru": "rnnkit-minimal-cells",
        "rhn": "rnnkit-deep-cells",
        "mogrifier": "rnnkit-deep-cells",
        "slstm": "rnnkit-xlstm",
    },
    "tokenizer": {
        "bpe": "rnnkit-subword",
        "unigram": "rnnkit-subword",
        "jieba": "rnnkit-jieba",
    },
}

METHODS = {
    "cell": ("step",),
    "tokenizer": ("fit", "encode", "decode", "get_state", "from_state"),
}


# The child that imports a plugin looks for packages where this process does.
CHILD = """
import sys
sys.path[:] = sys.argv[2:]
from rnnkit import plugins
plugins._answer()
"""


@dataclass(frozen=True)
class Plugin:
    """A name, and where its class is to be found; nothing of it is imported.

    Attributes
    ----------
    kind : {"cell", "tokenizer"}
    name : str
    value : str
        "module:class".
    distribution, version : str or None
        The installed package; None for what was registered by hand, and None as the
        version of what is built in.
    problem : str or None
        Why the bare name does not give this class: it is built in, or not unique.
    """

    kind: str
    name: str
    value: str
    distribution: str | None = None
    version: str | None = None
    problem: str | None = None

    @property
    def is_builtin(self) -> bool:
        """Whether rnnkit itself has it."""
        return BUILT_IN[self.kind].get(self.name) == self.value

    @property
    def full_name(self) -> str:
        """The name that is unique: "package:name"."""
        return f"{self.distribution}:{self.name}" if self.distribution else self.name

    def __str__(self) -> str:
        """For messages: "cell 'spam' of rnnkit-spam 1.0 (rnnkit_spam:Spam)"."""
        package = " ".join(filter(None, (self.distribution, self.version)))
        source = package or "this session"
        return f"{self.kind} {self.name!r} of {source} ({self.value})"


@dataclass(frozen=True)
class PluginCheck:
    """What became of a plugin's import in a child process.

    Attributes
    ----------
    plugin : Plugin
    ok : bool
    message : str
        What is wrong, on one line; empty when nothing is.
    details : str
        The traceback, or what the child printed.
    """

    plugin: Plugin
    ok: bool
    message: str = ""
    details: str = ""


_lock = threading.RLock()
_registered: dict[tuple[str, str], type] = {}
_installed: tuple[Plugin, ...] | None = None  # None: not looked yet
_warned: set[str] = set()


# ---------------------------------------------------------------------------- asking


def make_cell(name: str) -> Any:
    """Return a cell of this name, its parameters at their defaults.

    Raises
    ------
    UnknownNameError
        When there is none; the message lists the known ones.
    PluginError
        When its package is broken, or several packages offer the name.
    """
    return _make("cell", name)


def make_tokenizer(name: str) -> Any:
    """Return a tokenizer of this name, its parameters at their defaults.

    Raises
    ------
    UnknownNameError
        When there is none; the message lists the known ones.
    PluginError
        When its package is broken, or several packages offer the name.
    """
    return _make("tokenizer", name)


def _make(kind: str, name: str) -> Any:
    plugin = find(kind, name)
    cls = load(plugin)
    try:
        return cls()
    except Exception as error:
        if plugin.is_builtin:
            raise
        message = f"{plugin} cannot be made without arguments: {error}"
        raise PluginError(message) from error


def find(kind: str, name: str) -> Plugin:
    """Return what a name, or "package:name", stands for; import nothing.

    Raises
    ------
    UnknownNameError
        When there is none; the message lists the known ones.
    PluginError
        When several packages offer the name.
    """
    if not isinstance(name, str):
        raise ParameterError(
            f"a {kind} is a name or an instance, not an object of type "
            f"{type(name).__name__}"
        )
    distribution, _, bare = name.rpartition(":")
    if not distribution or _same_package(distribution, "rnnkit"):
        own = _own(kind, bare)
        if own is not None:
            return own
    candidates = _offered(kind, bare, distribution)
    if not candidates:  # it may have been installed since the last look
        refresh()
        candidates = _offered(kind, bare, distribution)
    if not candidates:
        raise UnknownNameError(_unknown(kind, name))
    if len(candidates) > 1:
        choices = " or ".join(repr(plugin.full_name) for plugin in candidates)
        raise PluginError(
            f"several packages offer the {kind} {bare!r}: "
            f"{'; '.join(map(str, candidates))}. Say {choices}"
        )
    return candidates[0]


def load(plugin: Plugin) -> type[Any]:
    """Import a plugin and return its class.

    Raises
    ------
    PluginError
        When the import fails, or gives something that is no class of this kind. The
        message names the package; the plugin's own exception is the cause.
    """
    registered = _registered.get((plugin.kind, plugin.name))
    if registered is not None and plugin.distribution is None:
        return registered
    if plugin.is_builtin:
        return _import(plugin.value)
    try:
        cls = _import(plugin.value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a plugin must not end the process
        raise PluginError(
            f"{plugin} cannot be imported: {type(error).__name__}: {error}"
            f"{_line_of(error, plugin)}"
        ) from error
    fault = _fault(plugin.kind, cls)
    if fault:
        raise PluginError(f"{plugin} cannot be used: {fault}")
    return cls


def list_plugins(kind: str | None = None) -> list[Plugin]:
    """Return all known cells and tokenizers, or those of one kind; import nothing."""
    plugins = [
        *_built_in(),
        *(_registered_plugin(*key) for key in list(_registered)),
        *_packaged(),
    ]
    return sorted(
        (plugin for plugin in plugins if kind in (None, plugin.kind)),
        key=lambda plugin: (plugin.kind, plugin.name, plugin.distribution or ""),
    )


def origin(kind: str, cls: type) -> Plugin | None:
    """Return the plugin that gives this class, or None; import nothing."""
    return next((p for p in list_plugins(kind) if _imported(p) is cls), None)


def refresh() -> tuple[Plugin, ...]:
    """Look again at what is installed and warn of names that clash; return it."""
    global _installed
    if _disabled():
        return ()
    with _lock:
        importlib.invalidate_caches()
        _installed = tuple(_with_problems([*_scan()]))
        for plugin in _installed:
            if plugin.problem:
                _warn(f"{plugin}: {plugin.problem}; say {plugin.full_name!r} to use it")
        return _installed


# ----------------------------------------------------------------------- registering


def register_cell(name: str, cls: type, *, replace: bool = False) -> None:
    """Give a cell a name for this session, as a package would by an entry point.

    Parameters
    ----------
    name : str
        Letters, digits, "_", "-" and "."; not the name of a built-in cell.
    cls : type
        A class with `states` and `step`.
    replace : bool, default=False
        Whether the name may be taken already.

    Raises
    ------
    PluginError
        When the name is taken, or `cls` is no cell.
    """
    _register("cell", name, cls, replace)


def register_tokenizer(name: str, cls: type, *, replace: bool = False) -> None:
    """Give a tokenizer a name for this session, as a package would by an entry point.

    Parameters
    ----------
    name : str
        Letters, digits, "_", "-" and "."; not the name of a built-in tokenizer.
    cls : type
        A class with the methods of `rnnkit.Tokenizer`.
    replace : bool, default=False
        Whether the name may be taken already.

    Raises
    ------
    PluginError
        When the name is taken, or `cls` is no tokenizer.
    """
    _register("tokenizer", name, cls, replace)


def _register(kind: str, name: str, cls: type, replace: bool) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ParameterError(f"a name has letters, digits, _ - . alone, not {name!r}")
    fault = _fault(kind, cls)
    if fault:
        raise PluginError(f"the {kind} {name!r} cannot be registered: {fault}")
    with _lock:
        if name in BUILT_IN[kind]:
            raise PluginError(f"{name!r} is a built-in {kind}: choose another name")
        known = _registered.get((kind, name))
        taken = known not in (None, cls) or (known is None and _offered(kind, name))
        if taken and not replace:
            raise PluginError(
                f"the {kind} {name!r} is there already; replace=True takes its name"
            )
        _registered[kind, name] = cls


# -------------------------------------------------------------------------- checking


def check_in_child(plugin: Plugin, timeout: float = 5.0) -> PluginCheck:
    """Import a plugin in a process of its own and say what became of it.

    Parameters
    ----------
    plugin : Plugin
        From `find` or `list_plugins`.
    timeout : float, default=5.0
        Seconds after which the child is killed.
    """
    if plugin.distribution is None:  # of this session: it is imported, and was checked
        return PluginCheck(plugin, True)
    import subprocess

    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps(asdict(plugin)), *sys.path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        answer, printed = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _kill(child)
        message = f"the import had not ended after {timeout:g} s"
        return PluginCheck(plugin, False, message, child.communicate()[1])
    try:
        message, details = json.loads(answer)
    except ValueError:
        message = f"the import ended the process, with status {child.returncode}"
        return PluginCheck(plugin, False, message, printed)
    return PluginCheck(plugin, not message, message, details or printed)


def _answer() -> None:
    """Within the child: import the plugin, write the outcome to standard output."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # what the plugin prints is no part of the answer
        outcome = ("", "")
        try:
            load(Plugin(**json.loads(sys.argv[1])))
        except PluginError as error:
            outcome = (str(error), traceback.format_exc())
        json.dump(outcome, answer)


def _kill(child: Any) -> None:
    """Kill a child and, where there are process groups, its own children."""
    if hasattr(os, "killpg"):
        os.killpg(child.pid, 9)
    else:
        child.kill()


def _line_of(error: BaseException, plugin: Plugin) -> str:
    """Where a plugin's own code failed, as far as the traceback knows."""
    package = plugin.value.partition(":")[0].partition(".")[0]
    lines = [
        f" (line {frame.lineno} of {frame.filename})"
        for frame in traceback.extract_tb(error.__traceback__)
        if package in Path(frame.filename).parts or Path(frame.filename).stem == package
    ]
    return lines[-1] if lines else ""


def _fault(kind: str, cls: object) -> str:
    """What keeps an object from being a class of this kind; empty: nothing."""
    if not isinstance(cls, type):
        return f"it is {cls!r}, not a class"
    module = sys.modules.get(cls.__module__)
    api = getattr(cls, "rnnkit_api", getattr(module, "rnnkit_api", API_VERSION))
    if not re.fullmatch(r"[1-9][0-9]{0,5}", str(api)):
        return f"rnnkit_api is {api!r}; it must be a whole number, now {API_VERSION}"
    if int(api) > API_VERSION:
        return (
            f"it is written for version {api} of the plugin API, this rnnkit has "
            f"version {API_VERSION}; install a newer rnnkit"
        )
    for name in METHODS[kind]:
        method = getattr(cls, name, None)
        if not callable(method) or getattr(method, "__isabstractmethod__", False):
            return f"class {cls.__name__} has no method {name}"
    return _states_fault(cls) if kind == "cell" else ""


def _states_fault(cls: type) -> str:
    states = getattr(cls, "states", ())
    if isinstance(states, property):
        return ""
    is_list = isinstance(states, (tuple, list)) and len(states) > 0
    if is_list and all(isinstance(name, str) for name in states):
        return ""
    return (
        f"class {cls.__name__} has states = {states!r}; they must be names, as in "
        'states = ("h",)'
    )


# --------------------------------------------------------------------------- finding


def _built_in() -> Iterator[Plugin]:
    for kind, table in BUILT_IN.items():
        for name, value in table.items():
            yield Plugin(kind, name, value, "rnnkit")


def _registered_plugin(kind: str, name: str) -> Plugin:
    cls = _registered[kind, name]
    return Plugin(kind, name, f"{cls.__module__}:{cls.__qualname__}")


def _own(kind: str, name: str) -> Plugin | None:
    """What is built in or registered, for which nothing need be looked at."""
    if name in BUILT_IN[kind]:
        return Plugin(kind, name, BUILT_IN[kind][name], "rnnkit")
    return _registered_plugin(kind, name) if (kind, name) in _registered else None


def _offered(kind: str, name: str, distribution: str = "") -> list[Plugin]:
    """What installed packages, or one of them, offer under a name."""
    found = [
        plugin
        for plugin in _packaged()
        if (plugin.kind, plugin.name) == (kind, name)
        and (not distribution or _same_package(distribution, plugin.distribution))
    ]
    return sorted(found, key=str)


def _packaged() -> tuple[Plugin, ...]:
    """What packages offer, as of the last look."""
    return refresh() if _installed is None or _disabled() else _installed


def _scan() -> Iterator[Plugin]:
    """Read the entry points of all installed packages."""
    from importlib.metadata import distributions

    seen = set()
    for package in distributions():
        try:
            if "rnnkit." not in (package.read_text("entry_points.txt") or ""):
                continue  # metadata are slow to read, and not needed
            name, version = str(package.name), str(package.version)
            points = [
                (kind, point)
                for kind in KINDS
                for point in package.entry_points.select(group=f"rnnkit.{kind}s")
            ]
        except Exception as error:
            _warn(f"{package}: its entry points cannot be read: {error!r}")
            continue
        if _normal(name) in seen:
            continue  # a second copy, further behind on the path
        seen.add(_normal(name))
        for kind, point in points:
            if not (_same_package(name, "rnnkit") and point.name in BUILT_IN[kind]):
                yield Plugin(kind, point.name, point.value, name, version)


def _with_problems(plugins: list[Plugin]) -> Iterator[Plugin]:
    """The same plugins, told why their bare names do not give them."""
    for plugin in plugins:
        twins = [
            str(other)
            for other in plugins
            if (other.kind, other.name) == (plugin.kind, plugin.name)
            and other is not plugin
        ]
        problem = None
        if plugin.name in BUILT_IN[plugin.kind]:
            problem = f"the {plugin.kind} of this name is built in"
        elif twins:
            problem = f"the name is also that of {'; '.join(twins)}"
        yield replace(plugin, problem=problem)


def _import(value: str) -> type[Any]:
    """Return the class of "module:class"; extras behind it have no meaning here."""
    module, _, path = value.partition("[")[0].strip().partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return cast(type[Any], found)


def _imported(plugin: Plugin) -> object:
    """The class of a plugin whose module has been imported already, or None."""
    if plugin.distribution is None:
        return _registered.get((plugin.kind, plugin.name))
    module = plugin.value.partition(":")[0]
    try:
        return _import(plugin.value) if module in sys.modules else None
    except AttributeError:
        return None


def _unknown(kind: str, name: str) -> str:
    import difflib  # of no use where all goes well

    known = sorted({plugin.name for plugin in list_plugins(kind)})
    package = KNOWN_PACKAGES[kind].get(name)
    parts = [f"unknown {kind} {name!r}; known: {', '.join(known)}"]
    if close := difflib.get_close_matches(name, known, 1):
        parts.append(f"Is {close[0]!r} meant?")
    if package:
        parts.append(f"`pip install {package}` provides it")
    if _disabled():
        parts.append("plugins are switched off by RNNKIT_DISABLE_PLUGINS")
    return ". ".join(parts)


def _disabled() -> bool:
    return os.environ.get("RNNKIT_DISABLE_PLUGINS", "0") not in ("", "0")


def _normal(package: str) -> str:
    """A package's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _same_package(a: str, b: str | None) -> bool:
    return b is not None and _normal(a) == _normal(b)


def _warn(message: str) -> None:
    """Warn once of each thing."""
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, PluginWarning, stacklevel=3)
