# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False
# cython: freethreading_compatible=True
"""The C core's networks as Python classes.

Each method checks its arrays, lets go of the GIL, makes one C call and turns its status
into an exception. Shape letters: T steps, B rows of a batch, V words, H units of the top
layer. Plain arrays are C-contiguous and of the model's dtype.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int8_t, int32_t, uint8_t, uint32_t, uint64_t

from rnnkit.core cimport _rk as rk

import math

import numpy as np

from rnnkit.errors import GraphError, ModelFormatError, NonFiniteError

DTYPES = {"float32": rk.RK_FLOAT32, "float64": rk.RK_FLOAT64}
SOLVERS = {
    "sgd": rk.RK_SGD,
    "momentum": rk.RK_MOMENTUM,
    "nesterov": rk.RK_NESTEROV,
    "adam": rk.RK_ADAM,
    "adamw": rk.RK_ADAMW,
    "rmsprop": rk.RK_RMSPROP,
    "adagrad": rk.RK_ADAGRAD,
}

HEADS = {
    "softmax": rk.RK_SOFTMAX,
    "sampled": rk.RK_SAMPLED,
    "adaptive": rk.RK_ADAPTIVE,
}


# ------------------------------------------------------------- statuses and the poll

@cython.no_gc
@cython.freelist(8)
@cython.final
cdef class Interruption:
    """The exception that a signal's handler raised while C was running."""

    cdef object error


cdef int poll(void *context) noexcept with gil:
    """Let Python handle signals; an exception (Ctrl-C) stops the run and is kept."""
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        (<Interruption>context).error = error
        return 1
    return 0


cdef rk.rk_run run_with(Interruption interruption, int n_threads):
    cdef rk.rk_run run
    run.n_threads = n_threads
    run.poll = poll
    run.poll_context = <void *>interruption
    return run


cdef int check(rk.rk_status status, rk.rk_error *error,
               Interruption interruption=None) except -1:
    """Raise what a status other than RK_OK stands for."""
    if status == rk.RK_OK:
        return 0
    if status == rk.RK_CANCELLED and interruption is not None:
        raise interruption.error
    message = error.text.decode("utf-8", "replace")
    if status == rk.RK_NOMEM:
        raise MemoryError(message)
    if status == rk.RK_NONFINITE:
        raise NonFiniteError(message)
    if status == rk.RK_FORMAT:
        raise GraphError(message)
    raise ValueError(message)


# -------------------------------------------------------------------------- arguments

cdef int known(dict table, str what, name) except -1:
    """Look up a name; an unknown one is an error that lists the known ones."""
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; known: {', '.join(table)}")
    return table[name]


cdef size_t positive(str name, Py_ssize_t value) except 0:
    if value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 1")
    return <size_t>value


cdef size_t index_of(str name, Py_ssize_t value) except? 0:
    if value < 0:
        raise ValueError(f"{name} is {value}; it must be at least 0")
    return <size_t>value


cdef int same_shape(str name, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t n_steps,
                    Py_ssize_t batch) except -1:
    if rows != n_steps or columns != batch:
        raise ValueError(f"{name} has shape ({rows}, {columns}); "
                         f"it must be that of ids, ({n_steps}, {batch})")
    return 0


cdef const void *read_from(array) except NULL:
    """The data of a contiguous array, which the caller keeps alive."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
    cdef const void *data = view.buf
    PyBuffer_Release(&view)
    return data


cdef void *write_to(array) except NULL:
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    cdef void *data = view.buf
    PyBuffer_Release(&view)
    return data


cdef plain(str name, array, tuple shape, str dtype):
    """`array` as a contiguous one of this shape and dtype; no other kind of number."""
    array = np.asarray(array)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must be {shape}")
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise ValueError(f"{name} has dtype {array.dtype}; it must be {dtype}")
    return np.ascontiguousarray(array, dtype)


cdef size_t collect(programs, const rk.rk_program **handles) except 0:
    """The programs' handles, one a layer; returns how many."""
    if not 1 <= len(programs) <= rk.RK_MAX_LAYERS:
        raise ValueError(f"there are {len(programs)} programs; "
                         f"there must be 1 to {rk.RK_MAX_LAYERS}")
    for layer, program in enumerate(programs):
        if not isinstance(program, Program):
            raise TypeError(f"programs[{layer}] is {program!r}; it must be a Program")
        handles[<size_t>layer] = (<Program>program).handle
    return len(programs)


# ---------------------------------------------------------------------------- classes

cdef class Program:
    """A cell's graph, checked and lowered for one dtype.

    Parameters
    ----------
    words : (N,) int32
        ``Graph.to_words()``; untrusted.
    dtype : {"float32", "float64"}

    Attributes
    ----------
    dtype : str
    can_train : bool
        Whether there is a backward part.
    reads_flags : bool
        Whether it takes resets and ended rows.
    has_loop_product : bool
        Whether a step multiplies its state by a matrix.
    n_states, input_size, output_size : int
    state_widths : list of int
    parameter_shapes : list of tuple
        Plain shapes, (blocks * width, columns) or (blocks * width,).

    Raises
    ------
    GraphError
        When the words are no valid graph.
    """

    cdef rk.rk_program *handle
    cdef readonly str dtype
    cdef readonly bint can_train, reads_flags, has_loop_product
    cdef readonly size_t n_states, input_size, output_size

    def __cinit__(self, const int32_t[::1] words not None, str dtype not None):
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef rk.rk_dtype number = <rk.rk_dtype>known(DTYPES, "dtype", dtype)
        cdef size_t n_words = <size_t>words.shape[0]
        with nogil:
            status = rk.rk_program_create(&self.handle, &words[0], n_words, number, &error)
        check(status, &error)
        self.dtype = dtype
        self.can_train = rk.rk_program_can_train(self.handle)
        self.reads_flags = rk.rk_program_reads_flags(self.handle)
        self.has_loop_product = rk.rk_program_has_loop_product(self.handle)
        self.n_states = rk.rk_program_n_states(self.handle)
        self.input_size = rk.rk_program_input_width(self.handle)
        self.output_size = rk.rk_program_output_width(self.handle)

    def __dealloc__(self):
        rk.rk_program_free(self.handle)

    @property
    def state_widths(self):
        return [rk.rk_program_state_width(self.handle, k) for k in range(self.n_states)]

    @property
    def parameter_shapes(self):
        return [self._shape(i) for i in range(rk.rk_program_n_parameters(self.handle))]

    def _shape(self, size_t index):
        cdef const rk.rk_parameter *parameter = rk.rk_program_parameter(self.handle, index)
        cdef object rows = math.prod((parameter.blocks, parameter.width))
        cdef tuple shape = (rows, parameter.columns)
        return shape if parameter.is_weight else shape[:1]

    def __str__(self):
        text = bytearray(rk.rk_program_print(self.handle, NULL, 0))
        text.append(0)
        cdef char *data = text
        rk.rk_program_print(self.handle, data, <size_t>len(text))
        text.pop()
        return text.decode()


cdef class Weights:
    """All parameters of a network, packed; zero at first.

    Tensors by index: embedding, each layer's parameters in its program's order, the head's:
    output weight (absent when tied), output bias (absent without one); of an adaptive head
    weight and bias of the root, then projection and weight of each cluster.

    Parameters
    ----------
    vocab_size, embedding_size : int
    programs : sequence of Program
        One a layer.
    tie_weights : bool, default=False
        Whether the embedding is the output weight, too.
    dtype : {"float32", "float64"}, default="float32"
    int8 : bool, default=False
        Whether matrices, the embedding among them, are codes from -127 to 127 with one
        scale a row. They have `get_int8` and `set_int8`, and do not train. float32 alone.
    output_bias : bool, default=True
    head : {"softmax", "sampled", "adaptive"}, default="softmax"
    n_samples : int, default=0
        Of a sampled head: words drawn for a window.
    cutoffs, cluster_widths : (n_clusters,) int32, default=None
        Of an adaptive head: the first word of each cluster, and the width that it
        projects the units to.

    Attributes
    ----------
    vocab_size, embedding_size, hidden_size : int
    tie_weights, int8, output_bias : bool
    head : dict
        The last four, as keywords.
    dtype : str
    shapes : list of tuple
    """

    cdef rk.rk_weights *handle
    cdef tuple programs
    cdef readonly Py_ssize_t vocab_size, embedding_size
    cdef readonly size_t hidden_size
    cdef readonly bint tie_weights, int8, output_bias
    cdef readonly dict head
    cdef readonly str dtype
    cdef readonly list shapes

    def __cinit__(self, Py_ssize_t vocab_size, Py_ssize_t embedding_size, programs, *,
                  bint tie_weights=False, str dtype not None="float32",
                  bint int8=False, bint output_bias=True, str head not None="softmax",
                  Py_ssize_t n_samples=0, const int32_t[::1] cutoffs=None,
                  const int32_t[::1] cluster_widths=None):
        cdef const rk.rk_program *handles[rk.RK_MAX_LAYERS]
        cdef rk.rk_network network
        cdef rk.rk_error error
        cdef rk.rk_status status
        self.programs = tuple(programs)
        network.dtype = <rk.rk_dtype>known(DTYPES, "dtype", dtype)
        network.vocab_size = positive("vocab_size", vocab_size)
        network.embedding_size = positive("embedding_size", embedding_size)
        network.tie_weights = tie_weights
        network.int8 = int8
        network.output_bias = output_bias
        network.head = <rk.rk_head_kind>known(HEADS, "head", head)
        network.n_samples = index_of("n_samples", n_samples)
        network.n_clusters = 0
        if cutoffs is not None and cluster_widths is not None and cutoffs.shape[0]:
            if cutoffs.shape[0] != cluster_widths.shape[0]:
                raise ValueError(f"there are {cutoffs.shape[0]} cutoffs and "
                                 f"{cluster_widths.shape[0]} cluster_widths")
            network.n_clusters = <size_t>cutoffs.shape[0]
            network.cutoffs = &cutoffs[0]
            network.cluster_widths = &cluster_widths[0]
        network.n_layers = collect(self.programs, handles)
        network.programs = handles
        with nogil:
            status = rk.rk_weights_create(&self.handle, &network, &error)
        check(status, &error)
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.hidden_size = rk.rk_weights_hidden_size(self.handle)
        self.tie_weights = tie_weights
        self.int8 = int8
        self.output_bias = output_bias
        self.head = {"head": head, "n_samples": n_samples, "cutoffs": cutoffs,
                     "cluster_widths": cluster_widths}
        self.dtype = dtype
        self.shapes = [self._shape(i) for i in range(rk.rk_weights_n_tensors(self.handle))]

    def __dealloc__(self):
        rk.rk_weights_free(self.handle)

    def _shape(self, size_t index):
        cdef size_t rows = 0, columns = 0
        cdef rk.rk_error error
        check(rk.rk_weights_shape(self.handle, index, &rows, &columns, &error), &error)
        cdef tuple shape = (rows, columns)
        return shape if columns else shape[:1]

    def get(self, Py_ssize_t index):
        """Return a plain copy of tensor `index`."""
        cdef size_t i = index_of("index", index)
        cdef rk.rk_error error
        cdef rk.rk_status status
        array = np.empty(self._shape(i), self.dtype)
        cdef void *data = write_to(array)
        with nogil:
            status = rk.rk_weights_get(data, self.handle, i, &error)
        check(status, &error)
        return array

    def set(self, Py_ssize_t index, array):
        """Copy `array` into tensor `index`; it has the tensor's shape."""
        cdef size_t i = index_of("index", index)
        cdef rk.rk_error error
        cdef rk.rk_status status
        array = plain(f"tensor {index}", array, self._shape(i), self.dtype)
        cdef const void *data = read_from(array)
        with nogil:
            status = rk.rk_weights_set(self.handle, i, data, &error)
        check(status, &error)

    def is_int8(self, Py_ssize_t index):
        """Whether tensor `index` is a matrix of int8."""
        return rk.rk_weights_is_int8(self.handle, index_of("index", index))

    def get_int8(self, Py_ssize_t index):
        """Return copies of codes (n, k) and scales (n,) of a matrix of int8."""
        cdef size_t i = index_of("index", index)
        cdef rk.rk_error error
        cdef rk.rk_status status
        shape = self._shape(i)
        codes, scales = np.empty(shape, np.int8), np.empty(shape[:1], np.float32)
        cdef void *code_data = write_to(codes)
        cdef void *scale_data = write_to(scales)
        with nogil:
            status = rk.rk_weights_get_int8(<int8_t *>code_data, <float *>scale_data,
                                            self.handle, i, &error)
        check(status, &error)
        return codes, scales

    def set_int8(self, Py_ssize_t index, codes, scales):
        """Copy codes and scales into a matrix of int8."""
        cdef size_t i = index_of("index", index)
        cdef rk.rk_error error
        cdef rk.rk_status status
        shape = self._shape(i)
        codes = plain(f"tensor {index}", codes, shape, "int8")
        scales = plain(f"the scales of tensor {index}", scales, shape[:1], "float32")
        cdef const void *code_data = read_from(codes)
        cdef const void *scale_data = read_from(scales)
        with nogil:
            status = rk.rk_weights_set_int8(self.handle, i, <const int8_t *>code_data,
                                            <const float *>scale_data, &error)
        check(status, &error)

    def assign(self, Weights other not None):
        """Take over all values of `other`, weights of the same shapes."""
        cdef rk.rk_error error
        cdef rk.rk_status status
        with nogil:
            status = rk.rk_weights_assign(self.handle, other.handle, &error)
        check(status, &error)

    def average(self, Weights other not None, double rate, int n_threads=1):
        """Take `other` into a running mean: self += rate * (other - self).

        Rate 1 takes it over; the n-th of several has rate 1 / n.
        """
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef Interruption interruption = Interruption()
        cdef rk.rk_run run = run_with(interruption, n_threads)
        with nogil:
            status = rk.rk_weights_average(self.handle, other.handle, rate, &run, &error)
        check(status, &error, interruption)

    def copy(self):
        """Return weights of their own with the same values."""
        cdef Weights copy = Weights(self.vocab_size, self.embedding_size, self.programs,
                                    tie_weights=self.tie_weights, dtype=self.dtype,
                                    int8=self.int8, output_bias=self.output_bias,
                                    **self.head)
        copy.assign(self)
        return copy


cdef class State:
    """What a batch of sequences carries from window to window: every layer's states.

    Parameters
    ----------
    weights : Weights
    programs : sequence of Program
    batch_size : int

    Attributes
    ----------
    batch_size : int
    """

    cdef rk.rk_state *handle
    cdef Weights weights
    cdef tuple programs
    cdef readonly Py_ssize_t batch_size

    def __cinit__(self, Weights weights not None, programs, Py_ssize_t batch_size):
        cdef const rk.rk_program *handles[rk.RK_MAX_LAYERS]
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef size_t batch = positive("batch_size", batch_size)
        self.weights = weights
        self.programs = tuple(programs)
        cdef size_t n_layers = collect(self.programs, handles)
        with nogil:
            status = rk.rk_state_create(&self.handle, weights.handle, handles, n_layers,
                                        batch, &error)
        check(status, &error)
        self.batch_size = batch_size

    def __dealloc__(self):
        rk.rk_state_free(self.handle)

    def copy(self):
        """Return a state of its own with the same values."""
        cdef rk.rk_error error
        cdef State copy = State(self.weights, self.programs, self.batch_size)
        check(rk.rk_state_assign(copy.handle, self.handle, &error), &error)
        return copy

    def _shape(self, size_t layer, size_t k):
        cdef size_t width = 0
        cdef rk.rk_error error
        check(rk.rk_state_width(self.handle, layer, k, &width, &error), &error)
        return (self.batch_size, width)

    def get(self, Py_ssize_t layer, Py_ssize_t k):
        """Return a copy of state `k` of a layer, (batch_size, width)."""
        cdef rk.rk_error error
        cdef size_t i = index_of("layer", layer), j = index_of("k", k)
        array = np.empty(self._shape(i, j), self.weights.dtype)
        check(rk.rk_state_get(write_to(array), self.handle, i, j, &error), &error)
        return array

    def set(self, Py_ssize_t layer, Py_ssize_t k, array):
        """Copy `array`, (batch_size, width), into state `k` of a layer."""
        cdef rk.rk_error error
        cdef size_t i = index_of("layer", layer), j = index_of("k", k)
        array = plain("the state", array, self._shape(i, j), self.weights.dtype)
        check(rk.rk_state_set(self.handle, i, j, read_from(array), &error), &error)


cdef rk.rk_window_input only_ids(const int32_t[:, ::1] ids):
    """What a window reads, and nothing of what else it may be given."""
    cdef rk.rk_window_input given
    given.n_steps = <size_t>ids.shape[0]
    given.batch = <size_t>ids.shape[1]
    given.ids = &ids[0, 0]
    given.targets = NULL
    given.target_weights = NULL
    given.resets = NULL
    given.active = NULL
    given.seed = 0
    given.update = 0
    given.log_probabilities = NULL
    return given


cdef class Window:
    """The memory of one window and its runs; to be used again for every window.

    One thread at a time may use a window; threads that predict at once from the same
    weights have a window and a state each.

    Parameters
    ----------
    weights : Weights
    programs : sequence of Program
        One a layer: those of `weights`, or variants with the same parameters.
    n_steps, batch_size : int
        The largest window.
    training : bool, default=False
        Whether `backward` will be called; needs programs that can train.
    augmented_loss, augmented_temperature : float, default=0.0, 1.0
        In training alpha and tau of a further loss in the gradients, not in what `forward`
        returns: alpha * KL(softmax(W w / tau) || softmax(logits / tau)), W the output
        weight, w the target's row of it as a constant. Only with head "softmax".
    embedding_dropout : float, default=0.0
        In training: how many of the words a run reads as zeros.
    weight_dropout : float, default=0.0
        In training: how many elements of some matrices are zeros in a run.
    dropped : sequence of bool, default=None
        By tensor, whether `weight_dropout` applies; None: to no tensor.
    """

    cdef rk.rk_window *handle
    cdef readonly Weights weights
    cdef tuple programs

    def __cinit__(self, Weights weights not None, programs, Py_ssize_t n_steps,
                  Py_ssize_t batch_size, *, bint training=False,
                  double augmented_loss=0.0, double augmented_temperature=1.0,
                  double embedding_dropout=0.0, double weight_dropout=0.0, dropped=None):
        cdef const rk.rk_program *handles[rk.RK_MAX_LAYERS]
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef rk.rk_training settings
        cdef size_t most_steps = positive("n_steps", n_steps)
        cdef size_t batch = positive("batch_size", batch_size)
        self.weights = weights
        settings.augmented_loss = augmented_loss
        settings.augmented_temperature = augmented_temperature
        self.programs = tuple(programs)
        cdef size_t n_layers = collect(self.programs, handles)
        if not training and (embedding_dropout or weight_dropout):
            raise ValueError("only a window that trains drops weights")
        n = len(weights.shapes)
        dropped = [False] * n if dropped is None else [bool(drops) for drops in dropped]
        dropped_array = plain("dropped", np.array(dropped, np.uint8), (n,), "uint8")
        settings.dropout.embedding = embedding_dropout
        settings.dropout.weight = weight_dropout
        settings.dropout.dropped = <const uint8_t *>read_from(dropped_array)
        with nogil:
            status = rk.rk_window_create(&self.handle, weights.handle, handles, n_layers,
                                         most_steps, batch,
                                         &settings if training else NULL, &error)
        check(status, &error)

    def __dealloc__(self):
        rk.rk_window_free(self.handle)

    def forward(self, const int32_t[:, ::1] ids not None, State state not None, *,
                const int32_t[:, ::1] targets=None,
                const float[:, ::1] target_weights=None,
                const uint8_t[:, ::1] resets=None, const uint8_t[:, ::1] active=None,
                uint64_t seed=0, uint32_t update=0, int n_threads=1):
        """Run a window and return its loss; `state` moves on to after the last step.

        Parameters
        ----------
        ids : (T, B) int32
        state : State
            Of B rows.
        targets : (T, B) int32, default=None
            Without them there is no loss, and the head does not run.
        target_weights : (T, B) float32, default=None
            At least 0; where 0 the target is not looked at. None: all 1.
        resets : (T, B) uint8, default=None
            Not 0 where a row starts from the initial state before this step.
        active : (T, B) uint8, default=None
            0 where a row has ended: its state stands still. None: none has.
        seed, update : int, default=0
            Of all that is dropped and of a head's samples: the fit's seed and the number
            of the window.
        n_threads : int, default=1
            Less than 1: as many as there are. One token has fewer where the weights
            are small, or their threads asleep.

        Returns
        -------
        loss : float
            Sum of weight * -log-likelihood over `weight_sum`; 0 when that is 0.
        weight_sum : float
        """
        cdef rk.rk_window_input given = only_ids(ids)
        cdef rk.rk_window_loss loss
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef Interruption interruption = Interruption()
        cdef rk.rk_run run = run_with(interruption, n_threads)
        cdef Py_ssize_t n_steps = ids.shape[0], batch = ids.shape[1]
        if targets is not None:
            same_shape("targets", targets.shape[0], targets.shape[1], n_steps, batch)
            given.targets = &targets[0, 0]
        if target_weights is not None:
            same_shape("target_weights", target_weights.shape[0], target_weights.shape[1],
                       n_steps, batch)
            given.target_weights = &target_weights[0, 0]
        if resets is not None:
            same_shape("resets", resets.shape[0], resets.shape[1], n_steps, batch)
            given.resets = &resets[0, 0]
        if active is not None:
            same_shape("active", active.shape[0], active.shape[1], n_steps, batch)
            given.active = &active[0, 0]
        given.seed = seed
        given.update = update
        with nogil:
            status = rk.rk_window_forward(self.handle, state.handle, &given, &run, &loss,
                                          &error)
        check(status, &error, interruption)
        return loss.loss, loss.weight_sum

    def predict(self, const int32_t[:, ::1] ids not None, State state not None, *,
                int n_threads=1):
        """Run a window; return the log-probabilities after its last step, (B, V).

        As `forward` and then `log_probabilities` of the last rows, in one run: one
        token of a small model takes a few microseconds.

        Parameters
        ----------
        ids : (T, B) int32
        state : State
            Of B rows; moves on to after the last step.
        n_threads : int, default=1
            As in `forward`.
        """
        cdef rk.rk_window_input given = only_ids(ids)
        cdef rk.rk_window_loss loss
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef Interruption interruption = Interruption()
        cdef rk.rk_run run = run_with(interruption, n_threads)
        array = np.empty((ids.shape[1], self.weights.vocab_size), self.weights.dtype)
        given.log_probabilities = write_to(array)
        with nogil:
            status = rk.rk_window_forward(self.handle, state.handle, &given, &run, &loss,
                                          &error)
        check(status, &error, interruption)
        return array

    def _shape(self):
        cdef size_t n_steps = 0, batch = 0
        rk.rk_window_shape(self.handle, &n_steps, &batch)
        return (n_steps, batch)

    @property
    def log_likelihood(self):
        """(T, B), of the targets of the last forward; 0 where not scored."""
        cdef rk.rk_error error
        array = np.empty(self._shape(), self.weights.dtype)
        check(rk.rk_window_get_log_likelihood(write_to(array), self.handle, &error), &error)
        return array

    @property
    def hits(self):
        """(T, B) uint8: 1 where the target was the likeliest word, the first of equals."""
        cdef rk.rk_error error
        array = np.empty(self._shape(), np.uint8)
        cdef uint8_t *data = <uint8_t *>write_to(array)
        check(rk.rk_window_get_hits(data, self.handle, &error), &error)
        return array

    def outputs(self):
        """Return the top layer's outputs, (T, B, H); until the next backward."""
        cdef rk.rk_error error
        array = np.empty((*self._shape(), self.weights.hidden_size), self.weights.dtype)
        check(rk.rk_window_get_outputs(write_to(array), self.handle, &error), &error)
        return array

    def log_probabilities(self, const int32_t[::1] rows not None, *, int n_threads=1):
        """Return the log-probabilities of all words at some places, (len(rows), V).

        Parameters
        ----------
        rows : (N,) int32
            Places t * B + b of the last forward; until the next backward.
        n_threads : int, default=1
        """
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef Interruption interruption = Interruption()
        cdef rk.rk_run run = run_with(interruption, n_threads)
        cdef size_t n_rows = <size_t>rows.shape[0]
        array = np.empty((n_rows, self.weights.vocab_size), self.weights.dtype)
        cdef void *data = write_to(array)
        with nogil:
            status = rk.rk_window_log_probabilities(data, self.handle, &rows[0], n_rows,
                                                    &run, &error)
        check(status, &error, interruption)
        return array

    def backward(self, *, outputs_gradient=None, int n_threads=1):
        """Compute the gradients of everything; once after each forward.

        Parameters
        ----------
        outputs_gradient : (T, B, H), default=None
            Of a further loss with respect to the outputs; added to the head's.
        n_threads : int, default=1
        """
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef Interruption interruption = Interruption()
        cdef rk.rk_run run = run_with(interruption, n_threads)
        cdef const void *data = NULL
        if outputs_gradient is not None:
            outputs_gradient = plain("outputs_gradient", outputs_gradient,
                                     (*self._shape(), self.weights.hidden_size),
                                     self.weights.dtype)
            data = read_from(outputs_gradient)
        with nogil:
            status = rk.rk_window_backward(self.handle, data, &run, &error)
        check(status, &error, interruption)

    def gradient(self, Py_ssize_t index):
        """Return the gradient of tensor `index`, shaped like it; after backward."""
        cdef size_t i = index_of("index", index)
        cdef rk.rk_error error
        cdef rk.rk_status status
        array = np.empty(self.weights._shape(i), self.weights.dtype)
        cdef void *data = write_to(array)
        with nogil:
            status = rk.rk_window_get_gradient(data, self.handle, i, &error)
        check(status, &error)
        return array

    def initial_state_gradient(self, Py_ssize_t layer, Py_ssize_t k):
        """Return the gradient of the state that forward began with, (B, width)."""
        cdef rk.rk_error error
        cdef size_t width = 0, i = index_of("layer", layer), j = index_of("k", k)
        check(rk.rk_window_state_width(self.handle, i, j, &width, &error), &error)
        array = np.empty((self._shape()[1], width), self.weights.dtype)
        check(rk.rk_window_get_initial_state_gradient(write_to(array), self.handle, i, j,
                                                      &error), &error)
        return array


cdef class Solver:
    """Makes steps from gradients to weights, with moments of its own.

    Equations and conventions are PyTorch's: ``alpha`` is its ``weight_decay`` (added to the
    clipped gradient; decoupled for "adamw"), "momentum" and "nesterov" its SGD.

    Parameters
    ----------
    weights : Weights
        What is updated.
    kind : {"sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad"}
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        Of "adam" and "adamw"; "rmsprop" has the second and the third of them,
        "adagrad" the third.
    momentum : float, default=0.9
        Of "momentum" and "nesterov".
    alpha : float or sequence of float, default=0.0
        Weight decay, of all tensors or by tensor.
    frozen : sequence of bool, default=None
        By tensor, whether it keeps its values; its gradient is not in the norm.
    limits : sequence of (low, high) or None, default=None
        By tensor, the range that its elements are kept in after each update.

    Attributes
    ----------
    steps : int
        Updates made so far.
    """

    cdef rk.rk_solver *handle
    cdef Weights weights

    def __cinit__(self, Weights weights not None, str kind not None, *, double beta_1=0.9,
                  double beta_2=0.999, double epsilon=1e-8, double momentum=0.9,
                  alpha=0.0, frozen=None, limits=None):
        cdef rk.rk_solver_options options
        cdef rk.rk_error error
        cdef rk.rk_status status
        options.kind = <rk.rk_solver_kind>known(SOLVERS, "solver", kind)
        options.beta_1 = beta_1
        options.beta_2 = beta_2
        options.epsilon = epsilon
        options.momentum = momentum
        self.weights = weights
        n = len(weights.shapes)
        alpha = [alpha] * n if np.ndim(alpha) == 0 else alpha
        frozen = [False] * n if frozen is None else [bool(stays) for stays in frozen]
        limits = [None] * n if limits is None else limits
        limits = [(-math.inf, math.inf) if pair is None else pair for pair in limits]
        alpha_array = plain("alpha", alpha, (n,), "float64")
        frozen_array = plain("frozen", np.array(frozen, np.uint8), (n,), "uint8")
        limit_array = plain("limits", limits, (n, 2), "float64")
        cdef const void *alpha_data = read_from(alpha_array)
        cdef const void *frozen_data = read_from(frozen_array)
        cdef const void *limit_data = read_from(limit_array)
        with nogil:
            status = rk.rk_network_solver_create(
                &self.handle, weights.handle, &options, <const double *>alpha_data,
                <const uint8_t *>frozen_data, <const double (*)[2]>limit_data, &error)
        check(status, &error)

    def __dealloc__(self):
        rk.rk_solver_free(self.handle)

    @property
    def steps(self):
        return rk.rk_solver_n_steps(self.handle)

    def state(self):
        """Return what goes on from step to step, as plain arrays that are copies.

        Returns
        -------
        state : dict
            ``steps``, an int, and ``moments``: none, one or two (of the gradient, of its
            square), each a list of arrays by tensor, shaped like the weights.
        """
        moments = [
            [self._moment(moment, i) for i in range(len(self.weights.shapes))]
            for moment in range(rk.rk_solver_n_moments(self.handle))
        ]
        return {"steps": self.steps, "moments": moments}

    def load_state(self, state):
        """Go on from a `state` of a solver of this kind, for weights of these shapes.

        Raises
        ------
        ValueError
            When something is missing or has another shape; nothing has been touched.
        """
        shapes, dtype = self.weights.shapes, self.weights.dtype
        missing = {"steps", "moments"} - set(state)
        if missing:
            raise ValueError(f"the solver's state has no {', '.join(sorted(missing))}")
        cdef size_t steps = index_of("steps", state["steps"])
        wanted = rk.rk_solver_n_moments(self.handle)
        given = [len(moment) for moment in state["moments"]]
        if given != [len(shapes)] * wanted:
            raise ValueError(f"the solver's state has moments of {given} tensors; it must "
                             f"have {wanted} moments, each of {len(shapes)}")
        moments = [
            [plain(f"tensor {i} of moment {k}", array, shapes[i], dtype)
             for i, array in enumerate(moment)]
            for k, moment in enumerate(state["moments"])
        ]
        for k, moment in enumerate(moments):
            for i, array in enumerate(moment):
                self._set_moment(k, i, array)
        rk.rk_solver_set_n_steps(self.handle, steps)

    def _moment(self, size_t moment, size_t index):
        cdef rk.rk_error error
        cdef rk.rk_status status
        array = np.empty(self.weights._shape(index), self.weights.dtype)
        cdef void *data = write_to(array)
        with nogil:
            status = rk.rk_network_solver_get(data, self.handle, self.weights.handle,
                                              moment, index, &error)
        check(status, &error)
        return array

    def _set_moment(self, size_t moment, size_t index, array):
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef const void *data = read_from(array)
        with nogil:
            status = rk.rk_network_solver_set(self.handle, self.weights.handle, moment,
                                              index, data, &error)
        check(status, &error)

    def accumulate(self, Window window not None, double rate, int n_threads=1):
        """Take a window's gradient into a mean: mean += rate * (gradient - mean).

        Parameters
        ----------
        window : Window
            Of the solver's weights; after its backward.
        rate : float
            1 begins a new mean; a window's weights over those of all so far give the
            gradient of the mean loss over all their targets.
        n_threads : int, default=1
        """
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef Interruption interruption = Interruption()
        cdef rk.rk_run run = run_with(interruption, n_threads)
        with nogil:
            status = rk.rk_network_accumulate(self.weights.handle, self.handle,
                                              window.handle, rate, &run, &error)
        check(status, &error, interruption)

    def update(self, Window window, double learning_rate, double max_grad_norm=0.0,
               int n_threads=1):
        """Make one step with a window's gradient; after its backward.

        Parameters
        ----------
        window : Window or None
            Of the solver's weights; None: with the mean that was accumulated.
        learning_rate : float
        max_grad_norm : float, default=0.0
            The gradient's global norm is clipped to it; 0: no clipping.
        n_threads : int, default=1

        Returns
        -------
        norm : float
            The gradient's norm before clipping.

        Raises
        ------
        NonFiniteError
            When the norm is NaN or infinite; nothing has been touched.
        """
        cdef rk.rk_error error
        cdef rk.rk_status status
        cdef Interruption interruption = Interruption()
        cdef rk.rk_run run = run_with(interruption, n_threads)
        cdef double norm = 0
        cdef rk.rk_window *handle = NULL if window is None else window.handle
        with nogil:
            status = rk.rk_network_update(self.weights.handle, self.handle, handle,
                                          learning_rate, max_grad_norm, &run, &norm, &error)
        check(status, &error, interruption)
        return norm


# ------------------------------------------------------------------------ the machine

def isa():
    """Return the name of the instruction set in use."""
    cdef rk.rk_isa chosen
    cdef rk.rk_error error
    check(rk.rk_isa_choose(&chosen, &error), &error)
    return rk.rk_isa_name(chosen).decode()


def supported_isas():
    """Return the names of all instruction sets that this machine and build have."""
    return [
        rk.rk_isa_name(<rk.rk_isa>number).decode()
        for number in range(rk.RK_N_ISA)
        if rk.rk_isa_supported(<rk.rk_isa>number)
    ]


def default_threads():
    """Return how many threads a call gets that asks for less than one."""
    return rk.rk_threads_default()


def openmp_runtime():
    """Return name and version of the OpenMP runtime, or "none"."""
    return rk.rk_threads_runtime().decode()


# --------------------------------------------------------------------------- sampling

def uniform(uint64_t seed, uint64_t stream, uint64_t position):
    """Return number `position` of a stream of random numbers in [0, 1)."""
    return rk.rk_uniform(seed, stream, position)


def draw(const double[::1] scores not None, double uniform, *, double temperature=1.0,
         size_t top_k=0, double top_p=1.0):
    """Draw a token; see `rnnkit.runtime.sampling.draw`. top_k 0: all."""
    cdef size_t n = positive("the number of scores", scores.shape[0])
    cdef rk.rk_draw_options how
    cdef int32_t[::1] ids = np.empty(n, np.int32)
    cdef double[::1] cumulative = np.empty(n)
    cdef int32_t token
    how.temperature = temperature
    how.top_k = top_k
    how.top_p = top_p
    with nogil:
        token = rk.rk_draw(&scores[0], n, &how, uniform, &ids[0], &cumulative[0])
    return token


# ------------------------------------------------------------------------ model files

FORMAT_VERSION = rk.RK_FORMAT_VERSION
ELEMENTS = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "I8": "i1",
            "U8": "u1"}


def checksum(bytes data not None, uint64_t seed=0):
    """Return the XXH64 of some bytes."""
    return rk.rk_checksum(<const char *>data, <size_t>len(data), seed)


cdef object contents(bytes data, const rk.rk_container *container):
    """The tensors as views of `data`, and the metadata; both as dictionaries."""
    cdef const char *first = data
    cdef const rk.rk_stored *stored
    cdef const rk.rk_entry *entry
    cdef size_t i, k
    tensors, metadata = {}, {}
    for i in range(container.n_tensors):
        stored = &container.tensors[i]
        shape = [stored.shape[k] for k in range(<size_t>stored.rank)]
        dtype = ELEMENTS[rk.rk_element_name(stored.element).decode()]
        flat = np.frombuffer(data, dtype, math.prod(shape),
                             <const char *>stored.data - first)
        tensors[stored.name.decode()] = flat.reshape(shape)
    for i in range(container.n_entries):
        entry = &container.entries[i]
        metadata[entry.name.decode()] = entry.value[:entry.n_bytes].decode("utf-8")
    return tensors, metadata


cdef int check_file(rk.rk_status status, rk.rk_error *error) except -1:
    """Raise what is wrong with a file."""
    if status == rk.RK_OK or status == rk.RK_NOMEM:
        return check(status, error)
    raise ModelFormatError(error.text.decode("utf-8", "replace"))


def read_container(bytes data not None):
    """Return tensors (views of `data`) and metadata of a file of any kind.

    Raises
    ------
    ModelFormatError
        When a byte of it is not as rnnkit would have written it.
    """
    cdef rk.rk_container container
    cdef rk.rk_error error
    cdef rk.rk_status status
    cdef const char *first = data
    cdef size_t n_bytes = <size_t>len(data)
    with nogil:
        status = rk.rk_container_open(&container, first, n_bytes, &error)
    check_file(status, &error)
    found = contents(data, &container)
    rk.rk_container_close(&container)
    return found


def read_model(bytes data not None):
    """Return what `read_container` does, of a file that holds a whole and sound model."""
    cdef rk.rk_modelfile file
    cdef rk.rk_error error
    cdef rk.rk_status status
    cdef const char *first = data
    cdef size_t n_bytes = <size_t>len(data)
    with nogil:
        status = rk.rk_modelfile_open(&file, first, n_bytes, &error)
    check_file(status, &error)
    found = contents(data, &file.container)
    rk.rk_modelfile_close(&file)
    return found
