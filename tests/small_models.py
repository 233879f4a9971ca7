# SPDX-License-Identifier: BSD-3-Clause
"""Models small enough for a NumPy reading of the same network, document by document."""

import numpy as np

from rnnkit.cells import GRU, LSTM
from rnnkit.compiler import trace
from rnnkit.model import Network, NetworkConfig
from rnnkit.runtime import LanguageModel, Options
from rnnkit.runtime.encoder import IdEncoder, TextEncoder
from rnnkit.testing import reference
from rnnkit.tokenizers import Tokenizer

N_IDS = 6  # and the end of a document
# Training at one rate and without masks, in which two passes are a fit of two epochs.
PLAIN = {
    "dropout": 0.0,
    "learning_rate": "constant",
    "learning_rate_init": 1e-3,
    "max_grad_norm": 5.0,
    "alpha": 0.0,
}
LENGTHS = (0, 1, 3, 17, 65, 2, 0, 30)


def make_model(dtype: str = "float64", **options: object) -> LanguageModel:
    """Two layers of unequal cells with weights large enough to make a difference."""
    graphs = (trace(LSTM(), 3, 5), trace(GRU(), 5, 4))
    config = NetworkConfig(N_IDS + 1, 3, graphs, dtype=dtype)
    network = Network(config)
    rng = np.random.default_rng(3)
    values = {p.name: rng.normal(size=p.shape) for p in network.parameters}
    return LanguageModel.from_values(
        config, values, IdEncoder(N_IDS), Options(**{"n_threads": 1, **options})
    )


def make_documents(lengths: tuple[int, ...] = LENGTHS) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, N_IDS, length) for length in lengths]


def read(model: LanguageModel, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (T, H) and log-probabilities (T, V) after each of these ids, by NumPy."""
    x = model.params["embedding.weight"][ids][:, None]
    for k, graph in enumerate(model.network.config.graphs):
        names = [f"rnn.{p.name}_l{k}" for p in graph.parameters]
        parameters = [model.params[name] for name in names]
        x = reference.forward(reference.Window(graph, parameters, x)).outputs
    logits = x @ model.params["output.weight"].T + model.params["output.bias"]
    norm = np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return x[:, 0], (logits - norm)[:, 0]


def log_likelihood(model: LanguageModel, document: np.ndarray) -> float:
    _, log_p = read(model, np.array([N_IDS, *document]))
    return float(sum(log_p[t, token] for t, token in enumerate([*document, N_IDS])))


def make_text_model(
    tokenizer: Tokenizer,
    texts: list[str],
    *,
    seed: int = 3,
    name: str = "test",
    **options: object,
) -> LanguageModel:
    """One layer over the vocabulary of these texts, with large random weights."""
    tokenizer.fit(texts)
    config = NetworkConfig(
        tokenizer.n_tokens, 3, (trace(GRU(), 3, 5),), dtype="float64"
    )
    rng = np.random.default_rng(seed)
    parameters = Network(config).parameters
    values = {p.name: rng.normal(size=p.shape) for p in parameters}
    encoder = TextEncoder(tokenizer, {"name": name, "distribution": None})
    return LanguageModel.from_values(
        config, values, encoder, Options(**{"n_threads": 1, **options})
    )
