"""From the fitted network to mscred.onnx, operator by operator, and the check that both say the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import nn

from haechi.models.mscred import (
    CELL_KERNEL,
    CHANNELS,
    KERNELS,
    SCALES,
    STRIDES,
    TEMPERATURE,
    AttentionConvLSTM,
    Mscred,
)
from haechi.train.error import TrainError
from haechi.train.export import IR_VERSION, MAX_DIFFERENCE, OPSET

Array = npt.NDArray[np.float32]


class _Graph:
    """Nodes and weights as they are added; names are given here."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]] = {}
        self._made = 0

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        self._made += 1
        names = [f"{kind.lower()}_{self._made}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def one(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.add(kind, *inputs, **attributes)[0]

    def weight(self, name: str, value: torch.Tensor) -> str:
        self.weights[name] = value.detach().cpu().numpy().astype(np.float32)
        return name

    def constant(self, *values: int) -> str:
        name = "i_" + "_".join(map(str, values))
        self.weights[name] = np.array(values, np.int64)
        return name


def onnx_of(model: Mscred) -> bytes:
    """float32 signatures [batch, steps, 3, n, n], oldest first -> float32 reconstruction [batch, 3, n, n].

    Checked by onnx.checker. Same weights, same bytes.
    """
    n, steps = model.series, model.steps
    graph = _Graph()
    maps = graph.one("Reshape", "signatures", graph.constant(-1, SCALES, n, n))
    found = []
    for level in range(len(CHANNELS)):
        maps = _encode(graph, model, level, maps)
        found.append(_remember(graph, model, level, maps))
    made = found[-1]
    for level in reversed(range(len(CHANNELS))):
        if level < len(CHANNELS) - 1:
            made = graph.one("Concat", made, found[level], axis=1)
        made = _decode(graph, model, level, made)
    graph.nodes[-1].output[0] = "reconstruction"
    file = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "mscred",
            [helper.make_tensor_value_info("signatures", TensorProto.FLOAT, ["batch", steps, SCALES, n, n])],
            [helper.make_tensor_value_info("reconstruction", TensorProto.FLOAT, ["batch", SCALES, n, n])],
            [numpy_helper.from_array(value, name) for name, value in graph.weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="haechi",
    )
    onnx.checker.check_model(file, full_check=True)
    return bytes(file.SerializeToString(deterministic=True))


def _encode(graph: _Graph, model: Mscred, level: int, maps: str) -> str:
    layer = model.encoder[level]
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    uneven = KERNELS[level] == 2 and model.sizes[level - 1] % 2
    pads = [1, 1, 1, 1] if KERNELS[level] == 3 else [0, 0, 1, 1] if uneven else [0, 0, 0, 0]
    maps = graph.one(
        "Conv",
        maps,
        graph.weight(f"encoder_{level}_w", layer.weight),
        graph.weight(f"encoder_{level}_b", layer.bias),
        strides=[STRIDES[level]] * 2,
        pads=pads,
    )
    return graph.one("Selu", maps)


def _remember(graph: _Graph, model: Mscred, level: int, maps: str) -> str:
    cell_of = model.memory[level]
    assert isinstance(cell_of, AttentionConvLSTM) and cell_of.of_input.bias is not None
    size, channels = model.sizes[level], CHANNELS[level]
    pads = [0, 0, CELL_KERNEL - 1, CELL_KERNEL - 1]
    of_state = graph.weight(f"memory_{level}_h", cell_of.of_state.weight)
    peephole = [graph.weight(f"memory_{level}_p{i}", cell_of.peephole[i : i + 1]) for i in range(3)]
    gates = graph.one(
        "Conv",
        maps,
        graph.weight(f"memory_{level}_x", cell_of.of_input.weight),
        graph.weight(f"memory_{level}_b", cell_of.of_input.bias),
        pads=pads,
    )
    gates = graph.one("Reshape", gates, graph.constant(-1, model.steps, 4 * channels, size, size))
    states: list[str] = []
    cell = ""
    for own in graph.add("Split", gates, outputs=model.steps, axis=1):
        own = graph.one("Squeeze", own, graph.constant(1))
        if states:
            own = graph.one("Add", own, graph.one("Conv", states[-1], of_state, pads=pads))
        cell, state = _step(graph, own, cell, peephole)
        states.append(state)
    return _attend(graph, states)


def _step(graph: _Graph, gates: str, cell: str, peephole: Sequence[str]) -> tuple[str, str]:
    i, f, g, o = graph.add("Split", gates, outputs=4, axis=1)

    def gate(own: str, which: int, seen: str) -> str:
        return graph.one("Sigmoid", graph.one("Add", own, graph.one("Mul", seen, peephole[which])))

    new = graph.one("Tanh", g)
    if cell:
        taken = graph.one("Mul", gate(i, 0, cell), new)
        cell = graph.one("Add", graph.one("Mul", gate(f, 1, cell), cell), taken)
    else:
        cell = graph.one("Mul", graph.one("Sigmoid", i), new)
    return cell, graph.one("Mul", gate(o, 2, cell), graph.one("Tanh", cell))


def _attend(graph: _Graph, states: Sequence[str]) -> str:
    graph.weights["temperature"] = np.array(TEMPERATURE, np.float32)
    alike = [
        graph.one("ReduceSum", graph.one("Mul", state, states[-1]), graph.constant(1, 2, 3), keepdims=1)
        for state in states
    ]
    weight = graph.one("Div", graph.one("Concat", *alike, axis=1), "temperature")
    shares = graph.add("Split", graph.one("Softmax", weight, axis=1), outputs=len(states), axis=1)
    return graph.one("Sum", *(graph.one("Mul", s, w) for s, w in zip(states, shares, strict=True)))


def _decode(graph: _Graph, model: Mscred, level: int, maps: str) -> str:
    layer = model.decoder[level]
    assert isinstance(layer, nn.ConvTranspose2d) and layer.bias is not None
    size = model.sizes[max(level - 1, 0)]
    made = graph.one(
        "ConvTranspose",
        maps,
        graph.weight(f"decoder_{level}_w", layer.weight),
        graph.weight(f"decoder_{level}_b", layer.bias),
        strides=list(layer.stride),
        pads=[int(layer.padding[0])] * 4,
        output_padding=list(layer.output_padding),
    )
    if KERNELS[level] == 2 and size % 2:
        made = graph.one(
            "Slice", made, graph.constant(0, 0), graph.constant(size, size), graph.constant(2, 3)
        )
    return graph.one("Selu", made)


class Reconstructor:
    """mscred.onnx in ONNX Runtime, one thread, as the engine runs it."""

    def __init__(self, onnx_file: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])

    def __call__(self, runs: Array) -> Array:
        """float32 [batch, steps, 3, n, n] -> [batch, 3, n, n]."""
        (result,) = self._session.run(["reconstruction"], {"signatures": runs})
        return np.asarray(result, dtype=np.float32)


def check_export(model: Mscred, exported: Reconstructor, runs: Array) -> float:
    """The largest difference of a cell between PyTorch and ONNX Runtime; TrainError over MAX_DIFFERENCE."""
    with torch.no_grad():
        expected = model(torch.from_numpy(runs)).numpy()
    difference = float(np.abs(expected - exported(runs)).max(initial=0.0))
    if not difference <= MAX_DIFFERENCE:
        raise TrainError(
            f"the exported mscred model is {difference:.2g} off PyTorch, more than {MAX_DIFFERENCE:g}; "
            "no bundle was written"
        )
    return difference
