# SPDX-License-Identifier: BSD-3-Clause
"""A network as data: what must be known to build it, without a single weight."""

from dataclasses import dataclass, field

from rnnkit.compiler import Graph, with_zoneout
from rnnkit.errors import ParameterError
from rnnkit.model.head import Head
from rnnkit.model.projection import projection_graph

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class NetworkConfig:
    """A recurrent language model: embedding, cells, maybe a projection, output layer.

    Parameters
    ----------
    vocab_size : int
        Number of tokens, V.
    embedding_size : int
        Width of an embedded token, E.
    graphs : tuple of Graph
        The plain forward graph of each cell, the lowest first. The first reads
        embeddings, each other the output of the layer below it.
    tie_weights : bool, default=False
        Use the embedding as output weights too; needs E = hidden_size.
    dtype : {"float32", "float64"}, default="float32"
        Arithmetic of weights and states.
    head : Head, optional
        The output layer; a softmax over all tokens by default.
    zoneout : tuple of (str, float), default=()
        Pairs of a state's name and how often, in training, a unit of it keeps its
        value; else it takes the expectation of the two.
    projection : bool, default=False
        A linear layer from the top cell's output to E units, which the output layer
        reads.
    int8 : bool, default=False
        Matrices, the embedding among them, are codes from -127 to 127 with a scale a
        row. Needs float32; does not train.

    Raises
    ------
    ParameterError
        When the layers do not fit each other, or a number is out of its range.
    """

    vocab_size: int
    embedding_size: int
    graphs: tuple[Graph, ...]
    tie_weights: bool = False
    dtype: str = "float32"
    head: Head = field(default_factory=Head)
    zoneout: tuple[tuple[str, float], ...] = ()
    projection: bool = False
    int8: bool = False

    def __post_init__(self) -> None:
        if self.vocab_size < 1 or self.embedding_size < 1:
            raise ParameterError(
                f"vocab_size={self.vocab_size} and embedding_size="
                f"{self.embedding_size} must be at least 1"
            )
        if not self.graphs:
            raise ParameterError("a network needs at least one layer")
        width = self.embedding_size
        for k, graph in enumerate(self.graphs):
            if graph.input_width != width:
                raise ParameterError(
                    f"layer {k} reads {graph.input_width} units, but {width} arrive"
                )
            width = graph.output_width
        if self.tie_weights and self.hidden_size != self.embedding_size:
            raise ParameterError(
                f"tie_weights=True needs embedding_size equal to the output's width: "
                f"embedding_size={self.embedding_size}, the top layer gives "
                f"{self.hidden_size}; set embedding_size to the same, or leave "
                "projection=None, which puts a linear layer between them"
            )
        if self.dtype not in DTYPES:
            raise ParameterError(f"dtype={self.dtype!r}; allowed: {', '.join(DTYPES)}")
        if self.int8 and self.dtype != "float32":
            raise ParameterError(f"int8 weights need dtype='float32', not {self.dtype}")
        self.head.check(self.vocab_size, self.tie_weights)
        for graph in self.graphs if self.zoneout else ():
            try:
                with_zoneout(graph, dict(self.zoneout))
            except ValueError as error:
                raise ParameterError(f"zoneout: {error}") from None

    def require_reals(self, what: str, error: type[Exception] = ParameterError) -> None:
        """Raise `error` where the weights are int8, and `what` cannot be."""
        if self.int8:
            raise error(
                f"{what}: the weights are int8, which predict and do no more; take the "
                "model that they were made of by quantize"
            )

    @property
    def hidden_size(self) -> int:
        """Width of what the output layer reads, H."""
        return self.embedding_size if self.projection else self.top_width

    @property
    def num_layers(self) -> int:
        """Number of cells, L."""
        return len(self.graphs)

    @property
    def layers(self) -> tuple[Graph, ...]:
        """The graph of each layer that runs: the cells', and the projection's."""
        if not self.projection:
            return self.graphs
        projection = projection_graph(self.top_width, self.embedding_size)
        return (*self.graphs, projection)

    @property
    def prediction_layers(self) -> tuple[Graph, ...]:
        """The same as they predict: with the expectation of zoneout."""
        rates = dict(self.zoneout)
        return tuple(
            with_zoneout(graph, rates) if rates and graph.states else graph
            for graph in self.layers
        )

    @property
    def top_width(self) -> int:
        """Width of the top cell's output."""
        return self.graphs[-1].output_width
