# SPDX-License-Identifier: BSD-3-Clause
"""Names of cells and tokenizers, with packages made on the spot, most of them bad."""

import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rnnkit import plugins
from rnnkit.errors import ParameterError, PluginError, PluginWarning, UnknownNameError

CELL = """
class Spam:
    states = ("h",)
    def step(self, x, h):
        return h
"""
TOKENIZER = """
class Letters:
    def fit(self, texts): ...
    def encode(self, text): ...
    def decode(self, ids): ...
    def get_state(self): ...
    @classmethod
    def from_state(cls, state): ...
"""


class Site:
    """A folder on the path into which packages can be put."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        package: str,
        source: str = CELL,
        *,
        cells: Mapping[str, str] | None = None,
        tokenizers: Mapping[str, str] | None = None,
        version: str = "1.0",
    ) -> None:
        """Write a module (plug_ and the package's name) and the metadata of a package.

        Entry points name what is behind the colon.
        """
        module = "plug_" + package.replace("-", "_").lower()
        (self.folder / f"{module}.py").write_text(source, "utf-8")
        info = self.folder / f"{package.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata, "utf-8")
        lines = ["[rnnkit.cells]"]
        lines += [f"{name} = {module}:{value}" for name, value in (cells or {}).items()]
        lines += ["[rnnkit.tokenizers]"]
        lines += [f"{n} = {module}:{value}" for n, value in (tokenizers or {}).items()]
        (info / "entry_points.txt").write_text("\n".join(lines), "utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty place for packages; nothing of it is known afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("RNNKIT_DISABLE_PLUGINS", raising=False)
    monkeypatch.setattr(plugins, "_installed", None)
    monkeypatch.setattr(plugins, "_registered", {})
    monkeypatch.setattr(plugins, "_warned", set())
    yield Site(tmp_path)
    for name in [name for name in sys.modules if name.startswith("plug_")]:
        del sys.modules[name]


def imported() -> list[str]:
    return [name for name in sys.modules if name.startswith("plug_")]


def names(kind: str) -> set[str]:
    return {plugin.name for plugin in plugins.list_plugins(kind)}


# -------------------------------------------------------------------------- finding


def test_built_in_names_need_no_metadata(site: Site, monkeypatch: Any) -> None:
    monkeypatch.setattr(plugins, "_scan", lambda: pytest.fail("looked at packages"))
    assert plugins.make_cell("lstm").states == ("h", "c")
    assert plugins.make_tokenizer("word").tokenize("a b") == ["a", "b"]
    assert plugins.find("cell", "rnnkit:gru").is_builtin


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_built_in_name_gives_its_class(kind: str) -> None:
    for name, value in plugins.BUILT_IN[kind].items():
        cls = plugins.load(plugins.find(kind, name))
        assert f"{cls.__module__}:{cls.__qualname__}" == value
        assert plugins.origin(kind, cls) == plugins.find(kind, name)
        assert not plugins._fault(kind, cls)


def test_the_entry_points_declared_are_the_table(root: Path) -> None:
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    declared = project["entry-points"]
    for kind in plugins.KINDS:
        assert declared[f"rnnkit.{kind}s"] == plugins.BUILT_IN[kind]


def test_a_package_is_found_by_name_and_imported_when_asked_for(site: Site) -> None:
    site.install("rnnkit-spam", cells={"spam": "Spam"}, version="2.1")
    site.install("other", TOKENIZER, tokenizers={"letters": "Letters"})
    assert {"spam", "lstm"} <= names("cell")
    assert "letters" in names("tokenizer")
    plugin = plugins.find("cell", "spam")
    assert str(plugin) == "cell 'spam' of rnnkit-spam 2.1 (plug_rnnkit_spam:Spam)"
    assert plugin.full_name == "rnnkit-spam:spam"
    assert plugins.origin("cell", Site) is None
    assert imported() == []
    cell = plugins.make_cell("spam")
    assert imported() == ["plug_rnnkit_spam"]
    assert type(cell).__name__ == "Spam"
    assert plugins.origin("cell", type(cell)) == plugin


def test_the_package_may_be_named(site: Site) -> None:
    site.install("RNNkit_Spam", cells={"spam": "Spam"})
    expected = plugins.find("cell", "spam")
    assert plugins.find("cell", "rnnkit-spam:spam") == expected
    assert plugins.find("cell", "RNNKIT.spam:spam") == expected
    with pytest.raises(UnknownNameError, match="unknown cell 'other:spam'"):
        plugins.find("cell", "other:spam")


def test_what_is_installed_later_is_found(site: Site) -> None:
    with pytest.raises(UnknownNameError):
        plugins.find("cell", "spam")
    site.install("late", cells={"spam": "Spam"})
    assert plugins.find("cell", "spam").distribution == "late"


def test_an_unknown_name_lists_the_known_ones(site: Site) -> None:
    site.install("a", cells={"spam": "Spam"})
    with pytest.raises(UnknownNameError) as caught:
        plugins.make_cell("lstn")
    assert str(caught.value).startswith("unknown cell 'lstn'; known: ")
    assert all(name in str(caught.value) for name in ("gru", "lstm", "rnn", "spam"))
    assert imported() == []


def test_a_missed_name_names_the_package_that_has_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(plugins.KNOWN_PACKAGES["cell"], "eggs", "rnnkit-eggs")
    with pytest.raises(UnknownNameError, match="`pip install rnnkit-eggs` provides it"):
        plugins.make_cell("eggs")


@pytest.mark.parametrize("name", [None, 3, b"lstm", ["lstm"]], ids=str)
def test_a_name_is_a_string(name: Any) -> None:
    with pytest.raises(ParameterError, match="a cell is a name or an instance"):
        plugins.make_cell(name)


@pytest.mark.parametrize("name", ["", ":", "lstm:", ":lstm:", "a:b:c", "LSTM", "\0"])
def test_odd_names_are_unknown(site: Site, name: str) -> None:
    with pytest.raises(UnknownNameError):
        plugins.make_cell(name)


def test_plugins_can_be_switched_off(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("a", cells={"spam": "Spam"})
    assert "spam" in names("cell")
    monkeypatch.setenv("RNNKIT_DISABLE_PLUGINS", "1")
    assert names("cell") == set(plugins.BUILT_IN["cell"])
    with pytest.raises(
        UnknownNameError, match="switched off by RNNKIT_DISABLE_PLUGINS"
    ):
        plugins.make_cell("spam")
    assert plugins.make_cell("gru").states == ("h",)
    monkeypatch.setenv("RNNKIT_DISABLE_PLUGINS", "0")
    assert type(plugins.make_cell("spam")).__name__ == "Spam"


def test_importing_rnnkit_looks_at_no_package(run_python: Any) -> None:
    code = (
        "import sys, rnnkit\n"
        "print('importlib.metadata' in sys.modules, 'rnnkit.plugins' in sys.modules)"
    )
    assert run_python("-c", code).stdout.split() == ["False", "False"]


def test_names_are_found_from_many_threads(site: Site) -> None:
    site.install("a", cells={"spam": "Spam"})
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(plugins.make_cell("spam")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({type(cell) for cell in found}) == 1


# ---------------------------------------------------------- broken packages, by number


BROKEN = {
    "1 the module is missing": ("", "Spam", "ModuleNotFoundError: No module named"),
    "2 an import fails inside": ("import plug_absent", "Spam", "plug_absent"),
    "3 a syntax error": ("class Spam(:", "Spam", "SyntaxError"),
    "4 it ends the process": ("raise SystemExit(3)", "Spam", "SystemExit: 3"),
    "6a a function": ("def Spam(): ...", "Spam", "not a class"),
    "6b no step": ('class Spam:\n    states = ("h",)', "Spam", "has no method step"),
    "6c no states": ("class Spam:\n    def step(self): ...", "Spam", r"states = \(\)"),
    "6d states are a string": (
        'class Spam:\n    states = "h"\n    def step(self): ...',
        "Spam",
        "states = 'h'; they must be names",
    ),
    "6e no such name": ("x = 1", "Spam", "AttributeError"),
    "6f a module alone": ("x = 1", "", "AttributeError"),
    "7a for a newer rnnkit": (
        CELL + "    rnnkit_api = '2'",
        "Spam",
        "version 2 of the plugin API.* install a newer rnnkit",
    ),
    "7b a module for a newer rnnkit": (CELL + "rnnkit_api = 2", "Spam", "version 2"),
    "7c no version at all": (
        CELL + "rnnkit_api = 'new'",
        "Spam",
        "rnnkit_api is 'new'",
    ),
    "an assertion": ("assert False, 'why'", "Spam", "AssertionError: why"),
    "endless recursion": ("def f(): f()\nf()", "Spam", "RecursionError"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_package_breaks_only_its_own_names(site: Site, case: str) -> None:
    source, value, message = BROKEN[case]
    site.install("broken", source, cells={"spam": value}, version="0.3")
    site.install("whole", cells={"eggs": "Spam"})
    if case.startswith("1 "):
        (site.folder / "plug_broken.py").unlink()
    assert {"spam", "eggs", "lstm"} <= names("cell")
    assert type(plugins.make_cell("eggs")).__name__ == "Spam"
    for _ in range(2):  # not only the first time
        with pytest.raises(PluginError, match=message) as caught:
            plugins.make_cell("spam")
        assert "cell 'spam' of broken 0.3 (plug_broken:" in str(caught.value)
    if "cannot be imported" in str(caught.value):
        assert caught.value.__cause__ is not None


def test_5_an_import_that_hangs_is_stopped_in_its_child(site: Site) -> None:
    source = "import time\nprint('busy', flush=True)\ntime.sleep(600)"
    site.install("slow", source, cells={"spam": "Spam"})
    check = plugins.check_in_child(plugins.find("cell", "spam"), timeout=1.5)
    assert (check.ok, imported()) == (False, [])
    assert check.message == "the import had not ended after 1.5 s"


TOKENIZER_METHODS = ["fit", "encode", "decode", "get_state", "from_state"]


@pytest.mark.parametrize("method", TOKENIZER_METHODS)
def test_6_a_tokenizer_without_a_method_is_refused(site: Site, method: str) -> None:
    source = TOKENIZER.replace(f"def {method}(", "def other(")
    site.install("broken", source, tokenizers={"letters": "Letters"})
    with pytest.raises(PluginError, match=f"class Letters has no method {method}"):
        plugins.make_tokenizer("letters")


def test_6_a_tokenizer_that_is_abstract_still_is_refused(site: Site) -> None:
    source = (
        "from rnnkit import Tokenizer\n"
        "class Letters(Tokenizer):\n    def fit(self, texts): ..."
    )
    site.install("broken", source, tokenizers={"letters": "Letters"})
    with pytest.raises(PluginError, match="class Letters has no method encode"):
        plugins.make_tokenizer("letters")


@pytest.mark.parametrize("version", ["1", 1])
def test_7_a_package_for_this_rnnkit_is_used(site: Site, version: Any) -> None:
    site.install("a", CELL + f"    rnnkit_api = {version!r}", cells={"spam": "Spam"})
    assert type(plugins.make_cell("spam")).__name__ == "Spam"


def test_8_two_packages_with_one_name_are_told_apart(site: Site) -> None:
    site.install("one", cells={"spam": "Spam", "eggs": "Spam"}, version="1.0")
    site.install("two", cells={"spam": "Spam"}, version="2.0")
    with pytest.warns(PluginWarning) as warned:
        assert plugins.find("cell", "eggs").distribution == "one"
    text = " ".join(str(warning.message) for warning in warned)
    assert "one 1.0" in text
    assert "two 2.0" in text
    with pytest.raises(PluginError, match="Say 'one:spam' or 'two:spam'") as caught:
        plugins.make_cell("spam")
    assert "of one 1.0" in str(caught.value)
    assert "of two 2.0" in str(caught.value)
    assert imported() == []
    assert type(plugins.make_cell("two:spam")).__module__ == "plug_two"
    assert imported() == ["plug_two"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        plugins.refresh()


def test_9_a_built_in_name_cannot_be_taken(site: Site) -> None:
    site.install("thief", cells={"lstm": "Spam"})
    assert type(plugins.make_cell("lstm")).__name__ == "LSTM"
    with pytest.warns(PluginWarning, match="built in; say 'thief:lstm'"):
        assert type(plugins.make_cell("thief:lstm")).__name__ == "Spam"
    listed = [p for p in plugins.list_plugins("cell") if p.name == "lstm"]
    assert [p.problem for p in listed] == [
        None,
        "the cell of this name is built in",
    ]


def test_10_a_constructor_that_fails_names_the_package(site: Site) -> None:
    source = CELL + "    def __init__(self, size): ..."
    site.install("broken", source, cells={"spam": "Spam"})
    with pytest.raises(PluginError, match=r"of broken 1\.0 .* cannot be made without"):
        plugins.make_cell("spam")


def test_15_a_package_that_has_gone_is_named(site: Site) -> None:
    site.install("gone", cells={"spam": "Spam"}, version="1.2")
    plugin = plugins.find("cell", "spam")
    (site.folder / "plug_gone.py").unlink()
    with pytest.raises(PluginError, match=r"of gone 1\.2 .*ModuleNotFoundError"):
        plugins.load(plugin)
    for part in (site.folder / "gone-1.2.dist-info").iterdir():
        part.unlink()
    (site.folder / "gone-1.2.dist-info").rmdir()
    plugins.refresh()
    with pytest.raises(UnknownNameError):
        plugins.find("cell", "spam")


def test_ctrl_c_during_an_import_is_the_users(site: Site) -> None:
    site.install("slow", "raise KeyboardInterrupt", cells={"spam": "Spam"})
    with pytest.raises(KeyboardInterrupt):
        plugins.make_cell("spam")


@pytest.mark.parametrize("damage", ["entry_points.txt", "METADATA"])
def test_unreadable_metadata_hide_one_package_alone(site: Site, damage: str) -> None:
    site.install("damaged", cells={"spam": "Spam"})
    site.install("whole", cells={"eggs": "Spam"})
    path = site.folder / "damaged-1.0.dist-info" / damage
    path.write_bytes(b"[rnnkit.cells]\nspam = \xff\xfe:\xff\n[")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert type(plugins.make_cell("eggs")).__name__ == "Spam"


# ------------------------------------------------------------------------ in a child


def test_a_sound_package_passes_its_check_unimported(site: Site) -> None:
    site.install("a", "print('hello')" + CELL, cells={"spam": "Spam"})
    check = plugins.check_in_child(plugins.find("cell", "spam"), timeout=60)
    assert (check.ok, check.message) == (True, "")
    assert "hello" in check.details
    assert imported() == []


@pytest.mark.parametrize(
    ("source", "message", "details"),
    [
        ("import plug_absent", "cannot be imported: ModuleNotFoundError", "Traceback"),
        ("raise SystemExit(0)", "cannot be imported: SystemExit", "Traceback"),
        ("import os; os._exit(0)", "ended the process, with status 0", ""),
        ("import os; os.kill(os.getpid(), 9)", "ended the process, with status", ""),
        ("Spam = 3", "cannot be used: it is 3, not a class", "Traceback"),
    ],
)
def test_a_broken_package_fails_its_check_with_the_reason(
    site: Site, source: str, message: str, details: str
) -> None:
    site.install("broken", source, cells={"spam": "Spam"})
    check = plugins.check_in_child(plugins.find("cell", "spam"), timeout=60)
    assert not check.ok
    assert message in check.message
    assert details in check.details
    assert imported() == []


def test_built_in_names_pass_their_check() -> None:
    for kind in plugins.KINDS:
        name = min(plugins.BUILT_IN[kind])
        check = plugins.check_in_child(plugins.find(kind, name), timeout=60)
        assert check.ok, check.details


# ------------------------------------------------------------------------ registering


class Eggs:
    states = ("h",)

    def step(self, x: Any, h: Any) -> Any:
        return h


class MoreEggs(Eggs):
    pass


def test_a_registered_cell_is_found(site: Site) -> None:
    plugins.register_cell("eggs", Eggs)
    assert type(plugins.make_cell("eggs")) is Eggs
    assert "eggs" in names("cell")
    plugin = plugins.find("cell", "eggs")
    assert str(plugin).startswith("cell 'eggs' of this session (")
    assert plugins.origin("cell", Eggs) == plugin
    assert plugins.check_in_child(plugin).ok


def test_a_name_is_taken_once_unless_it_is_said(site: Site) -> None:
    plugins.register_cell("eggs", Eggs)
    plugins.register_cell("eggs", Eggs)
    with pytest.raises(PluginError, match="'eggs' is there already; replace=True"):
        plugins.register_cell("eggs", MoreEggs)
    plugins.register_cell("eggs", MoreEggs, replace=True)
    assert type(plugins.make_cell("eggs")) is MoreEggs


def test_a_name_of_an_installed_package_is_taken(site: Site) -> None:
    site.install("a", cells={"spam": "Spam"})
    with pytest.raises(PluginError, match="'spam' is there already"):
        plugins.register_cell("spam", Eggs)
    plugins.register_cell("spam", Eggs, replace=True)
    assert type(plugins.make_cell("spam")) is Eggs
    assert type(plugins.make_cell("a:spam")).__name__ == "Spam"


def test_a_built_in_name_is_never_given_away(site: Site) -> None:
    with pytest.raises(PluginError, match="'lstm' is a built-in cell"):
        plugins.register_cell("lstm", Eggs, replace=True)
    with pytest.raises(PluginError, match="'word' is a built-in tokenizer"):
        plugins.register_tokenizer(
            "word", plugins.load(plugins.find("tokenizer", "char"))
        )


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a/b", "\xe9", None, 3], ids=str)
def test_a_name_that_could_not_be_asked_for_is_refused(site: Site, name: Any) -> None:
    with pytest.raises(ParameterError, match="a name has letters"):
        plugins.register_cell(name, Eggs)


@pytest.mark.parametrize("cls", [None, 3, Eggs(), str, len], ids=repr)
def test_what_is_no_cell_cannot_be_registered(site: Site, cls: Any) -> None:
    with pytest.raises(PluginError, match="the cell 'eggs' cannot be registered"):
        plugins.register_cell("eggs", cls)
    with pytest.raises(PluginError, match="the tokenizer 'eggs' cannot be registered"):
        plugins.register_tokenizer("eggs", cls)
