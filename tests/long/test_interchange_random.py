# SPDX-License-Identifier: BSD-3-Clause
"""Models drawn at random, taken over from PyTorch and ONNX and written as ONNX."""

import importlib
import inspect

import numpy as np
import pytest

import rnnkit
from rnnkit import cells, plugins
from rnnkit.cells import RNN, Cell
from rnnkit.compiler import trace
from rnnkit.errors import ConversionError
from rnnkit.interchange.onnx_export import export_onnx, initial_states
from rnnkit.interchange.onnx_import import read_onnx
from rnnkit.interchange.running import log_softmax, run
from rnnkit.model import Network, NetworkConfig
from rnnkit.runtime import LanguageModel
from rnnkit.runtime.encoder import IdEncoder

TOLERANCE = {"float64": 1e-10, "float32": 1e-5, "float16": 1e-5}
EMBEDDINGS = ("embedding", "encoder", "wte", "0", "lm.embed_tokens")
OUTPUTS = ("decoder", "fc", "lm_head", "2", "generator")
LAYERS = ("rnn", "lstm", "1", "lm.backbone")

# --------------------------------------------------------------------------- PyTorch


class Torch:
    """A language model of PyTorch, of sizes, options and names drawn by a seed."""

    def __init__(self, torch, seed):
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        self.torch = torch
        kind = rng.choice(["tanh", "relu", "LSTM", "projected", "GRU"])
        self.dtype = str(
            rng.choice(["float64", "float32", "float16"], p=[0.5, 0.4, 0.1])
        )
        self.n_layers = int(rng.integers(1, 5))
        self.vocab_size, size, hidden = (int(n) for n in rng.integers(2, 30, 3))
        extra = (
            {"proj_size": int(rng.integers(1, hidden))} if kind == "projected" else {}
        )
        if kind in ("tanh", "relu"):
            extra = {"nonlinearity": kind}
        self.cell = {"tanh": "rnn", "relu": RNN("relu")}.get(kind)
        module = {"tanh": "RNN", "relu": "RNN", "projected": "LSTM"}.get(kind, kind)
        self.width = extra.get("proj_size", hidden)
        self.tied = bool(rng.random() < 0.3)
        size = self.width if self.tied else size
        self.batch_first = bool(rng.random() < 0.5)
        self.rnn = getattr(torch.nn, module)(
            size,
            hidden,
            self.n_layers,
            bias=bool(rng.random() < 0.7),
            batch_first=self.batch_first,
            **extra,
        )
        padding = 0 if rng.random() < 0.3 else None
        self.embedding = torch.nn.Embedding(self.vocab_size, size, padding)
        has_bias = bool(rng.random() < 0.8)
        self.output = torch.nn.Linear(self.width, self.vocab_size, bias=has_bias)
        if self.tied:
            self.output.weight = self.embedding.weight
        self.names = [rng.choice(a) for a in (EMBEDDINGS, LAYERS, OUTPUTS)]
        prefix = rng.choice(["", "module."])
        self.names = [f"{prefix}{name}" for name in self.names]

    def state_dict(self):
        """All tensors, and the modules then as exact as they."""
        modules = (self.embedding, self.rnn, self.output)
        for module in modules:
            module.to(getattr(self.torch, self.dtype)).eval()
        found = {
            f"{name}.{key}": value.clone()
            for name, module in zip(self.names, modules, strict=True)
            for key, value in module.state_dict().items()
        }
        if self.dtype == "float16":
            for module in modules:
                module.float()
        return found

    def run(self, ids, states=None):
        """Log-probabilities (T, B, V), and the last states by layer."""
        with self.torch.no_grad():
            x = self.embedding(self.torch.tensor(ids))
            x = x.transpose(0, 1) if self.batch_first else x
            y, last = self.rnn(x, states)
            y = y.transpose(0, 1) if self.batch_first else y
            log_p = self.torch.log_softmax(self.output(y), -1).numpy()
        last = last if isinstance(last, tuple) else (last,)
        return log_p, [s[k].numpy() for k in range(self.n_layers) for s in last]

    def states(self, n_rows):
        """First states as PyTorch takes them."""
        dtype = self.rnn.weight_hh_l0.dtype
        widths = [self.width]
        if isinstance(self.rnn, self.torch.nn.LSTM):
            widths.append(self.rnn.hidden_size)
        found = [
            self.torch.randn(self.n_layers, n_rows, w, dtype=dtype) for w in widths
        ]
        return tuple(found) if len(found) > 1 else found[0]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneD")
@pytest.mark.parametrize("seed", range(120))
def test_a_drawn_model_of_pytorch_predicts_the_same_here(seed):
    torch = pytest.importorskip("torch", reason="compares with PyTorch as it runs")
    model = Torch(torch, seed)
    embedding, _, output = model.names
    lm = rnnkit.from_torch_state_dict(
        model.state_dict(), cell=model.cell, embedding=embedding, output=output
    )
    assert lm.tie_weights is model.tied
    tolerance = TOLERANCE[model.dtype]
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, model.vocab_size, (6, 3))
    states = model.states(3)
    both = states if isinstance(states, tuple) else (states,)
    first = [s[k].numpy() for k in range(model.n_layers) for s in both]
    log_p, last = run(lm.to_runtime(), ids, first)
    expected, expected_last = model.run(ids, states)
    scale = max(1.0, *(float(np.abs(a).max()) for a in expected_last))
    np.testing.assert_allclose(log_p, expected, atol=tolerance * scale)
    for found, wanted in zip(last, expected_last, strict=True):
        np.testing.assert_allclose(found, wanted, atol=tolerance * scale)
    end = model.vocab_size - 1
    document = rng.integers(0, end, 9)
    read = np.concatenate([[end], document])[:, None]
    targets = np.concatenate([document, [end]])
    chosen = model.run(read)[0][np.arange(10), 0, targets]
    expected_perplexity = np.exp(-chosen.mean())
    assert lm.perplexity([document]) == pytest.approx(expected_perplexity, rel=1e-5)


# ------------------------------------------------------------------------------ ONNX

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS = ("Tanh", "Sigmoid", "Relu", "LeakyRelu", "HardSigmoid", "Elu", "Softsign")
HAS_ALPHA = ("LeakyRelu", "HardSigmoid", "Elu")


class Onnx:
    """A graph in one of the many ways in which exporters write the same model."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.tensors, self.inputs = [], [], []
        self.opset = int(self.choice(11, 12, 13, 14, 17, 20, 22))
        self.vocab_size, width = (int(n) for n in self.rng.integers(2, 20, 2))
        self.batch_first = self.chance(0.5)
        self.layout = int(self.opset >= 14 and self.batch_first and self.chance(0.5))
        self.dtype = np.float64 if self.chance(0.2) else np.float32
        self.states: dict[str, int] = {}
        self.lengths = False
        turns = self.batch_first and not self.layout
        before = turns and self.chance(0.5)
        ids = self.add("Transpose", "ids", perm=[1, 0]) if before else "ids"
        x = self.add("Gather", self.weight(self.vocab_size, width), ids)
        if turns and not before:
            x = self.add("Transpose", x, perm=[1, 0, 2])
        for _ in range(int(self.rng.integers(1, 4))):
            x, width = self.layer(x, width)
        if turns and self.chance(0.5):
            x = self.add("Transpose", x, perm=[1, 0, 2])
        self.is_probability = False
        self.logits = self.output(x, width)

    def choice(self, *options):
        return options[self.rng.integers(len(options))]

    def chance(self, p):
        return bool(self.rng.random() < p)

    def add(self, operator, *inputs, n=1, **attributes):
        from onnx import helper

        names = [i if isinstance(i, str) else self.store(np.array(i)) for i in inputs]
        outputs = [f"/{operator}.{len(self.nodes)}.{i}" for i in range(n)]
        name = f"node {len(self.nodes)}" if self.chance(0.7) else ""
        made = helper.make_node(operator, names, outputs, name, **attributes)
        self.nodes.append(made)
        return outputs[0]

    def store(self, array):
        from onnx import numpy_helper

        name = f"w{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def weight(self, *shape):
        """A constant: an initializer, or something to be computed at once."""
        from onnx import helper, numpy_helper

        array = self.rng.normal(0, 0.4, shape).astype(self.dtype)
        real = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        match self.choice("plain", "constant", "identity", "cast", "turned", "joined"):
            case "constant":
                return self.add("Constant", value=numpy_helper.from_array(array))
            case "identity":
                return self.add("Identity", self.store(array))
            case "cast":
                return self.add("Cast", self.store(array.astype(np.float64)), to=real)
            case "turned":
                axes = [int(i) for i in self.rng.permutation(array.ndim)]
                back = [int(i) for i in np.argsort(axes)]
                return self.add(
                    "Transpose", self.store(array.transpose(axes)), perm=back
                )
            case "joined":
                return self.add("Concat", array[..., :1], array[..., 1:], axis=-1)
        return self.store(array)

    def squeeze(self, x, axis):
        if self.opset < 13:
            return self.add("Squeeze", x, axes=[axis])
        return self.add("Squeeze", x, [axis])

    def layer(self, x, width):
        """Add a recurrent node; return its outputs (T, B, H), and H."""
        kind, size = self.choice(*GATES), int(self.rng.integers(1, 12))
        n = GATES[kind] * size
        attributes = {"hidden_size": size}
        if self.layout:
            attributes["layout"] = 1
        if kind == "GRU":
            attributes["linear_before_reset"] = int(self.chance(0.5))
        if self.chance(0.3):
            count = {"RNN": 1, "GRU": 2, "LSTM": 3}[kind]
            chosen = [self.choice(*ACTIVATIONS) for _ in range(count)]
            attributes["activations"] = chosen
            if self.chance(0.5):
                alphas = [0.3 for name in chosen if name in HAS_ALPHA]
                attributes |= {"activation_alpha": alphas} if alphas else {}
        inputs = [x, self.weight(1, n, width), self.weight(1, n, size)]
        inputs.append(self.weight(1, 2 * n) if self.chance(0.8) else "")
        self.lengths |= (has_lengths := self.chance(0.2))
        inputs.append("lengths" if has_lengths else "")
        inputs += self.first_states(kind, x, size)
        if kind == "LSTM" and self.chance(0.3):
            inputs += [self.weight(1, 3 * size)]
        while not inputs[-1]:
            inputs.pop()
        y = self.add(kind, *inputs, n=2, **attributes)
        if self.layout or self.chance(0.3):
            turned = y if self.layout else self.add("Transpose", y, perm=[0, 2, 1, 3])
            return self.add("Reshape", turned, [0, 0, -1]), size
        return self.squeeze(y, 1), size

    def first_states(self, kind, x, size):
        """Nothing, inputs, or zeros of a shape that is computed."""
        how = self.choice("none", "input", "shape")
        found = []
        for _ in range(2 if kind == "LSTM" else 1):
            name = f"state{len(self.states)}"
            if how == "input":
                self.states[name] = size
            if how == "shape":
                rows = self.add("Gather", self.add("Shape", x), [1 - self.layout])
                ends = (rows, [1]) if self.layout else ([1], rows)
                shape = self.add("Concat", *ends, [size], axis=0)
                name = self.add("Expand", np.zeros((1, 1, 1), self.dtype), shape)
            found.append("" if how == "none" else name)
        return found + [""] * (2 - len(found))

    def output(self, x, width):
        kind = self.choice("MatMul", "Gemm", "transposed")
        size = self.vocab_size
        if kind == "MatMul":
            logits = self.add("MatMul", x, self.weight(width, size))
            if self.chance(0.7):
                logits = self.add("Add", logits, self.weight(size))
        else:
            rows = self.add("Reshape", x, [-1, width])
            shape = (size, width) if kind == "transposed" else (width, size)
            settings = {"transB": int(kind == "transposed"), "alpha": 0.5, "beta": 0.25}
            bias = self.weight(size)
            logits = self.add("Gemm", rows, self.weight(*shape), bias, **settings)
        last = self.choice("", "Softmax", "LogSoftmax")
        self.is_probability = last == "Softmax"
        axis = 2 if kind == "MatMul" else 1
        return self.add(last, logits, axis=axis) if last else logits

    def model(self):
        from onnx import TensorProto, helper

        real = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        info = helper.make_tensor_value_info
        inputs = [info("ids", TensorProto.INT64, ["first", "second"])]
        if self.lengths:
            inputs.append(info("lengths", TensorProto.INT32, ["rows"]))
        for name, size in self.states.items():
            inputs.append(info(name, real, self._shape(size, "rows")))
        outputs = [info(self.logits, real, None)]
        graph = helper.make_graph(self.nodes, "drawn", inputs, outputs, self.tensors)
        opset = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)

    def _shape(self, size, rows):
        return (rows, 1, size) if self.layout else (1, rows, size)

    def feed(self, ids):
        """Inputs for ids (T, B)."""
        n_steps, n_rows = ids.shape
        found = {"ids": ids.T if self.batch_first else ids}
        if self.lengths:
            found["lengths"] = np.full(n_rows, n_steps, np.int32)
        for name, size in self.states.items():
            found[name] = np.zeros(self._shape(size, n_rows), self.dtype)
        return found


@pytest.mark.parametrize("seed", range(200))
def test_a_drawn_graph_predicts_the_same_here(seed):
    pytest.importorskip("onnx", reason="ONNX models are read by the package onnx")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the oracle")
    drawn = Onnx(seed)
    model = drawn.model()
    copy = read_onnx(model).model()  # itself a trial, where ONNX Runtime cannot run it
    if drawn.layout or drawn.dtype == np.float64:
        return
    ids = np.random.default_rng(seed).integers(0, drawn.vocab_size, (5, 3))
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    outputs = session.run(None, drawn.feed(ids))[0].reshape(-1, drawn.vocab_size)
    log_p = np.log(outputs) if drawn.is_probability else log_softmax(outputs)
    found = run(copy, ids)[0]
    errors = [
        np.abs(log_p - a.reshape(log_p.shape)).max()
        for a in (found, found.transpose(1, 0, 2))
    ]
    assert min(errors) < 1e-5 * (1 + np.abs(log_p).max())


# ---------------------------------------------------------------------------- export

UNARY = ("relu", "abs", "sigmoid", "tanh", "softplus", "logsigmoid", "stop_gradient")


class Drawn(Cell):
    """Equations drawn by a seed, of all that a cell can be made of."""

    states = ("h", "c")

    def __init__(self, seed):
        self.seed = seed

    def step(self, x, h, c):
        rng = np.random.default_rng(self.seed)
        known = [*self.linear("abc", x, h), h, c, self.vector("v"), self.vector("w")]
        for _ in range(rng.integers(4, 16)):
            a, b, d = (known[rng.integers(len(known))] for _ in range(3))
            known.append(self._made(rng.integers(9), UNARY[rng.integers(7)], a, b, d))
        first, second, third = known[-3:]
        return cells.tanh(third + 0 * h), cells.tanh(second - first + 0.5 * c)

    def _made(self, kind, unary, a, b, d):
        full = a + 0 * self.linear(["q"], d + 0 * a, bias=False) if kind > 6 else a
        made = (
            lambda: a + 0.5 * b,
            lambda: cells.tanh(a) * b - d,
            lambda: a / (1 + cells.abs(b)),
            lambda: getattr(cells, unary)(a),
            lambda: cells.select(
                a >= b, d, cells.select(a == d, b, cells.maximum(a, d))
            ),
            lambda: cells.minimum(a, 0.3) + cells.sqrt(1 + cells.abs(b)),
            lambda: cells.exp(cells.minimum(a, 1)) - cells.log(1 + cells.abs(b)),
            lambda: cells.mean(full) * b + cells.max(full) - cells.sum(full) / 9,
            lambda: cells.concat(*reversed(cells.split(full, 2))),
        )
        return made[kind]()


def named_cells(root, monkeypatch):
    """All cells that are built in or stand in plugins/."""
    found = {name: plugins.make_cell(name) for name in plugins.BUILT_IN["cell"]}
    for package in sorted((root / "plugins").glob("rnnkit-*")):
        monkeypatch.syspath_prepend(str(package))
        module = importlib.import_module(package.name.replace("-", "_"))
        for name, cls in vars(module).items():
            if inspect.isclass(cls) and issubclass(cls, Cell) and cls is not Cell:
                found[name] = cls()
    return found


def exported_error(cell, folder, dtype, n_layers=2):
    """How far ONNX Runtime is from the core, over windows with the state carried."""
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime runs the exports")
    graphs = []
    for _ in range(n_layers):
        graphs.append(trace(cell, graphs[-1].output_width if graphs else 6, 8))
    config = NetworkConfig(11, 6, tuple(graphs), dtype=dtype)
    rng = np.random.default_rng(0)
    values = Network(config).initial_values(rng)
    values = {n: a + rng.normal(0, 0.2, a.shape) for n, a in values.items()}
    model = LanguageModel.from_values(config, values, IdEncoder(10))
    export_onnx(model, folder / "model.onnx")
    session = runtime.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    names, worst = [i.name for i in session.get_inputs()], 0.0
    for n_rows in (1, 7):
        mine = theirs = initial_states(model, n_rows)
        for n_steps in (3, 1, 6, 2):
            ids = rng.integers(0, 11, (n_steps, n_rows))
            log_p, mine = run(model, ids, mine)
            feed = dict(zip(names, [ids.T, *theirs], strict=True))
            logits, *theirs = session.run(None, feed)
            found = [log_softmax(logits).transpose(1, 0, 2), *theirs]
            for a, b in zip(found, [log_p, *mine], strict=True):
                worst = max(worst, float((np.abs(a - b) / (1 + np.abs(b))).max()))
    return worst


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)]
)
def test_every_cell_there_is_computes_the_same_there(
    root, tmp_path, monkeypatch, dtype, tolerance
):
    found = named_cells(root, monkeypatch)
    assert len(found) > 15
    for name, cell in found.items():
        assert exported_error(cell, tmp_path, dtype) < tolerance, name


@pytest.mark.parametrize("seed", range(60))
def test_drawn_equations_compute_the_same_there(seed, tmp_path):
    assert exported_error(Drawn(seed), tmp_path, "float64", 1 + seed % 3) < 1e-10
    try:
        error = exported_error(Drawn(seed), tmp_path, "float32")
    except ConversionError as refusal:  # sums that cancel cost more digits than it has
        pytest.fail(str(refusal))
    assert error < 1e-4
