# SPDX-License-Identifier: BSD-3-Clause
"""A thousand damaged model files through the C library, under the sanitizers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from test_storage_fuzz import (  # noqa: E402
    another_word,
    files,
    flipped,
    recombined,
    repaired,
    truncated,
)

__all__ = ["files"]

N_FILES = 1000
PROGRAM = r"""
#include <rnnkit.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    int n_loaded = 0;
    for (int i = 1; i < argc; i++) {
        rnnkit_model *model;
        rnnkit_stream *stream;
        rnnkit_generation how = RNNKIT_GENERATION;
        const float *log_p;
        int32_t ids[50];
        double total = 0;
        size_t n;
        if (rnnkit_model_load(&model, argv[i], NULL))
            continue;
        n_loaded++;
        if (!rnnkit_stream_create(&stream, model, 2, NULL)) {
            rnnkit_stream_feed_text(stream, "the cat", 7, NULL);
            rnnkit_stream_predict(stream, &log_p, NULL);
            rnnkit_stream_score_text(stream, "the dog", 7, &total, &n, NULL);
            rnnkit_stream_generate(stream, &how, ids, &n, NULL);
            rnnkit_stream_free(stream);
        }
        rnnkit_model_free(model);
    }
    printf("%d\n", n_loaded);
    return 0;
}
"""


def test_no_damaged_file_is_a_fault(files: list[bytes], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    damages = [flipped, truncated, another_word, recombined]
    paths = [tmp_path / f"{i}.rnn" for i in range(N_FILES)]
    for i, path in enumerate(paths):
        path.write_bytes(repaired(damages[i % 4](files, rng)))
    (tmp_path / "main.c").write_text(PROGRAM)
    sources = [str(path) for path in sorted((ROOT / "csrc").glob("*/*.c"))]
    flags = ["-std=c11", "-O1", "-g", "-w", "-fsanitize=address,undefined"]
    flags += ["-fno-sanitize-recover=all", f"-I{ROOT}/csrc", f"-I{ROOT}/include"]
    program = [*sources, str(tmp_path / "main.c"), "-lm", "-o", str(tmp_path / "main")]
    try:
        subprocess.run(["cc", *flags, *program], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the compiler has no sanitizers")
    command = [str(tmp_path / "main"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    assert 0 < int(done.stdout) < N_FILES - 200
