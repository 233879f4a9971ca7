# SPDX-License-Identifier: BSD-3-Clause
"""The recurrent language model as a scikit-learn estimator."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from rnnkit.core import Weights
from rnnkit.errors import ParameterError
from rnnkit.estimators.checks import (
    check_nested,
    check_parameters,
    check_sample_weight,
    check_values,
)
from rnnkit.estimators.components import (
    cell_record,
    make_encoder,
    storable_parameters,
)
from rnnkit.estimators.growth import with_encoder
from rnnkit.estimators.prediction import PredictionMixin
from rnnkit.estimators.settings import equations, network_config, training_config
from rnnkit.estimators.vectors import Vectors
from rnnkit.interchange.c_export import export_c
from rnnkit.interchange.onnx_export import export_onnx
from rnnkit.interchange.pytorch import to_torch_state_dict
from rnnkit.model import Network
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.encoder import Encoder
from rnnkit.runtime.files import record_of
from rnnkit.runtime.model import Facts, LanguageModel
from rnnkit.runtime.sampling import seed_from
from rnnkit.runtime.scoring import Evaluation, evaluate
from rnnkit.runtime.sweep import Engine
from rnnkit.storage.model_file import SolverRecord, save_model
from rnnkit.training.checkpoints import Checkpoints, seed_of_run
from rnnkit.training.config import TrainingConfig
from rnnkit.training.history import History
from rnnkit.training.schedules import TIMED
from rnnkit.training.split import hold_out
from rnnkit.training.trainer import Trainer, Validate
from rnnkit.training.windows import Windows

INITIAL_VALUES, HELD_OUT = 0, 1  # what a seed's streams of random numbers are for


class RNNLanguageModel(PredictionMixin, BaseEstimator):
    """A recurrent language model: learns from texts to predict the next token.

    Parameters
    ----------
    cell : str or Cell, default="lstm"
        The recurrent cell: a name ("rnn", "lstm", "gru" or a plugin's) or an instance,
        whose parameters are then reached as `cell__name`.
    tokenizer : str, Tokenizer or None, default="word"
        What a token is: "whitespace", "word", "char", "byte", a plugin's name, or an
        instance. None: documents are sequences of integer ids.
    vocabulary : sequence or mapping of str, or int, default=None
        The tokens, in the order of their ids; learned from the text by default. Without
        a tokenizer the number of ids.
    hidden_size : int, default=128
        Units of a layer's state.
    num_layers : int, default=1
        Layers of cells, one above the other.
    embedding_size : int, default=None
        Width of an embedded token; by default that of the vectors of `embedding`, or
        `hidden_size`.
    embedding : path, mapping, array or None, default=None
        First vectors of the tokens: a file of word vectors in the text format of
        word2vec and GloVe, a mapping from tokens to vectors, or an array of one row a
        token. A token that has none there keeps the one that is drawn. `frozen`
        "embedding.weight" holds them still. A model file keeps the weights alone.
    tie_weights : bool, default=False
        Use the embedding as output weights too; not with `head` "adaptive".
    projection : bool or None, default=None
        A linear layer between the top cell and the output layer, `embedding_size` wide;
        None: where tied weights need it, because the cell's output is not as wide.
    head : str, default="softmax"
        The output layer. "softmax": over all tokens. For large vocabularies, whose ids
        must go by falling frequency, as those that a tokenizer counts do: "adaptive",
        smaller and fast in scoring too, or "sampled", which is trained on a sample of
        the tokens and scores and predicts with all. Scores are exact with each; the
        losses of training with "sampled" are those among the sample, and lower.
    cutoffs : sequence of int or None, default=None
        Of head "adaptive": the first id of each cluster of rarer tokens; None: a 25th
        and a fifth of the vocabulary.
    div_value : float, default=4.0
        Of head "adaptive": a cluster reads so many times fewer units than the one
        before it, the first one than the layer has.
    n_samples : int, default=1024
        Of head "sampled": how many tokens are drawn for each window.
    dropout : float, default=0.1
        Rate of dropout behind the embedding, between layers and before the softmax,
        where the next three do not say otherwise.
    input_dropout : float or None, default=None
        Rate of dropout behind the embedding.
    hidden_dropout : float or None, default=None
        Rate of dropout between layers.
    output_dropout : float or None, default=None
        Rate of dropout before the softmax.
    state_dropout : float, default=0.0
        Rate of dropout of the states that the cells' products read.
    embedding_dropout : float, default=0.0
        Rate of dropout of whole words from the embedding, once a window.
    weight_dropout : float, default=0.0
        Rate of dropout of the elements of the matrices that multiply states, once a
        window.
    variational : bool, default=False
        Draw masks once for each row of a window, the same at all its steps.
    zoneout : float or mapping of str to float, default=0.0
        How often, in training, a unit of a state keeps its value; of all states or by
        name, {"h": 0.05, "c": 0.5}. Part of the model: it predicts with expectations.
    activation_penalty : float, default=0.0
        Factor of the mean square of what the output layer reads, in the loss of
        training.
    temporal_activation_penalty : float, default=0.0
        Factor of the mean square of what changes in the top layer's output from step to
        step, in the loss of training.
    bptt : int, default=64
        Steps that a gradient goes back through, at most.
    variable_bptt : bool, default=False
        Draw the length of each window, as AWD-LSTM does (Merity et al., 2018): from
        N(bptt, 5) or, one in twenty, from N(bptt / 2, 5), between 5 and bptt + 20
        steps. The learning rate is multiplied by length / bptt.
    batch_size : int, default=32
        Streams of text trained side by side, at most; a short text makes fewer, so that
        each gives at least 64 windows of `bptt` steps.
    accumulate : int, default=1
        Windows whose gradients make one update together: the gradient of the mean loss
        over all their tokens, clipped after that. The state goes on from one to the
        next.
    max_iter : int, default=10
        Epochs, at most.
    max_time : float or None, default=None
        Seconds of training, at most; schedules that know the end come to it when either
        is used up. The epoch that is broken off is validated and counted. How many
        steps there are hangs on the machine then: runs are not the same to the bit.
    solver : str, default="adam"
        "sgd", "adam", "adamw" (weight decay apart from the gradient), "rmsprop" or
        "adagrad".
    learning_rate_init : float or None, default=None
        The learning rate, or the highest one where `learning_rate` changes it. None: by
        the solver 8e-3 ("adam", "adamw"), 2e-3 ("rmsprop"), 0.04 ("adagrad") or 4
        ("sgd"; times 1 - `momentum`).
    learning_rate : str, default="auto"
        "constant", "linear", "cosine" or "one_cycle" over the whole training; "auto":
        "one_cycle" in `fit`, with `early_stopping` "plateau", and "constant" in
        `partial_fit`, as far as the end is known;
        "exponential" halves it after each epoch from `decay_start` on; "plateau"
        divides by 4 after each epoch that is not the best; "adaptive" divides by 5
        after `n_iter_no_change` epochs without an improvement by `tol`.
    learning_rate_decay : float or None, default=None
        Factor of "exponential", "plateau" and "adaptive"; None: 1/2, 1/4 and 1/5.
    decay_start : int, default=1
        The epoch after which "exponential" begins.
    warmup_steps : int, default=0
        Over the first so many updates the rate rises straight up to what
        `learning_rate` says.
    momentum : float, default=0.0
        Of solver "sgd".
    nesterovs_momentum : bool, default=False
        Whether the momentum is Nesterov's.
    beta_1 : float, default=0.9
        Decay of the first moment, of solvers "adam" and "adamw".
    beta_2 : float, default=0.999
        Decay of the second moment, of solvers "adam", "adamw" and "rmsprop".
    epsilon : float, default=1e-8
        Keeps the division of all solvers but "sgd" finite.
    alpha : float or None, default=None
        Weight decay (L2) of embedding, output weights and the cells' matrices. None: 8
        divided by the number of tokens, at most 1e-3, in `fit`; 0 in `partial_fit`,
        which does not know how much text there will be; always 0.01 with "adamw".
    projection_alpha : float, default=0.0
        Further weight decay of the projection's matrix (Press & Wolf, 2017).
    augmented_loss : float, default=0.0
        Weight of a further loss in training (Inan et al., 2017): the divergence from a
        soft target, in which words like the target have a share. Only with `head`
        "softmax"; the losses that are reported do not hold it.
    augmented_temperature : float, default=10.0
        What the logits of both its distributions are divided by.
    max_grad_norm : float or None, default=1.0
        Clip the gradient to this norm over all parameters; None: do not.
    frozen : str, sequence of str, or None, default=None
        Names of `params_` that keep their values, with * for any letters; in a str
        several are parted by commas, as in "embedding.weight,rnn.*_l0". The norm of
        the gradient is that of the others.
    average : float, bool or str, default=False
        Validate and predict with the mean of the weights over steps, while training
        goes on from the weights themselves: from the first step on (True), after so
        many epochs, or, "triggered", after a validation loss above the least of those
        more than `average_patience` validations ago, as in AWD-LSTM (without a
        validation text: training losses).
    average_patience : int, default=5
        Of `average` "triggered".
    carry_state : bool, default=False
        Read the documents as one running text, in the order given, instead of each from
        the initial state; in training and in scoring.
    shuffle : bool or None, default=None
        Take the documents in a new order in each epoch; None: unless `carry_state`.
    early_stopping : bool, default=False
        Hold out a part of the text, stop when it is no longer predicted better, and
        keep the best weights.
    validation_fraction : float, default=0.1
        The part that early stopping holds out.
    validation_interval : float, default=1.0
        Epochs between two validations, at most 1: with 0.25 there are four in each
        epoch. Early stopping, "plateau", "adaptive" and `average` "triggered" look at,
        and count, each of them.
    n_iter_no_change : int, default=3
        Epochs without improvement after which early stopping stops.
    tol : float, default=1e-4
        What counts as an improvement, in nats a token.
    warm_start : bool, default=False
        Let `fit` go on from the weights and the vocabulary that there are.
    extend_vocabulary : bool, default=False
        With `warm_start`: let `fit` add the new tokens of its text to the vocabulary,
        those that the tokenizer would keep of this text; see `add_tokens`.
    input : str, default="content"
        What X holds: "content" (texts), "filename" (names of files, .gz by suffix) or
        "file" (objects with `read`).
    documents : str or None, default=None
        What is a document of a file: each "line" (by default with tokenizers of words)
        or the whole "file" (by default with those of characters and bytes).
    random_state : int, generator of NumPy's, or None, default=None
        Seed of initial values, dropout, order and held-out part. The same seed gives
        the same model, to the bit, with any number of threads.
    n_threads : int or None, default=None
        Threads of the core; None: as many as this process may use; -1: all, -2: all but
        one.
    dtype : str, default="float32"
        "float32" or "float64".
    verbose : int, default=0
        1: a line an epoch; 2: also every 10 seconds.

    Attributes
    ----------
    vocabulary_ : list
        The tokens by id; the last id of a model of ids is the end of a document.
    tokenizer_ : Tokenizer or None
        With the vocabulary that it has learned.
    params_ : mapping of str to ndarray
        Plain copies of the weights under PyTorch's names and in its shapes; read only,
        see `set_weights`.
    n_parameters_ : int
        How many numbers were learned.
    n_iter_ : int
        Epochs made.
    loss_curve_ : list of float
        Mean training loss of each epoch, in nats a token; with head "sampled" that
        among the sample.
    validation_loss_curve_ : list of float
        The same of the validation text, where there is one, at each validation.
    best_validation_score_ : float or None
        The best of these, with the sign of `score`.
    n_tokens_seen_ : int
        Tokens trained on.

    Examples
    --------
    >>> from rnnkit import RNNLanguageModel
    >>> lm = RNNLanguageModel(hidden_size=16, max_iter=20, random_state=0)
    >>> lm = lm.fit(["the cat sat on the mat"] * 50)
    >>> [token for token, probability in lm.predict_next(["the cat"], k=1)[0]]
    ['sat']
    """

    def __init__(
        self,
        cell: Any = "lstm",
        *,
        tokenizer: Any = "word",
        vocabulary: Any = None,
        hidden_size: int = 128,
        num_layers: int = 1,
        embedding_size: int | None = None,
        embedding: Any = None,
        tie_weights: bool = False,
        projection: bool | None = None,
        head: str = "softmax",
        cutoffs: Any = None,
        div_value: float = 4.0,
        n_samples: int = 1024,
        dropout: float = 0.1,
        input_dropout: float | None = None,
        hidden_dropout: float | None = None,
        output_dropout: float | None = None,
        state_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        variational: bool = False,
        zoneout: Any = 0.0,
        activation_penalty: float = 0.0,
        temporal_activation_penalty: float = 0.0,
        bptt: int = 64,
        variable_bptt: bool = False,
        batch_size: int = 32,
        accumulate: int = 1,
        max_iter: int = 10,
        max_time: float | None = None,
        solver: str = "adam",
        learning_rate_init: float | None = None,
        learning_rate: str = "auto",
        learning_rate_decay: float | None = None,
        decay_start: int = 1,
        warmup_steps: int = 0,
        momentum: float = 0.0,
        nesterovs_momentum: bool = False,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        alpha: float | None = None,
        projection_alpha: float = 0.0,
        augmented_loss: float = 0.0,
        augmented_temperature: float = 10.0,
        max_grad_norm: float | None = 1.0,
        frozen: Any = None,
        average: bool | float | str = False,
        average_patience: int = 5,
        carry_state: bool = False,
        shuffle: bool | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        validation_interval: float = 1.0,
        n_iter_no_change: int = 3,
        tol: float = 1e-4,
        warm_start: bool = False,
        extend_vocabulary: bool = False,
        input: str = "content",
        documents: str | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
        dtype: str = "float32",
        verbose: int = 0,
    ) -> None:
        self.cell = cell
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.embedding_size = embedding_size
        self.embedding = embedding
        self.tie_weights = tie_weights
        self.projection = projection
        self.head = head
        self.cutoffs = cutoffs
        self.div_value = div_value
        self.n_samples = n_samples
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.hidden_dropout = hidden_dropout
        self.output_dropout = output_dropout
        self.state_dropout = state_dropout
        self.embedding_dropout = embedding_dropout
        self.weight_dropout = weight_dropout
        self.variational = variational
        self.zoneout = zoneout
        self.activation_penalty = activation_penalty
        self.temporal_activation_penalty = temporal_activation_penalty
        self.bptt = bptt
        self.variable_bptt = variable_bptt
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.max_iter = max_iter
        self.max_time = max_time
        self.solver = solver
        self.learning_rate_init = learning_rate_init
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.decay_start = decay_start
        self.warmup_steps = warmup_steps
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.alpha = alpha
        self.projection_alpha = projection_alpha
        self.augmented_loss = augmented_loss
        self.augmented_temperature = augmented_temperature
        self.max_grad_norm = max_grad_norm
        self.frozen = frozen
        self.average = average
        self.average_patience = average_patience
        self.carry_state = carry_state
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.validation_interval = validation_interval
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.extend_vocabulary = extend_vocabulary
        self.input = input
        self.documents = documents
        self.random_state = random_state
        self.n_threads = n_threads
        self.dtype = dtype
        self.verbose = verbose

    # --------------------------------------------------------------------- learning

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        X_val: Any = None,
        sample_weight: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from documents.

        Parameters
        ----------
        X : iterable of str
            The documents, or what `input` says; sequences of int without a tokenizer.
        y : ignored
            There for scikit-learn.
        X_val : iterable of str, optional
            Documents to validate on, instead of a held-out part.
        sample_weight : (n_documents,) array, optional
            How much each document counts, beside others in the same window.
        checkpoint : path, optional
            A folder in which the run keeps what it needs to go on: after each epoch,
            and every ten minutes within one.
        resume : bool, default=False
            Go on with the newest checkpoint there, as if the run had not been broken
            off, to the bit; begin where there is none. Everything else must be as
            before; `random_state` may be None again.

        Returns
        -------
        self
            Also after Ctrl-C, with a warning: it is fitted with what it has learned.

        Raises
        ------
        ParameterError
            A parameter is out of range.
        InputError, InputTypeError
            X or X_val hold no documents.
        NonFiniteError
            The loss became NaN or infinite; the last good weights are kept.
        """
        check_parameters(self.get_params(deep=False))
        if X_val is None and not self.early_stopping:
            self._check_no_validation(
                "nothing is held out; pass X_val, or set early_stopping=True"
            )
        before = self._model if self.warm_start and hasattr(self, "_model") else None
        grows = before is not None and self.extend_vocabulary
        encoder = make_encoder(self) if before is None else before.encoder
        seed = self._seed_of_run(checkpoint, resume)
        X = encoder.read(X, self.input, self.documents, grows=grows)
        documents, held_out = X, None
        weight = check_sample_weight(sample_weight, len(documents))
        if X_val is None and self.early_stopping:
            documents, held_out, kept = self._hold_out(documents, seed)
            weight = None if weight is None else weight[kept]
        # Of ids none is unknown: those held out belong to the vocabulary as well.
        text = X if encoder.tokenizer is None else documents
        vectors = None
        if before is None:
            encoder.learn(text)
            vectors = self._vectors(encoder)
        elif grows:
            before = with_encoder(before, encoder.grown(text), self.embedding)
            encoder = before.encoder
        windows = self._windows(encoder, documents, weight)
        del X, text, documents  # from here on the ids are enough
        training = training_config(self, seed, n_tokens=windows.n_tokens)
        if before is None:
            trainer = self._new_trainer(encoder, training, vectors)
        else:
            trainer = self._trainer_from(before, training)
        if X_val is not None:
            held_out = encoder.read(X_val, self.input, self.documents)
        validate = checkpoints = unseen = None
        if held_out is not None:
            unseen = encoder.encode(held_out)
            validate = self._validation(trainer, encoder, unseen)
        if checkpoint is not None:
            identity = {**trainer.identity(windows, unseen), "embedding": str(vectors)}
            checkpoints = Checkpoints(checkpoint, identity)
        with self._publishing(trainer, encoder, goes_on=False):
            trainer.fit(windows, validate, checkpoints, resume=resume)
        return self

    def _seed_of_run(self, checkpoint: Any, resume: bool) -> int:
        """Return the seed: a run that goes on has one already."""
        if resume and checkpoint is None:
            raise ParameterError("resume=True needs the folder: checkpoint='...'")
        seed = seed_of_run(checkpoint) if resume and self.random_state is None else None
        return seed_from(self.random_state) if seed is None else seed

    def partial_fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Self:
        """Learn from more documents: one pass, in which everything goes on.

        The first call fixes the vocabulary: that of `vocabulary`, or of its documents.
        Later ones go on with solver, order and (`carry_state`) the state where the text
        stopped. After `fit`, a copy, `set_weights` or `add_tokens` the solver starts
        anew, and after a load unless the file has its state. Nothing is held out.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            A parameter is out of range, or cannot change between calls.
        InputError, InputTypeError, NonFiniteError
            As in `fit`.
        """
        check_parameters(self.get_params(deep=False))
        if self.learning_rate in TIMED:
            raise ParameterError(
                f"learning_rate={self.learning_rate!r} must know the end of training, "
                "which partial_fit has not; use 'auto', 'constant', 'plateau' or "
                "'adaptive'"
            )
        self._check_no_validation("partial_fit holds nothing out")
        goes_on = self.__sklearn_is_fitted__()
        encoder = self._model.encoder if goes_on else make_encoder(self)
        documents = encoder.read(X, self.input, self.documents)
        weight = check_sample_weight(sample_weight, len(documents))
        if not goes_on:
            encoder.learn(documents)
        trainer = getattr(self, "_trainer", None)
        if trainer is not None:
            self._take_settings(trainer, encoder)
        else:
            seed = seed_from(self.random_state)
            training = training_config(self, seed)
            trainer = (
                self._trainer_from(self._model, training)
                if goes_on
                else self._new_trainer(encoder, training, self._vectors(encoder))
            )
        with self._publishing(trainer, encoder, goes_on=True):
            trainer.partial_fit(self._windows(encoder, documents, weight))
        self._trainer = trainer
        return self

    def _take_settings(self, trainer: Trainer, encoder: Encoder) -> None:
        """Let a trainer that goes on have the parameters as they are now."""
        trainer.go_on_with(
            network_config(self, encoder, before=trainer.network.config),
            training_config(self, trainer.config.seed),
        )

    def _check_no_validation(self, why: str) -> None:
        """Refuse what needs a validation text where there is none."""
        if self.validation_interval != 1.0:
            raise ParameterError(
                f"validation_interval={self.validation_interval!r} needs a text to "
                f"validate on, and {why}"
            )

    def trainer(self, X: Any, sample_weight: Any = None) -> tuple[Trainer, Windows]:
        """Return a trainer of first weights, and the windows of documents.

        For those who drive the training themselves; `fit` is not needed, nor is the
        estimator fitted by it.
        """
        check_parameters(self.get_params(deep=False))
        encoder = make_encoder(self)
        documents = encoder.read(X, self.input, self.documents)
        weight = check_sample_weight(sample_weight, len(documents))
        encoder.learn(documents)
        windows = self._windows(encoder, documents, weight)
        seed = seed_from(self.random_state)
        training = training_config(self, seed, n_tokens=windows.n_tokens)
        trainer = self._new_trainer(encoder, training, self._vectors(encoder))
        return trainer, windows

    def _hold_out(
        self, documents: list[Any], seed: int
    ) -> tuple[list[Any], list[Any], np.ndarray]:
        """Split documents for early stopping; a running text loses its end."""
        rng = None if self.carry_state else np.random.default_rng([seed, HELD_OUT])
        return hold_out(documents, self.validation_fraction, rng)

    def _vectors(self, encoder: Encoder) -> Vectors | None:
        """Return the first vectors of a new model that come from outside."""
        if self.embedding is None:
            return None
        vectors = Vectors.of(self.embedding, encoder.tokens)
        if self.verbose:
            n, n_tokens = len(vectors.ids), len(encoder.tokens)
            print(f"embedding: {n:,} of {n_tokens:,} tokens have a vector")
        return vectors

    def _new_trainer(
        self, encoder: Encoder, training: TrainingConfig, vectors: Vectors | None
    ) -> Trainer:
        """Return a trainer of new weights."""
        size = vectors.size if vectors else None
        network = Network(network_config(self, encoder, vector_size=size))
        rng = np.random.default_rng([training.seed, INITIAL_VALUES])
        weights = network.initial_weights(rng)
        if vectors:
            vectors.put_into(weights)
        return Trainer(network, weights, training)

    def _trainer_from(self, model: LanguageModel, training: TrainingConfig) -> Trainer:
        """Return a trainer that goes on with the weights of a model."""
        model.network.config.require_reals("warm_start and partial_fit")
        before = model.network.config
        network = Network(network_config(self, model.encoder, before=before))
        check_values(
            network,
            model.params,
            "the network cannot change in a warm start (set its parameters back, or "
            "fit with warm_start=False)",
        )
        if equations(network.config) != equations(before):
            raise ParameterError(
                "the cell's equations are not those that its weights were learned "
                f"with (cell={self.cell!r}); set its parameters back, or fit with "
                "warm_start=False"
            )
        if network.config.zoneout != before.zoneout:
            raise ParameterError(
                f"zoneout={self.zoneout!r} is not that with which the weights were "
                f"learned, {dict(before.zoneout)}; set it back, or fit with "
                "warm_start=False"
            )
        weights = network.weights(model.params)
        return Trainer(network, weights, training)

    def _windows(self, encoder: Encoder, documents: list[Any], weight: Any) -> Windows:
        return Windows(
            encoder.encode(documents).targets(encoder.end_id),
            batch_size=self.batch_size,
            bptt=self.bptt,
            carry_state=self.carry_state,
            sample_weight=weight,
            variable_bptt=self.variable_bptt,
        )

    def _validation(
        self, trainer: Trainer, encoder: Encoder, held_out: Corpus
    ) -> Validate:
        """Return a function that scores the held-out documents with given weights."""

        def validate(weights: Weights) -> Evaluation:
            return evaluate(
                Engine(trainer.network, weights),
                held_out,
                encoder.end_id,
                unk_id=encoder.unk_id,
                carry_state=self.carry_state,
                n_threads=trainer.config.n_threads,
            )

        return validate

    @contextmanager
    def _publishing(
        self, trainer: Trainer, encoder: Encoder, *, goes_on: bool
    ) -> Iterator[None]:
        """Make what was learned the estimator's own, also when training fails.

        The model of before serves other threads until then; the swap is one assignment.
        A trainer that goes on keeps weights of its own.
        """
        self._trainer = None
        try:
            yield
        finally:
            weights = trainer.answer.copy() if goes_on else trainer.answer
            history = trainer.history.copy()
            facts = Facts(cell=cell_record(self.cell), history=asdict(history))
            model = LanguageModel(trainer.network, weights, encoder, facts=facts)
            self._adopt(model, history)

    def _adopt(self, model: LanguageModel, history: History) -> None:
        """Become fitted with a model, and show what it has learned."""
        self._show(model)
        for name, value in asdict(history).items():
            setattr(self, f"{name}_", value)

    def _show(self, model: LanguageModel) -> None:
        """Take a model, of the same history, and show what it has learned."""
        self._model = model
        self.vocabulary_ = list(model.encoder.tokens)
        self.tokenizer_ = model.encoder.tokenizer
        self.n_parameters_ = model.n_parameters

    # ---------------------------------------------------------------------- weights

    @property
    def params_(self) -> Mapping[str, np.ndarray]:
        """Plain arrays under PyTorch's names; see `set_weights` to change them."""
        return self._fitted().params

    def set_weights(self, values: Mapping[str, Any]) -> Self:
        """Replace weights: check them, copy them, swap them in at once.

        Parameters
        ----------
        values : mapping of str to array
            Some or all of the names of `params_`, in the shapes of the arrays there.

        Raises
        ------
        InputError
            A name is unknown, a shape is wrong, or a value is not finite.
        """
        model = self._fitted()
        model.network.config.require_reals("set_weights")
        checked = check_values(model.network, {**model.params, **values}, "set_weights")
        weights = model.network.weights(checked)
        self._model = LanguageModel(
            model.network, weights, model.encoder, facts=model.facts
        )
        self._trainer = None
        return self

    def add_tokens(self, tokens: Any) -> Self:
        """Add tokens to the vocabulary, behind those that there are.

        Old tokens keep their ids and weights. What is new in the embedding, the output
        weights and the bias begins as the mean of what is old, so that n new tokens
        beside V old ones take at most n / (n + V) of the probability (with head
        "adaptive" of that of the last cluster, which they join). Training goes on from
        there: `fit` with `warm_start`, or `partial_fit`. A vector that `embedding` has
        by token stands for the mean.

        Parameters
        ----------
        tokens : iterable of str
            Each must be one token for the tokenizer; those that are known already are
            passed over. ``tokenizer_.new_tokens(texts)`` gives those of a text. For a
            model of ids a number: how many there are more.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            The tokenizer's vocabulary cannot grow, as that of bytes or of subwords.
        InputError, InputTypeError
            One of them is no token.
        """
        model = self._fitted()
        encoder = model.encoder.with_tokens(tokens)
        self._show(with_encoder(model, encoder, self.embedding))
        self._trainer = None
        return self

    def to_torch_state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the weights for PyTorch's `load_state_dict`.

        Returns
        -------
        dict of str to array
            For a module with `embedding`, `rnn` (nn.RNN, nn.LSTM or nn.GRU) and
            `output` (nn.Linear, or nn.AdaptiveLogSoftmaxWithLoss); `torch.as_tensor`
            makes tensors of the arrays.

        Raises
        ------
        ConversionError
            A layer computes what no such module does; the message names it.
        """
        return to_torch_state_dict(self._fitted())

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the model as ONNX, and its vocabulary as JSON beside it.

        Before that ONNX Runtime runs it, and must compute the same. Needs the packages
        of the extra `rnnkit[onnx]`.

        Parameters
        ----------
        path : str or path
            As in "model.onnx". Inputs are `ids` (batch, steps) and the states; outputs
            `logits` (batch, steps, V) and the states afterwards.

        Raises
        ------
        MissingPackageError
            The packages are not there.
        ConversionError
            The model cannot be written, or computes other numbers there.
        """
        export_onnx(self._fitted(), path)

    def export_c(self, path: str | os.PathLike[str]) -> None:
        """Write the model as a C file that needs neither a model file nor a library.

        Parameters
        ----------
        path : str or path
            As in "pets.c"; functions are named after it. Its header, "pets.h", is
            written beside it. docs/c_library.md tells how to use them.

        Raises
        ------
        ParameterError
            No C function can be named after the file.
        NotBuiltError
            This rnnkit was built without its C library.
        """
        export_c(self._storable(), path)

    def save(self, path: str | os.PathLike[str], *, solver_state: bool = False) -> None:
        """Write the model to one file, from which `rnnkit.load` makes it again.

        The name holds the old file or the new one, whatever happens on the way.

        Parameters
        ----------
        path : str or path
        solver_state : bool, default=False
            Whether `partial_fit` shall go on after a load as if there had been none.
            The file then holds the solver's moments, the position of the schedule, the
            average and the counters of random numbers as well. Where `partial_fit`
            would start anew, as after `fit`, there are none.
        """
        record = record_of(self._storable())
        if solver_state and (trainer := getattr(self, "_trainer", None)):
            self._take_settings(trainer, self._model.encoder)
            record = replace(record, solver=SolverRecord(*trainer.solver_state()))
        save_model(path, record)

    def _storable(self) -> LanguageModel:
        """Return the model as files have it, with the parameters of this estimator."""
        model = self._fitted()
        facts = replace(model.facts, parameters=storable_parameters(self))
        return model.with_facts(facts)

    def _go_on_with(self, solver: SolverRecord, history: History) -> None:
        """Take the state of a solver for the next `partial_fit`."""
        training = training_config(self, solver.numbers["seed"])
        trainer = self._trainer_from(self._model, training)
        trainer.load_solver_state(solver.tensors, solver.numbers, history)
        self._trainer = trainer

    # ----------------------------------------------------------------- scikit-learn

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; `cell__activation` needs an instance as cell."""
        check_nested(self, params)
        super().set_params(**params)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        reads_ids = self.tokenizer is None
        tags.input_tags.string = tags.input_tags.one_d_array = not reads_ids
        tags.input_tags.two_d_array = tags.input_tags.categorical = reads_ids
        tags.input_tags.positive_only = reads_ids
        tags.target_tags.required = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the solver's, which a copy starts anew."""
        return {**super().__getstate__(), "_trainer": None}
