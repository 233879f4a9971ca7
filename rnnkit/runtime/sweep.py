# SPDX-License-Identifier: BSD-3-Clause
"""One pass over documents of any lengths, in windows of bounded memory.

Documents are dealt to rows, the longest row first, and rows run side by side with their
state carried from window to window. A row that ends within a window is switched off,
and the next window is without it: ragged documents cost what their tokens cost.
Nothing is cut and nothing is padded into a document, so a document's figures do not
depend on its neighbours, to the bit.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from rnnkit.core import State, Weights, Window
from rnnkit.model import Network
from rnnkit.runtime.corpus import Corpus

MAX_ROWS = 64
MAX_POSITIONS = 2048  # rows x steps of one window: enough work a call, little memory
LEAST_STEPS = 8  # a window is not made shorter than this because rows end in it
LOGITS_ROWS = 128  # rows of the whole vocabulary at a time
KEPT_WINDOWS = 4  # of each length, for the next calls
KEPT_STEPS = 64  # longer windows, or wider ones, are cheap beside the work they do


@dataclass(frozen=True)
class Rows:
    """Documents dealt to rows, the longest row first.

    `order[starts[b]:starts[b] + lengths[b]]` are the corpus positions of row b.
    """

    order: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    has_resets: bool  # some row holds more than one document

    def n_running(self, done: int) -> int:
        """Return how many rows (the first ones) go on after `done` steps."""
        return int(np.count_nonzero(self.lengths > done))

    def n_steps(self, done: int, n_rows: int, most: int) -> int:
        """Return how many steps to take next: until an eighth of the rows end."""
        left = self.lengths[:n_rows] - done
        most = min(most, int(left[0]))
        return min(most, max(LEAST_STEPS, int(left[n_rows - 1 - n_rows // 8])))

    def positions(self, done: int, n_steps: int, n_rows: int) -> np.ndarray:
        """Return the corpus positions (T, B) of the next steps, -1 after a row."""
        steps = np.arange(done, done + n_steps)[:, None]
        places = np.minimum(self.starts[:n_rows] + steps, len(self.order) - 1)
        return np.where(steps < self.lengths[:n_rows], self.order[places], -1)


@dataclass(frozen=True)
class Step:
    """What one window has just computed; `positions` (T, B) of the corpus, -1: none."""

    window: Window
    positions: np.ndarray

    def distributions(self, n_threads: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield positions (n,) with the log-probabilities (n, V) that follow them."""
        places = self.positions.ravel()
        real = np.flatnonzero(places >= 0).astype(np.int32)
        for i in range(0, len(real), LOGITS_ROWS):
            rows = real[i : i + LOGITS_ROWS]
            yield places[rows], self.window.log_probabilities(rows, n_threads=n_threads)


class Engine:
    """Weights ready to run, and the windows that wait for their next use."""

    def __init__(self, network: Network, weights: Weights) -> None:
        self.network = network
        self.weights = weights
        self._pool: dict[int, deque[Window]] = {}

    def state(self, batch_size: int) -> State:
        """Return the initial state of `batch_size` rows."""
        return State(self.weights, self.network.programs(), batch_size)

    def gather(self, states: Sequence[State], rows: Sequence[int]) -> State:
        """Return a state of these rows of `states`, counted through from 0."""
        result = self.state(len(rows))
        for layer, program in enumerate(self.network.programs()):
            for k in range(program.n_states):
                values = np.concatenate([state.get(layer, k) for state in states])
                result.set(layer, k, values[rows])
        return result

    def read(self, ids: np.ndarray, state: State, n_threads: int) -> None:
        """Move the state of one row on over `ids`, in windows as long as can be."""
        done = 0
        while (left := len(ids) - done) > 0:
            n_steps = power_of_two(min(MAX_POSITIONS, left))
            with self.window(n_steps, 1, flags=False) as window:
                part = np.ascontiguousarray(ids[done : done + n_steps, None])
                window.forward(part, state, n_threads=n_threads)
            done += n_steps

    @contextmanager
    def window(self, n_steps: int, batch_size: int, flags: bool) -> Iterator[Window]:
        """Lend a window to one caller; small ones of one row are kept for the next."""
        keep = batch_size == 1 and n_steps <= KEPT_STEPS and not flags
        pool = (
            self._pool.setdefault(n_steps, deque(maxlen=KEPT_WINDOWS)) if keep else []
        )
        try:
            window = pool.pop()  # one thread gets it: a deque's methods are atomic
        except IndexError:
            programs = self.network.programs(flags=flags)
            window = Window(self.weights, programs, n_steps, batch_size)
        try:
            yield window
        finally:
            pool.append(window)

    def sweep(
        self,
        inputs: Corpus,
        targets: np.ndarray | None = None,
        *,
        carry_state: bool = False,
        n_threads: int = 1,
    ) -> Iterator[Step]:
        """Run every document of `inputs` once; yield after each window.

        Parameters
        ----------
        inputs : Corpus
            What is read; no document may be empty.
        targets : (N,) int32, optional
            What is predicted at each position of `inputs`.
        carry_state : bool
            Read the documents as one running text, not each from the initial state.
        n_threads : int
            Threads of the core.

        Yields
        ------
        Step
            Its window is the caller's until the next step is asked for.
        """
        rows = _one_row(inputs) if carry_state else _deal(inputs)
        starts = inputs.starts()
        done, n_rows = 0, len(rows.lengths)
        state = self.state(n_rows)
        while n_rows:
            longest = int(rows.lengths[0]) - done
            most = power_of_two(min(MAX_POSITIONS // n_rows, longest))
            flags = rows.has_resets or rows.lengths[0] != rows.lengths[n_rows - 1]
            with self.window(most, n_rows, flags) as window:
                enough = n_rows // 2  # then longer windows of fewer rows are better
                while n_rows > enough:
                    n_steps = rows.n_steps(done, n_rows, most)
                    positions = rows.positions(done, n_steps, n_rows)
                    resets, active = (
                        _flags(positions, starts) if flags else (None, None)
                    )
                    scored = (positions >= 0).astype(np.float32)
                    window.forward(
                        inputs.ids[positions],
                        state,
                        targets=None if targets is None else targets[positions],
                        target_weights=None if targets is None else scored,
                        n_threads=n_threads,
                        resets=resets,
                        active=active,
                    )
                    yield Step(window, positions)
                    done += n_steps
                    n_left = rows.n_running(done)
                    if n_left < n_rows:
                        state = self.gather([state], range(n_left)) if n_left else state
                        n_rows = n_left


def _flags(positions: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return where documents begin, and where rows have not ended."""
    active = (positions >= 0).astype(np.uint8)
    return starts[positions] & active, active


def _one_row(inputs: Corpus) -> Rows:
    n = len(inputs.ids)
    return Rows(np.arange(n), np.zeros(1, np.int64), np.array([n]), has_resets=False)


def _deal(inputs: Corpus) -> Rows:
    """Deal the documents, longest first, to rows in turn, there and back again."""
    n_rows = min(MAX_ROWS, len(inputs))
    by_length = np.argsort(-inputs.lengths, kind="stable")
    turn, seat = np.divmod(np.arange(len(inputs)), n_rows)
    row = np.where(turn % 2 == 0, seat, n_rows - 1 - seat)
    totals = np.bincount(row, inputs.lengths[by_length], n_rows).astype(np.int64)
    rank = np.empty(n_rows, np.int64)
    rank[np.argsort(-totals, kind="stable")] = np.arange(n_rows)
    documents = by_length[np.lexsort((turn, rank[row]))]
    lengths = -np.sort(-totals)
    starts = np.cumsum(lengths) - lengths
    has_resets = len(inputs) > n_rows
    return Rows(inputs.positions(documents), starts, lengths, has_resets)


def power_of_two(limit: int) -> int:
    """Return the largest power of two up to `limit`: few shapes, often met again."""
    return 1 << (limit.bit_length() - 1)
