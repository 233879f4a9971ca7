# SPDX-License-Identifier: BSD-3-Clause
"""A thousand damaged model files through both doors, under the sanitizers.

    pytest tests/long/test_model_files.py

C programs load each file by its name and from memory; Python loads it as a runtime and
as an estimator, with the extension built for the sanitizers as well.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from test_storage_fuzz import DAMAGES, files, repaired  # noqa: E402

__all__ = ["files"]

N_FILES = 1000
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
C_DOOR = r"""
#include <rnnkit.h>
#include <stdio.h>
#include <stdlib.h>
static void predict(rnnkit_model *model)
{
    rnnkit_stream *stream;
    rnnkit_generation how = RNNKIT_GENERATION;
    const float *log_p;
    int32_t ids[50];
    double total = 0;
    size_t n;
    if (!rnnkit_stream_create(&stream, model, 2, NULL)) {
        rnnkit_stream_feed_text(stream, "the cat", 7, NULL);
        rnnkit_stream_predict(stream, &log_p, NULL);
        rnnkit_stream_score_text(stream, "the dog", 7, &total, &n, NULL);
        rnnkit_stream_generate(stream, &how, ids, &n, NULL);
        rnnkit_stream_free(stream);
    }
    rnnkit_model_free(model);
}
static int is_read(const char *path)
{
    static char data[1 << 20];
    rnnkit_model *model;
    FILE *file = fopen(path, "rb");
    size_t n_bytes = fread(data + 1, 1, sizeof data - 1, file);
    fclose(file);
    char *copy = malloc(n_bytes + 1); /* so that what is behind the end is seen */
    for (size_t i = 0; i < n_bytes; i++)
        copy[i + 1] = data[i + 1];
    int failed = rnnkit_model_read(&model, copy + 1, n_bytes, NULL);
    free(copy);
    if (!failed)
        predict(model);
    return !failed;
}
int main(int argc, char **argv)
{
    int n_loaded = 0;
    for (int i = 1; i < argc; i++) {
        rnnkit_model *model;
        int failed = rnnkit_model_load(&model, argv[i], NULL);
        if (!failed)
            predict(model);
        if (is_read(argv[i]) != !failed)
            return 1;
        n_loaded += !failed;
    }
    printf("%d\n", n_loaded);
    return 0;
}
"""
PYTHON_DOOR = """
import sys
import rnnkit
from rnnkit import runtime
from rnnkit.errors import RnnkitError
n_loaded = 0
for path in sys.argv[1:]:
    try:
        model = runtime.load(path)
        n_loaded += 1
        model.predict_next_proba("the")
        model.stream().feed("the cat").predict_next(3)
        rnnkit.load(path).partial_fit(["the cat sat", "the dog"])
    except RnnkitError:
        pass
print(rnnkit.core._core.__file__, n_loaded)
"""


@pytest.fixture(scope="module")
def paths(files: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Files of each kind of damage; of every fifth the checksum is left as it is."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("damaged")
    paths = [folder / f"{i}.rnn" for i in range(N_FILES)]
    for i, path in enumerate(paths):
        data = DAMAGES[i % len(DAMAGES)](files, rng)
        path.write_bytes(data if i // len(DAMAGES) % 5 == 0 else repaired(data))
    return [str(path) for path in paths]


def test_no_damaged_file_is_a_fault_in_c(paths: list[str], tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(C_DOOR)
    sources = [str(path) for path in sorted((ROOT / "csrc").glob("*/*.c"))]
    flags = ["-std=c11", "-O1", "-g", "-w", *SANITIZERS]
    flags += [f"-I{ROOT}/csrc", f"-I{ROOT}/include"]
    program = [*sources, str(tmp_path / "main.c"), "-lm", "-o", str(tmp_path / "main")]
    try:
        subprocess.run(["cc", *flags, *program], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the compiler has no sanitizers")
    done = subprocess.run(
        [str(tmp_path / "main"), *paths], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:4000]
    print(f"{done.stdout.strip()} of {N_FILES} files load in C")
    assert 100 < int(done.stdout) < N_FILES - 200


def test_no_damaged_file_is_a_fault_in_python(paths: list[str], tmp_path: Path) -> None:
    environment = os.environ | {"CFLAGS": " ".join(["-O1 -g -w", *SANITIZERS])}
    environment |= {"LDFLAGS": "-fsanitize=address,undefined"}
    build = [sys.executable, "setup.py", "-q", "build_ext"]
    build += ["--build-lib", str(tmp_path / "lib"), "--build-temp", str(tmp_path)]
    try:
        subprocess.run(
            build, cwd=ROOT, env=environment, check=True, capture_output=True
        )
        preload = " ".join(library(name) for name in ("libasan.so", "libubsan.so"))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the compiler has no sanitizers")
    core = tmp_path / "lib" / "rnnkit" / "core"
    for path in (ROOT / "rnnkit").rglob("*.py"):
        target = tmp_path / "lib" / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    environment = os.environ | {
        "LD_PRELOAD": preload,
        "PYTHONPATH": f"{core.parents[1]}",
    }
    environment |= {"ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
    done = subprocess.run(
        [sys.executable, "-c", PYTHON_DOOR, *paths],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    module, n_loaded = done.stdout.rsplit(maxsplit=1)
    assert Path(module).parent == core
    print(f"{n_loaded} of {N_FILES} files load in Python")
    assert 20 < int(n_loaded) < N_FILES - 200


def library(name: str) -> str:
    """Where the compiler has one of its libraries."""
    command = ["cc", f"-print-file-name={name}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()
