# SPDX-License-Identifier: BSD-3-Clause
"""What it takes to be there: seconds to the first prediction, megabytes on the disk."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import targets
from plan import Plan
from report import Row, missed

from rnnkit.cli.timing import Task, in_turn

FIT = """
import sys
from rnnkit import RNNLanguageModel
texts = ["the company said it would pay the same as last year"] * 20
model = RNNLanguageModel(tokenizer="whitespace", max_iter=1, random_state=0)
model.fit(texts).save(sys.argv[1])
"""
PREDICT = """
import sys
from rnnkit import runtime
runtime.load(sys.argv[1]).predict_next(["the company"], k=5)
"""
SCRIPTS = {
    "numpy": "import numpy",
    "rnnkit": PREDICT,
    "torch": "import torch",
    "onnxruntime": "import onnxruntime",
}


def run(plan: Plan) -> Iterator[Row]:
    """Whole processes in turn; `rnnkit` imports the runtime, loads and predicts."""
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder, "model.rnn"))
        _python(FIT, model)
        times = in_turn(
            [
                Task(name, lambda script=script: _python(script, model))
                for name, script in SCRIPTS.items()
            ],
            plan.n_rounds,
            sample_seconds=0.0,
        )
    row = Row("start", "first prediction", times=times)
    for name in SCRIPTS:
        row.columns[f"{name} s"] = f"{row.median(name):.3f}"
    extra = float(np.median(times["rnnkit"] - times["numpy"]))
    late = missed(-extra, -targets.START_SECONDS).replace("<-", ">")
    row.columns["beyond numpy s"] = f"{extra:.3f}{late}"
    row.facts["beyond_numpy"] = extra
    yield row
    yield _sizes()


def _python(script: str, model: str) -> None:
    subprocess.run([sys.executable, "-c", script, model], check=True)


def _sizes() -> Row:
    """Megabytes of each package with all that it needs at run time."""
    sizes = {name: installed_mb(name) for name in ("rnnkit", "torch", "onnxruntime")}
    share = sizes["rnnkit"] / sizes["torch"]
    large = missed(-share, -targets.INSTALLED).replace("<-", ">")
    row = Row("start", "installed size")
    row.columns = {f"{name} MB": f"{size:.0f}" for name, size in sizes.items()}
    row.columns["of torch"] = f"{share:.2f}{large}"
    row.facts["megabytes"] = sizes
    return row


def installed_mb(name: str) -> float:
    """Size of a package and of its dependencies as they are installed."""
    return sum(_files_size(each) for each in with_dependencies(name)) / 1e6


def with_dependencies(name: str) -> set[str]:
    """A package and what it needs, by normal name; extras are left out."""
    metadata.distribution(name)  # that itself must be there
    found: set[str] = set()
    waiting = [name]
    while waiting:
        normal = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if normal in found:
            continue
        try:
            needs = metadata.requires(normal) or []
        except metadata.PackageNotFoundError:
            continue  # its marker does not hold here
        found.add(normal)
        waiting += [
            re.match(r"[\w.-]+", need)[0] for need in needs if "extra ==" not in need
        ]
    return found


def _files_size(name: str) -> int:
    """Bytes of a package's files; of one installed from its folder, of that folder."""
    package = metadata.distribution(name)
    if "editable" in (package.read_text("direct_url.json") or ""):
        folder = Path(sys.modules[name].__file__).parent
        left_out = ("__pycache__", ".c", ".pyx")
        paths = [p for p in folder.rglob("*") if not str(p).endswith(left_out)]
    else:
        paths = [Path(package.locate_file(file)) for file in package.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file())
