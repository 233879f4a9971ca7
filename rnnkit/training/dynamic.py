# SPDX-License-Identifier: BSD-3-Clause
"""Dynamic evaluation: weights that go on learning from the text they are tested on.

It stands in training because it needs what training has, gradients of windows; what it
gives is a `Scorer` like those of the runtime.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Self

import numpy as np

from rnnkit.core import State, Window
from rnnkit.errors import InputError, NonFiniteError, ParameterError
from rnnkit.model import Head, Network
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.model import LanguageModel
from rnnkit.runtime.requests import check_integer, check_real
from rnnkit.runtime.scorer import NetworkScorer, unwrapped
from rnnkit.runtime.sweep import Step
from rnnkit.training.windows import Windows

SEGMENT = 5  # tokens; rates and decays below are for segments of so many
RATES, DECAYS = (3e-5, 5e-5, 1e-4), (1e-3, 2e-3, 5e-3)
RUN_AWAY = 100.0  # nats a token, which no weights reach that still predict
PLAIN_RATES, PLAIN_DECAYS = (0.01, 0.03, 0.1, 0.3), (0.0, 1e-2)


class DynamicEvaluation(NetworkScorer):
    """A model whose weights adapt while it reads (Krause et al., 2018).

    A text is cut into segments. Each is scored first; then the weights make a step::

        w += decay * R * (w_0 - w) - learning_rate * g / (S + epsilon)

    with w_0 the model's weights and g the gradient of the segment's mean loss. With
    `rms`, S is the root mean square of each weight's gradient in training, and R is S
    divided by its mean (the mean of the tensors' means), at most 1 / decay. Without,
    the step is plain SGD: S + epsilon and R are 1. The weights start anew with each
    call and, without `carry_state`, with each document; the model itself never changes.

    Parameters
    ----------
    model : LanguageModel, or a fitted estimator
    learning_rate : float
        With `rms` about 5e-5, without about 0.1; `tuned` chooses it.
    decay : float, default=0.0
        How fast the weights go back to their first values, 0 to 1; with `rms` 1e-3 to
        5e-3 for segments of 5 tokens.
    rms : mapping of str to array, optional
        What `gradient_rms` gives for a training text.
    segment : int, default=5
        Tokens between steps. Longer ones are faster, and want a larger
        `learning_rate` and `decay`.
    epsilon : float, default=2e-5
        Keeps steps of weights that hardly learned in bounds.
    max_grad_norm : float or None, default=None
        Clip a segment's gradient to this norm over all parameters, which keeps a rare
        one from carrying the weights away; None, as in the paper: do not.

    Raises
    ------
    InputError
        `rms` is not of this model.
    ParameterError
        A number is out of range.
    """

    def __init__(
        self,
        model: Any,
        *,
        learning_rate: float,
        decay: float = 0.0,
        rms: Mapping[str, np.ndarray] | None = None,
        segment: int = SEGMENT,
        epsilon: float = 2e-5,
        max_grad_norm: float | None = None,
    ) -> None:
        self.model = unwrapped(model, LanguageModel)
        self.model.network.config.require_reals("dynamic evaluation")
        self.learning_rate = check_real("learning_rate", learning_rate, 0.0)
        self.decay = check_real("decay", decay, 0.0, 1.0)
        self.segment = check_integer("segment", segment, 1)
        if not check_real("epsilon", epsilon, 0.0) > 0.0:
            raise ParameterError("epsilon=0; allowed: a number > 0")
        self.epsilon = float(epsilon)
        self.max_grad_norm = math.inf
        if max_grad_norm is not None:
            self.max_grad_norm = check_real("max_grad_norm", max_grad_norm, 0.0)
        self.rms = None if rms is None else _checked(rms, self.model)
        self.encoder = self.model.encoder
        self.options = self.model.options
        self.network = _learner(self.model.network)

    @classmethod
    def tuned(
        cls,
        model: Any,
        X: Iterable[Any],
        *,
        rms: Mapping[str, np.ndarray] | None = None,
        segment: int = SEGMENT,
        max_grad_norm: float | None = None,
        learning_rates: Sequence[float] | None = None,
        decays: Sequence[float] | None = None,
    ) -> Self:
        """Return what scores best on a validation text; see `grid`."""
        rates, pulls = _grid(rms, segment, learning_rates, decays)
        settings: dict[str, Any] = {
            "rms": rms, "segment": segment, "max_grad_norm": max_grad_norm
        }  # fmt: skip
        scores = cls.grid(model, X, learning_rates=rates, decays=pulls, **settings)
        if not np.isfinite(scores).any():
            raise NonFiniteError(
                f"the weights run away with any of learning_rates={list(rates)}: "
                "try smaller ones"
            )
        i, j = map(int, np.unravel_index(int(scores.argmax()), scores.shape))
        return cls(model, learning_rate=rates[i], decay=pulls[j], **settings)

    @classmethod
    def grid(
        cls,
        model: Any,
        X: Iterable[Any],
        *,
        rms: Mapping[str, np.ndarray] | None = None,
        segment: int = SEGMENT,
        max_grad_norm: float | None = None,
        learning_rates: Sequence[float] | None = None,
        decays: Sequence[float] | None = None,
    ) -> np.ndarray:
        """Return the score of every combination; each is a pass of its own.

        Parameters
        ----------
        model : LanguageModel, or a fitted estimator
        X : iterable of str
            A validation text; not the one that is reported on.
        rms, segment, max_grad_norm
            As in the constructor.
        learning_rates, decays : sequences of float, optional
            What is tried. By default, for segments of 5 tokens and growing with them:
            with `rms` 3e-5, 5e-5, 1e-4 and 1e-3, 2e-3, 5e-3 (about those of the paper),
            without it 0.01, 0.03, 0.1, 0.3 and 0, 1e-2.

        Returns
        -------
        (len(learning_rates), len(decays)) array
            Mean log-likelihoods per token; -inf where the weights ran away.
        """
        rates, pulls = _grid(rms, segment, learning_rates, decays)
        found = [
            cls(
                model,
                learning_rate=rate,
                decay=pull,
                rms=rms,
                segment=segment,
                max_grad_norm=max_grad_norm,
            )
            for rate in rates
            for pull in pulls
        ]
        documents = found[0]._read(X)
        corpus = found[0].encoder.encode(documents)
        scores = [dynamic._mean_score(corpus) for dynamic in found]
        return np.reshape(scores, (len(rates), len(pulls)))

    def _mean_score(self, corpus: Corpus) -> float:
        try:
            scores = self._log_likelihood(corpus, carry_state=self.options.carry_state)
        except NonFiniteError:
            return -math.inf
        return float(scores.mean())

    def _steps(
        self, corpus: Corpus, *, carry_state: bool, n_threads: int
    ) -> Iterator[Step]:
        inputs = corpus.inputs(self.encoder.end_id)
        targets = corpus.targets(self.encoder.end_id)
        reader = _Reader(self, self.network, n_threads)
        bounds = [0, len(targets.ids)] if carry_state else targets.offsets
        for first, last in pairwise(bounds):
            reader.restart()
            for start in range(first, last, self.segment):
                here = slice(start, min(start + self.segment, last))
                window = reader.read(inputs.ids[here], targets.ids[here])
                yield Step(window, np.arange(here.start, here.stop)[:, None])
                if here.stop < last:
                    reader.learn()


class _Reader:
    """Weights of its own that move with what is read."""

    def __init__(
        self, settings: DynamicEvaluation, network: Network, n_threads: int
    ) -> None:
        self._network = network
        self._n_threads = n_threads
        self._first = [settings.model.params[p.name] for p in network.parameters]
        self._rates, self._pulls = _steps(settings, network)
        self._max_grad_norm = settings.max_grad_norm
        self._weights = network.weights(settings.model.params)
        programs = network.programs(training=True)
        n_steps = settings.segment
        self._window = Window(self._weights, programs, n_steps, 1, training=True)

    def restart(self) -> None:
        """Go back to the model's weights, and to the start of a text."""
        self._values = [value.copy() for value in self._first]
        for i, value in enumerate(self._values):
            self._weights.set(i, value)
        self._state = State(self._weights, self._network.programs(), 1)

    def read(self, ids: np.ndarray, targets: np.ndarray) -> Window:
        """Score a segment with the weights as they are."""
        loss, _ = self._window.forward(
            ids[:, None].copy(),
            self._state,
            targets=targets[:, None].copy(),
            n_threads=self._n_threads,
        )
        if not loss < RUN_AWAY:
            raise NonFiniteError(
                f"the adapted weights ran away, to a loss of {loss:.4g} nats a token: "
                "use a smaller learning_rate, more decay, or a max_grad_norm"
            )
        return self._window

    def learn(self) -> None:
        """Make a step with the gradient of what was read last."""
        self._window.backward(n_threads=self._n_threads)
        for i, step in enumerate(self._clipped_gradients()):
            value, parameter = self._values[i], self._network.parameters[i]
            # Steps that are too large are told of when the loss is.
            with np.errstate(over="ignore", invalid="ignore"):
                step *= self._rates[i]
                if self._pulls is not None:
                    step += self._pulls[i] * (value - self._first[i])
                value -= step
            if parameter.limits is not None:
                np.clip(value, *parameter.limits, out=value)
            self._weights.set(i, value)

    def _clipped_gradients(self) -> list[np.ndarray]:
        found = [self._window.gradient(i) for i in range(len(self._values))]
        if self._max_grad_norm < math.inf:
            norm = math.sqrt(sum(float(np.vdot(g, g)) for g in found))
            for gradient in found if norm > self._max_grad_norm else ():
                gradient *= self._max_grad_norm / norm
        return found


def _steps(
    settings: DynamicEvaluation, network: Network
) -> tuple[list[Any], list[Any] | None]:
    """Return the factors of gradients, and of distances from the first weights."""
    decay, n = settings.decay, len(network.parameters)
    if settings.rms is None:
        return [settings.learning_rate] * n, [decay] * n if decay else None
    rms = [settings.rms[p.name] for p in network.parameters]
    rates = [settings.learning_rate / (s + s.dtype.type(settings.epsilon)) for s in rms]
    if not decay:
        return rates, None
    mean = np.mean([s.mean() for s in rms])
    return rates, [np.minimum(decay * (s / mean), 1.0).astype(s.dtype) for s in rms]


def gradient_rms(
    model: Any, X: Iterable[Any], *, batch_size: int = 100, bptt: int = 5
) -> dict[str, np.ndarray]:
    """Return the root mean square of each weight's gradient over a training text.

    Parameters
    ----------
    model : LanguageModel, or a fitted estimator
        Is not changed.
    X : iterable of str
        Documents, as in `score`; those that the model was trained on.
    batch_size : int, default=100
        Streams that a gradient is the mean of; a short text makes fewer.
    bptt : int, default=5
        Steps that a gradient goes back, as many as a segment of `DynamicEvaluation`.

    Returns
    -------
    dict of str to array
        By parameter, in the shapes of `params`.
    """
    model = unwrapped(model, LanguageModel)
    model.network.config.require_reals("gradient_rms")
    network = _learner(model.network)
    weights = network.weights(model.params)
    corpus = model.encoder.encode(model._read(X)).targets(model.encoder.end_id)
    carry_state = model.options.carry_state
    windows = Windows(
        corpus,
        batch_size=check_integer("batch_size", batch_size, 1),
        bptt=check_integer("bptt", bptt, 1),
        carry_state=carry_state,
    )
    programs = network.programs(training=True, flags=not carry_state)
    window = Window(weights, programs, bptt, windows.n_streams, training=True)
    state = State(weights, network.programs(), windows.n_streams)
    squares = [np.zeros(p.shape) for p in network.parameters]
    for batch in windows.epoch():
        window.forward(
            batch.ids,
            state,
            targets=batch.targets,
            target_weights=batch.weights,
            resets=batch.resets,
            n_threads=model.n_threads,
        )
        window.backward(n_threads=model.n_threads)
        for i, square in enumerate(squares):
            square += np.square(window.gradient(i), dtype=np.float64)
    dtype = network.config.dtype
    return {
        p.name: np.sqrt(square / windows.n_windows).astype(dtype)
        for p, square in zip(network.parameters, squares, strict=True)
    }


def _learner(network: Network) -> Network:
    """Return the network whose loss is exact: a sampled head's is among a sample."""
    if network.config.head.kind != "sampled":
        return network
    return Network(replace(network.config, head=Head()))


def _grid(
    rms: Mapping[str, np.ndarray] | None,
    segment: int,
    learning_rates: Sequence[float] | None,
    decays: Sequence[float] | None,
) -> tuple[Sequence[float], Sequence[float]]:
    """Return what to try, where nothing is given what suits segments of this length."""
    usual = (PLAIN_RATES, PLAIN_DECAYS) if rms is None else (RATES, DECAYS)
    longer = check_integer("segment", segment, 1) / SEGMENT
    rates, pulls = (tuple(value * longer for value in values) for values in usual)
    chosen = (
        rates if learning_rates is None else learning_rates,
        tuple(min(pull, 1.0) for pull in pulls) if decays is None else decays,
    )
    for name, values in zip(("learning_rates", "decays"), chosen, strict=True):
        if not len(values):
            raise ParameterError(f"{name} is empty; allowed: one value or more")
    return chosen


def _checked(
    rms: Mapping[str, np.ndarray], model: LanguageModel
) -> dict[str, np.ndarray]:
    """Return statistics that fit a model, in its dtype."""
    found = {}
    for name, value in model.params.items():
        if name not in rms:
            raise InputError(f"rms has no {name!r}; allowed: what gradient_rms gives")
        array = np.asarray(rms[name], value.dtype)
        if array.shape != value.shape:
            raise InputError(
                f"rms[{name!r}] has the shape {array.shape}, the model's weight "
                f"{value.shape}; it must come from this model"
            )
        if not (np.isfinite(array).all() and (array >= 0.0).all()):
            raise InputError(f"rms[{name!r}] holds a value that is not finite or < 0")
        found[name] = array
    if not any(array.any() for array in found.values()):
        raise InputError("rms is 0 everywhere: no gradient was seen")
    return found
