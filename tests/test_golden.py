# SPDX-License-Identifier: BSD-3-Clause
"""Golden files: what some version has written loads, predicts and saves as it did then.

`tools/make_golden.py` writes them; test_c_library.py reads them in C.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnkit
from rnnkit import runtime
from rnnkit.core import FORMAT_VERSION
from rnnkit.errors import ModelFormatError
from rnnkit.estimators.components import StoredCell
from rnnkit.storage.safetensors import decode, encode

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.rnn"))


def of_version(path: Path, version: str) -> bytes:
    """The file with another version and a checksum that is right."""
    tensors, metadata = decode(path.read_bytes())
    return encode(tensors, {**metadata, "format_version": version})


def test_there_are_files_of_this_version_and_none_without_answers() -> None:
    names = {path.stem for path in FILES}
    assert names == {path.stem for path in GOLDEN.glob("*.json")}
    assert sum(name.startswith(f"v{FORMAT_VERSION}-") for name in names) >= 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_file_predicts_as_on_the_day_it_was_written(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
    for load in (runtime.load, rnnkit.load):
        model = load(path)
        found = model.predict_next_proba(expected["prompts"])
        np.testing.assert_allclose(
            found, expected["probabilities"], rtol=1e-5, atol=2e-8
        )
        scores = model.score_samples(expected["texts"])
        np.testing.assert_allclose(scores, expected["scores"], rtol=1e-5)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_saving_a_loaded_model_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    rnnkit.load(path).save(tmp_path / "a", solver_state=True)
    assert (tmp_path / "a").read_bytes() == data
    rnnkit.load(path).save(tmp_path / "b")
    runtime.save(runtime.load(path), tmp_path / "c")
    plain = (tmp_path / "b").read_bytes()
    assert (tmp_path / "c").read_bytes() == plain
    assert (plain == data) == ("solver" not in decode(data)[1])


def test_the_cell_of_a_package_that_is_not_there_trains_on() -> None:
    lm = rnnkit.load(GOLDEN / "v2-plugin-cell.rnn")
    assert isinstance(lm.cell, StoredCell)
    loss = lm.loss_curve_[-1]
    assert lm.partial_fit(["the small boat sails at dawn"] * 8).loss_curve_[-1] < loss


ALONE = """
import sys
import numpy
before = set(sys.modules)
from rnnkit import runtime
called = set()
sys.setprofile(lambda frame, event, _: called.add(frame.f_code.co_filename))
for path in sys.argv[1:]:
    model = runtime.load(path)
    model.predict_next([0] if model.encoder.tokenizer is None else "the crew", k=3)
sys.setprofile(None)
new = set(sys.modules) - before
assert "numpy.random" not in new, "it takes a tenth of the time to start"
with_file = {name for name in new if getattr(sys.modules[name], "__file__", None)}
packages = {name.partition(".")[0] for name in before} | {"rnnkit"}
names = {name.partition(".")[0] for name in with_file} - packages
assert names <= sys.stdlib_module_names, names - sys.stdlib_module_names
assert any(name.endswith("model_file.py") for name in called)
tracing = [name for name in called if name.endswith(("trace.py", "recorder.py"))]
assert not tracing, tracing
"""


def test_the_runtime_needs_numpy_alone_and_traces_nothing(run_python: Any) -> None:
    done = run_python("-c", ALONE, *map(str, FILES))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", ["3", "12"])
def test_a_file_of_a_newer_version_is_refused_by_name(
    version: str, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(of_version(FILES[0], version))
    message = f"has format version {version}, .*reads version 2.*install a newer rnnkit"
    for load in (runtime.load, rnnkit.load):
        with pytest.raises(ModelFormatError, match=message):
            load(tmp_path / "a")


def test_the_script_touches_no_file_that_is_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    import make_golden

    monkeypatch.setattr(make_golden, "register_cell", lambda name, cell: None)
    times = {path: path.stat().st_mtime_ns for path in GOLDEN.iterdir()}
    make_golden.main()
    assert {path: path.stat().st_mtime_ns for path in GOLDEN.iterdir()} == times
    del sys.modules["make_golden"]
