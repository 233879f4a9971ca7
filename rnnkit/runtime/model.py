# SPDX-License-Identifier: BSD-3-Clause
"""A trained language model: predict, score, generate, stream."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from rnnkit.core import Weights
from rnnkit.model import Network, NetworkConfig, int8_values
from rnnkit.runtime import scoring
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.encoder import Encoder
from rnnkit.runtime.options import Options
from rnnkit.runtime.predictor import Predictor
from rnnkit.runtime.rows import ModelRows
from rnnkit.runtime.scorer import NetworkScorer
from rnnkit.runtime.stream import Stream
from rnnkit.runtime.sweep import Engine, Step


@dataclass(frozen=True)
class Facts:
    """Where a model comes from; kept for `describe` and for its file.

    Attributes
    ----------
    cell : dict
        Name, package, version and parameters of the cell.
    parameters : dict
        The estimator's parameters, as far as a file can hold them.
    history : dict
        What training has given, as in `rnnkit.training.history`.
    """

    cell: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)


class LanguageModel(NetworkScorer, Predictor):
    """A network with its weights and its vocabulary.

    Never changes after it is made: any number of threads may use one at a time.

    Parameters
    ----------
    network : Network
        The programs.
    weights : Weights
        What was learned; nobody else may write to them.
    encoder : Encoder
        Text to ids and back.
    options : Options, optional
        How to read what is given.
    facts : Facts, optional
        Where it comes from.

    Attributes
    ----------
    engine : Engine
        Network and weights, ready to run.
    """

    def __init__(
        self,
        network: Network,
        weights: Weights,
        encoder: Encoder,
        options: Options | None = None,
        facts: Facts | None = None,
    ) -> None:
        self.network = network
        self.encoder = encoder
        self.options = options or Options()
        self.facts = facts or Facts()
        self.engine = Engine(network, weights)

    @classmethod
    def from_values(
        cls,
        config: NetworkConfig,
        values: Mapping[str, np.ndarray],
        encoder: Encoder,
        options: Options | None = None,
        facts: Facts | None = None,
    ) -> "LanguageModel":
        """Make a model from plain arrays under their full names."""
        network = Network(config)
        return cls(network, network.weights(values), encoder, options, facts)

    def with_facts(self, facts: Facts) -> "LanguageModel":
        """Return the same model, sharing all that is large, with other facts."""
        return self._sharing(facts=facts)

    def __reduce__(self) -> tuple[Any, ...]:
        config, values = self.network.config, dict(self.params)
        arguments = (config, values, self.encoder, self.options, self.facts)
        return LanguageModel.from_values, arguments

    # ------------------------------------------------------------------- what it is

    @property
    def weights(self) -> Weights:
        """The core's weights; only to be read."""
        return self.engine.weights

    @cached_property
    def params(self) -> Mapping[str, np.ndarray]:
        """Every parameter as a plain array under its full name; read only.

        A matrix of int8 is its codes, with the scales of its rows as NAME.scale.
        """
        values = self.network.values(self.weights)
        for value in values.values():
            value.flags.writeable = False
        return MappingProxyType(values)

    @property
    def n_parameters(self) -> int:
        """How many numbers were learned."""
        return sum(int(np.prod(p.shape)) for p in self.network.parameters)

    def describe(self) -> dict[str, Any]:
        """Return the main facts by name, as far as they are known."""
        config, facts = self.network.config, self.facts
        tokenizer, _ = self.encoder.describe()
        history = {k: v for k, v in facts.history.items() if not k.endswith("curve")}
        curves = (k for k in facts.history if k.endswith("curve") and facts.history[k])
        return {
            "cell": facts.cell.get("name"),
            "cell_parameters": facts.cell.get("parameters"),
            "cell_package": facts.cell.get("distribution"),
            "tokenizer": tokenizer.get("name"),
            "tokenizer_package": tokenizer.get("distribution"),
            "vocab_size": config.vocab_size,
            "embedding_size": config.embedding_size,
            "hidden_size": config.top_width,
            "num_layers": config.num_layers,
            "tie_weights": config.tie_weights,
            "projection": config.projection,
            "head": config.head.kind,
            "zoneout": dict(config.zoneout) or None,
            "dtype": config.dtype,
            "int8": config.int8,
            "n_parameters": self.n_parameters,
            "carry_state": self.options.carry_state,
            **history,
            **{name.replace("_curve", ""): facts.history[name][-1] for name in curves},
        }

    # ---------------------------------------------------------------- what it becomes

    def quantize(self, X: Iterable[Any] | None = None) -> "LanguageModel":
        """Return the same model with matrices of int8: small, fast, a little worse.

        Each row of a matrix, the embedding's too, becomes codes from -127 to 127 and a
        scale. It takes a quarter of the memory, and one token alone a small part of the
        time; what is multiplied with it is rounded to 8 bits as well. It predicts,
        scores, generates and streams in float32, and does not train.

        Parameters
        ----------
        X : iterable of str, optional
            Documents that neither model was trained on: their perplexity with the
            weights of before and with those of int8 is printed.

        Raises
        ------
        ParameterError
            The weights are int8 already.
        """
        config, values = int8_values(self.network, self.params)
        small = LanguageModel.from_values(
            config, values, self.encoder, self.options, self.facts
        )
        if X is not None:
            corpus = self.encoder.encode(self._read(X))
            before, after = self._perplexity(corpus), small._perplexity(corpus)
            print(
                f"perplexity: {before:.2f} with {self.network.config.dtype}, "
                f"{after:.2f} with int8 ({after / before - 1:+.2%})"
            )
        return small

    def _perplexity(self, corpus: Corpus) -> float:
        carry_state = self.options.carry_state
        log_likelihood = self._log_likelihood(corpus, carry_state=carry_state)
        return scoring.perplexity(-float(log_likelihood.mean()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file; see `rnnkit.runtime.save`."""
        from rnnkit.runtime.files import save

        save(self, path)

    # ------------------------------------------------------------- what it is asked

    def _steps(
        self, corpus: Corpus, *, carry_state: bool, n_threads: int
    ) -> Iterator[Step]:
        end_id = self.encoder.end_id
        return self.engine.sweep(
            corpus.inputs(end_id),
            corpus.targets(end_id).ids,
            carry_state=carry_state,
            n_threads=n_threads,
        )

    def transform(self, X: Iterable[Any]) -> np.ndarray:
        """Return the mean of the top layer over each document, (n_documents, H)."""
        return scoring.mean_outputs(
            self.engine,
            self.encoder.encode(self._read(X)),
            self.encoder.end_id,
            carry_state=self.options.carry_state,
            n_threads=self.n_threads,
        )

    def _next(self, prompts: Corpus) -> np.ndarray:
        return scoring.next_log_probabilities(
            self.engine, prompts, self.encoder.end_id, n_threads=self.n_threads
        )

    def _rows(self, prompts: Sequence[np.ndarray]) -> ModelRows:
        return ModelRows(self.engine, prompts, self.n_threads)

    def stream(self) -> Stream:
        """Return a running text at its start: feed it, ask for the next token."""
        return Stream(self.engine, self.encoder, self.n_threads)
