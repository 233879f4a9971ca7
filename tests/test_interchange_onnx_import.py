# SPDX-License-Identifier: BSD-3-Clause
"""ONNX models taken over: the operators' own test cases, and models of many forms."""

import numpy as np
import pytest

import rnnkit
from rnnkit import cells
from rnnkit.compiler import trace
from rnnkit.errors import ConversionError
from rnnkit.interchange import onnx_equations, onnx_import
from rnnkit.interchange.cells import ACTIVATIONS
from rnnkit.interchange.onnx_equations import operator
from rnnkit.interchange.onnx_export import to_onnx_bytes
from rnnkit.interchange.onnx_import import read_onnx
from rnnkit.interchange.running import log_softmax, run
from rnnkit.model import Network, NetworkConfig
from rnnkit.runtime import LanguageModel
from rnnkit.runtime.encoder import IdEncoder

onnx = pytest.importorskip("onnx", reason="ONNX models are read by the package onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

V, E, H = 9, 4, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def language_model(
    kind,
    *,
    attributes=(),
    extra=None,
    time_first=True,
    head="MatMul",
    inputs=(),
    change=lambda nodes: nodes,
    dtype=np.float32,
):
    """A small model around one recurrent node, as exporters write it."""
    rng = np.random.default_rng(len(kind))
    n = GATES[kind] * H
    tensors = {
        "E": rng.normal(size=(V, E)),
        "W": rng.normal(size=(1, n, E)),
        "R": rng.normal(size=(1, n, H)) * 0.5,
        "B": rng.normal(size=(1, 2 * n)),
        "O": rng.normal(size=(H, V)),
        "b": rng.normal(size=V),
        **(extra or {}),
    }
    slots = ["x", "W", "R", "B"]
    slots += [s if s in tensors or s in inputs else "" for s in ("L", "h0", "c0", "P")]
    while not slots[-1]:
        slots.pop()
    node = helper.make_node
    nodes = [
        node("Transpose", ["ids"], ["turned"], perm=[1, 0]),
        node("Gather", ["E", "ids" if time_first else "turned"], ["x"], name="table"),
        node(kind, slots, ["Y", "Yh"], name="layer", hidden_size=H, **dict(attributes)),
        node("Squeeze", ["Y", "one"], ["y"]),
    ]
    tensors["one"] = np.array([1])
    if dict(attributes).get("layout"):  # Y is (B, T, directions, H)
        tensors["one"] = np.array([2])
    if head == "Gemm":
        tensors["rows"] = np.array([-1, H])
        tensors["O"] = tensors["O"].T
        nodes += [
            node("Reshape", ["y", "rows"], ["flat"]),
            node("Gemm", ["flat", "O", "b"], ["logits"], name="linear", transB=1),
        ]
    else:
        nodes += [
            node("MatMul", ["y", "O"], ["product"], name="linear"),
            node("Add", ["product", "b"], ["sum"]),
            node(head if head != "MatMul" else "Identity", ["sum"], ["logits"]),
        ]
    made = [
        numpy_helper.from_array(
            np.asarray(a, dtype if np.asarray(a).dtype.kind == "f" else None), name
        )
        for name, a in tensors.items()
    ]
    real = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    infos = {
        "ids": (TensorProto.INT64, ["first", "second"]),
        "L": (TensorProto.INT32, ["rows"]),
        "h0": (real, [1, "rows", H]),
        "c0": (real, [1, "rows", H]),
        "mask": (real, ["rows"]),
    }
    graph = helper.make_graph(
        change(nodes),
        "model",
        [helper.make_tensor_value_info(n, *infos[n]) for n in ("ids", *inputs)],
        [helper.make_tensor_value_info("logits", real, None)],
        made,
    )
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("strange", 1)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def reference_log_p(model, ids, **inputs):
    """The log-probabilities (T, B, V) of another program that runs ONNX."""
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the oracle")
    feed = {"ids": ids, **inputs}
    if model.graph.output[0].type.tensor_type.elem_type == TensorProto.DOUBLE:
        logits = ReferenceEvaluator(model).run(None, feed)[0]
    else:
        session = runtime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        logits = session.run(None, feed)[0]
    return log_softmax(logits.reshape(*ids.shape, V))


LBR = {"linear_before_reset": 1}
FORMS = {
    "rnn": ("RNN", {}),
    "relu": ("RNN", {"attributes": {"activations": ["Relu"]}}),
    "gru": ("GRU", {}),
    "gru_reset_after": ("GRU", {"attributes": LBR}),
    "lstm": ("LSTM", {}),
    "gemm": ("LSTM", {"head": "Gemm"}),
    "log_softmax": ("GRU", {"head": "LogSoftmax"}),
    "softmax": ("GRU", {"head": "Softmax"}),
    "softsign": (
        "LSTM",
        {"attributes": {"activations": ["Sigmoid", "Softsign", "Tanh"]}},
    ),
    "peepholes": ("LSTM", {"extra": {"P": np.linspace(-1, 1, 3 * H)[None]}}),
    "states": ("LSTM", {"inputs": ("h0", "c0")}),
    "lengths": ("GRU", {"inputs": ("L",)}),
    "double": ("LSTM", {"dtype": np.float64}),
    "no_biases": ("GRU", {"extra": {"B": np.zeros((1, 6 * H))}}),
}
CELLS = {
    "rnn": cells.RNN(),
    "relu": cells.RNN("relu"),
    "gru": cells.ResetBeforeGRU(),
    "gru_reset_after": cells.GRU(),
    "lstm": cells.LSTM(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_model_is_taken_over_and_predicts_the_same(form):
    kind, settings = FORMS[form]
    model = language_model(kind, **settings)
    parts = read_onnx(model)
    assert parts.dtype == ("float64" if form == "double" else "float32")
    if form in CELLS:
        assert parts.layers[0].cell == CELLS[form]
    ids = np.random.default_rng(1).integers(0, V, (6, 3))
    zeros = np.zeros((1, 3, H), settings.get("dtype", np.float32))
    values = {"h0": zeros, "c0": zeros, "L": np.full(3, 6, np.int32)}
    inputs = {name: values[name] for name in settings.get("inputs", ())}
    if form == "softmax":
        return  # its values are no logits; the import has compared their logarithms
    expected = reference_log_p(model, ids, **inputs)
    found, _ = run(parts.model(), ids)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("kind", GATES)
def test_rows_may_come_first(kind):
    model = language_model(kind, time_first=False)
    ids = np.random.default_rng(1).integers(0, V, (3, 6))
    turned = language_model(kind)
    expected = reference_log_p(turned, ids.T)
    np.testing.assert_allclose(
        run(read_onnx(model).model(), ids.T)[0], expected, atol=2e-6
    )


ACTIVATED = [
    ("LeakyRelu", [0.1], []),
    ("ThresholdedRelu", [0.3], []),
    ("HardSigmoid", [0.3], [0.4]),
    ("Elu", [0.7], []),
    ("Softsign", [], []),
    ("Softplus", [], []),
    ("Sigmoid", [], []),
]


@pytest.mark.parametrize(("name", "alpha", "beta"), ACTIVATED)
def test_other_activations_are_equations_of_the_cell(name, alpha, beta):
    pytest.importorskip("onnxruntime", reason="the package onnx has not all of them")
    attributes = {"activations": [name]}
    attributes |= {"activation_alpha": alpha} if alpha else {}
    attributes |= {"activation_beta": beta} if beta else {}
    parts = read_onnx(language_model("RNN", attributes=attributes))
    assert parts.layers[0].cell.activations == ((name, *map(np.float32, alpha + beta)),)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_a_constant_first_state_is_learned_and_comes_back_at_resets(kind):
    first = np.linspace(-1, 1, H)
    extra = {"h0": np.tile(first, (1, 3, 1))}
    extra |= {"c0": np.tile(-first, (1, 3, 1))} if kind == "LSTM" else {}
    model = language_model(kind, extra=extra)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    ids = np.random.default_rng(1).integers(0, V, (6, 3))
    lm = rnnkit.from_onnx(model, n_threads=1)
    expected = reference_log_p(model, ids)
    np.testing.assert_allclose(run(lm.to_runtime(), ids)[0], expected, atol=2e-6)
    document = ids[:, 0] % (V - 1)
    alone = lm.score_samples([document])
    assert lm.score_samples([document] * 70) == pytest.approx(np.tile(alone, 70))
    lm.partial_fit([document])
    assert (lm.params_["rnn.first_h_l0"] != first).any()


@pytest.mark.parametrize("cell", [cells.LSTM(), cells.GRU(), cells.RNN("relu")])
@pytest.mark.parametrize("tie_weights", [False, True])
def test_what_was_exported_comes_back_to_the_bit(cell, tie_weights):
    graphs = (trace(cell, 6, 6), trace(cell, 6, 6))
    config = NetworkConfig(V, 6, graphs, tie_weights)
    values = Network(config).initial_values(np.random.default_rng(0))
    model = LanguageModel.from_values(config, values, IdEncoder(V - 1))
    lm = rnnkit.from_onnx(to_onnx_bytes(model), max_iter=1)
    assert lm.tie_weights is tie_weights
    assert lm.get_params()["num_layers"] == 2
    assert set(lm.params_) == set(model.params)
    for name, value in model.params.items():
        assert (lm.params_[name] == value).all(), name


# ------------------------------------------------------------- ONNX's own test cases


def cases():
    from onnx.backend.test.case import node
    from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: F401

    names = ("test_gru_", "test_lstm_", "test_rnn_", "test_simple_rnn_")
    return [c for c in node._NodeTestCases if c.name.startswith(names)]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_operators_own_cases_pass(case):
    """Each input of a case becomes a row of an embedding, so that ids stand for it."""
    case_graph = case.model.graph
    (node,) = case_graph.node
    (((x, *weights), outputs),) = case.data_sets
    table = x.reshape(-1, x.shape[-1])
    if len(table) < 2:
        table = np.concatenate([table, table])
    layout = onnx_import._attributes(node).get("layout", 0)
    hidden = weights[1].shape[2]
    rng = np.random.default_rng(0)
    output = rng.normal(size=(hidden, len(table))).astype(np.float32)
    tensors = {"table": table, "output": output, "axis": np.array([2 if layout else 1])}
    names = [info.name for info in case_graph.input][1:]
    weights = [w.astype(np.float32) if w.dtype.kind == "f" else w for w in weights]
    tensors |= dict(zip(names, weights, strict=True))
    layer = onnx.NodeProto()
    layer.CopyFrom(node)
    layer.input[0] = "x"
    del layer.output[:]
    layer.output.append("Y")
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        layer,
        helper.make_node("Squeeze", ["Y", "axis"], ["y"]),
        helper.make_node("MatMul", ["y", "output"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, x.shape[:2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a, n) for n, a in tensors.items()],
    )
    opset = [helper.make_opsetid("", 22)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    if "reverse" in case.name or "bidirectional" in case.name:
        with pytest.raises(ConversionError, match="only 'forward' makes a language"):
            read_onnx(model)
        return
    copy = read_onnx(model).model()
    ids = np.arange(np.prod(x.shape[:2])).reshape(x.shape[:2])
    found, states = run(copy, ids.T if layout else ids)
    final = {info.name: a for info, a in zip(case_graph.output, outputs, strict=True)}
    if "Y_h" in final:
        np.testing.assert_allclose(
            states[0], final["Y_h"].reshape(states[0].shape), 1e-5, 1e-6
        )
    if "Y" in final:
        y = np.squeeze(final["Y"], 2 if layout else 1)
        y = y.transpose(1, 0, 2) if layout else y
        np.testing.assert_allclose(found, log_softmax(y @ output), atol=1e-5)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_equations_that_try_a_model_pass_the_cases(case):
    (node,) = case.model.graph.node
    attributes = onnx_import._attributes(node)
    if attributes.get("direction", "forward") != "forward":
        pytest.skip("one direction alone is tried")
    ((inputs, outputs),) = case.data_sets
    given = iter(inputs)
    found = operator(
        node.op_type, [next(given) if n else None for n in node.input], attributes
    )
    wanted = iter(outputs)
    for name, value in zip(node.output, found, strict=False):
        if name:
            np.testing.assert_allclose(value, next(wanted), 1e-5, 1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("kind", GATES)
def test_they_know_the_activations_as_onnx_runtime_does(kind, name):
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the oracle")
    rng = np.random.default_rng(0)
    n = GATES[kind] * H
    shapes = ((3, 2, E), (1, n, E), (1, n, H), (1, 2 * n))
    inputs = [rng.normal(0, 0.7, shape).astype(np.float32) for shape in shapes]
    attributes = {"activations": list(onnx_equations.DEFAULTS[kind]), "hidden_size": H}
    attributes["activations"][-1] = name
    numbers = ACTIVATIONS[name][1]
    if numbers:
        attributes |= {"activation_alpha": [0.3], "activation_beta": [0.4]}
    node = helper.make_node(kind, ["X", "W", "R", "B"], ["Y"], **attributes)
    info = [helper.make_tensor_value_info(i, 1, None) for i in ("X", "W", "R", "B")]
    out = [helper.make_tensor_value_info("Y", 1, None)]
    graph = helper.make_graph([node], "one", info, out)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8
    )
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    wanted = session.run(None, dict(zip(("X", "W", "R", "B"), inputs, strict=True)))[0]
    found = operator(kind, inputs, attributes)[0]
    np.testing.assert_allclose(found, wanted, 1e-5, 1e-5)


@pytest.mark.parametrize("kind", GATES)
def test_layout_1_and_double_are_tried_with_all_activations(kind, monkeypatch):
    n_activations = len(onnx_equations.DEFAULTS[kind])
    activations = ["Softsign", "Elu", "Relu"][:n_activations]
    attributes = {"layout": 1, "activations": activations}
    settings = {"attributes": attributes, "dtype": np.float64}
    read_onnx(language_model(kind, **settings))
    monkeypatch.setitem(onnx_equations.FUNCTIONS, "softsign", (np.tanh, ()))
    with pytest.raises(ConversionError, match="what was taken over differs"):
        read_onnx(language_model(kind, **settings))


def test_what_is_computed_of_ids_becomes_part_of_the_embedding():
    """As tf2onnx writes it: ids below 0 count from the end; here all ids are moved."""

    def change(nodes):
        nodes[1].input[1] = "places"
        add = helper.make_node("Add", ["ids", "shift"], ["more"])
        return [add, helper.make_node("Mod", ["more", "size"], ["places"]), *nodes]

    extra = {"shift": np.array(2), "size": np.array(V)}
    model = language_model("LSTM", change=change, extra=extra)
    ids = np.arange(2 * V).reshape(V, 2) % V
    expected = reference_log_p(model, ids)
    copy = read_onnx(model).model()
    np.testing.assert_allclose(run(copy, ids)[0], expected, atol=2e-6)
    plain = {n: np.array(1000) for n in ("shift", "size")}
    with pytest.raises(ConversionError, match=r"'table' .* no row for each of"):
        read_onnx(
            language_model("LSTM", change=change, extra=plain | {"size": V * 1000})
        )


@pytest.mark.parametrize("source", [b"something else", "a file", 3])
def test_what_is_no_model_is_refused(source, tmp_path):
    if source == "a file":
        source = tmp_path / "a.onnx"
        source.write_text("something else", "utf-8")
    with pytest.raises(ConversionError, match="no model that the package onnx reads"):
        read_onnx(source)


# --------------------------------------------------------------------------- refusals


def attribute(**values):
    return {"attributes": values}


def with_node(operator, at=-3, **attributes):
    """The model with one more node behind the layer."""

    def change(nodes):
        nodes[at].output[0] = "before"
        more = helper.make_node(operator, ["before"], ["y"], name="more", **attributes)
        return [*nodes[: at + 1], more, *nodes[at + 1 :]] if at + 1 else [*nodes, more]

    return {"change": change}


def domain(nodes):
    nodes[0].domain = "strange"
    nodes[0].name = "foreign"
    return nodes


def looped(nodes):
    nodes[2].op_type, nodes[2].name = "Loop", "while"
    return nodes


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("LSTM", attribute(clip=1.0), r"'layer' \(LSTM\): clip is not supported"),
        ("LSTM", attribute(input_forget=1), "input_forget=1 is not supported"),
        ("GRU", attribute(direction="reverse"), "direction='reverse' reads what"),
        ("RNN", attribute(activations=["Affine"]), "activation 'Affine' is not"),
        ("RNN", attribute(activations=["ThresholdedRelu"]), "without activation_alpha"),
        ("GRU", {"dtype": np.float16}, "the model computes in float16"),
        ("GRU", {"change": looped}, r"'while' \(Loop\): .* There is no RNN, GRU or"),
        ("LSTM", {"inputs": ("P",)}, "P 'P' is not a constant"),
        ("GRU", {"change": domain}, "'foreign'.*domain 'strange' is not ONNX's"),
        ("GRU", {"change": lambda nodes: nodes[:2]}, "no output of the model is made"),
        ("GRU", with_node("Tanh", 3), r"'more' \(Tanh\): a language model of other"),
        ("RNN", {"extra": {"h0": np.ones((1, 2, H)) * [[[1], [2]]]}}, "row to row"),
    ],
)
def test_what_is_not_supported_is_refused_by_its_node(
    kind, settings, message, monkeypatch
):
    if settings.get("inputs") == ("P",):
        settings = {**settings, "inputs": ("h0",)}
        settings["change"] = _foreign_peepholes
    with pytest.raises(ConversionError, match=message):
        read_onnx(language_model(kind, **settings))


def _foreign_peepholes(nodes):
    nodes[2].input.extend(["", "", "h0"][: 8 - len(nodes[2].input)])
    while len(nodes[2].input) < 8:
        nodes[2].input.append("")
    nodes[2].input[7] = "P"
    return nodes


def test_a_model_that_does_not_run_on_trial_is_refused():
    model = language_model("GRU", inputs=("h0",))
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 3  # and ids free
    with pytest.raises(ConversionError, match="does not run on trial"):
        read_onnx(model)


def test_a_copy_that_computes_otherwise_is_an_error(monkeypatch):
    monkeypatch.setitem(onnx_import.GATES, "LSTM", "ofig")
    with pytest.raises(ConversionError, match="what was taken over differs"):
        read_onnx(language_model("LSTM"))
