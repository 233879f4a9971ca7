# SPDX-License-Identifier: BSD-3-Clause
"""Write golden files: small models that every later version must load.

    python tools/make_golden.py

writes to tests/golden the models of this format version, and beside each, as JSON, what
it predicts. A file that is there is never touched: it is what an older rnnkit has
written. So this is run once for a format version, and when a model joins the list.
"""

import json
from pathlib import Path
from typing import Any

from rnnkit import RNNLanguageModel, register_cell, runtime
from rnnkit.cells import Cell, sigmoid, tanh
from rnnkit.core import FORMAT_VERSION

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
TEXTS = [
    "the small boat sails at dawn",
    "the old boat rests, and the crew sleeps",
    "at dawn the crew sails \u2014 h\u00e9, quickly!",
]
PROMPTS = ["", "the", "the crew", "an unknown word \u6eff"]
IDS = [[0, 4, 2, 4], [1, 3], [5, 0]]
ID_PROMPTS = [[], [4], [0, 4, 2]]


class Drift(Cell):
    """A cell of no package: h' = a * h + (1 - a) * tanh(...), a learned from k."""

    states = ("h", "k")
    widths = {"k": 2}  # noqa: RUF012

    def step(self, x: Any, h: Any, k: Any) -> Any:
        k = tanh(self.linear("k", x, k, width=2))
        a = sigmoid(self.linear("a", k, width=h.width))
        h = a * h + (1.0 - a) * tanh(self.linear("g", x, h))
        return h, h, k


MODELS: dict[str, dict[str, Any]] = {
    "lstm-word": {},
    "gru-char-tied": {"cell": "gru", "tokenizer": "char", "tie_weights": True},
    "rnn-byte": {"cell": "rnn", "tokenizer": "byte", "hidden_size": 3},
    "lstm-whitespace-adaptive": {
        "tokenizer": "whitespace", "head": "adaptive", "cutoffs": [4, 9],
    },
    "gru-ids-sampled": {
        "cell": "gru", "tokenizer": None, "vocabulary": 6, "head": "sampled",
        "n_samples": 3,
    },
    "lstm-zoneout": {"num_layers": 2, "zoneout": {"h": 0.25, "c": 0.5}},
    "gru-projection-float64": {
        "cell": "gru", "projection": True, "tie_weights": True, "embedding_size": 3,
        "dtype": "float64", "zoneout": 0.125,
    },
    "plugin-cell": {"cell": "drift", "tokenizer": "char"},
    "lstm-solver": {"carry_state": True, "average": True},
    "lstm-int8": {
        "tokenizer": "char", "num_layers": 2, "head": "adaptive", "cutoffs": [4, 9],
    },
}  # fmt: skip


def write(name: str, params: dict[str, Any]) -> None:
    """Train a model, write it, and what it predicts."""
    settings = {"hidden_size": 4, "max_iter": 3, "batch_size": 2, "random_state": 0}
    lm = RNNLanguageModel(**settings | {"learning_rate_init": 0.03} | params)
    texts = TEXTS if lm.tokenizer else IDS
    lm.partial_fit(texts) if name == "lstm-solver" else lm.fit(texts)
    path = GOLDEN / f"v{FORMAT_VERSION}-{name}.rnn"
    lm.quantize().save(path) if "int8" in name else lm.save(path, solver_state=True)
    model = runtime.load(path)
    prompts = PROMPTS if lm.tokenizer else ID_PROMPTS
    expected = {
        "prompts": prompts,
        "probabilities": model.predict_next_proba(prompts).round(8).tolist(),
        "texts": texts,
        "scores": model.score_samples(texts).round(8).tolist(),
    }
    path.with_suffix(".json").write_text(json.dumps(expected) + "\n", "utf-8")


def main() -> None:
    """Write what is not there yet."""
    GOLDEN.mkdir(exist_ok=True)
    register_cell("drift", Drift)
    for name, params in MODELS.items():
        path = GOLDEN / f"v{FORMAT_VERSION}-{name}.rnn"
        if not path.exists():
            write(name, params)
            print(path.name)


if __name__ == "__main__":
    main()
