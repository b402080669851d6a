"""From the fitted network to deeplog.onnx, and the check that both say the same.

The graph is written operator by operator: one Gather, one ONNX LSTM node a layer, one Gemm, one LogSoftmax,
with a free batch dimension, which is the shortest path through ONNX Runtime and does not change with
PyTorch's exporter.
"""

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from haechi.models.deeplog import DeepLog
from haechi.train.error import TrainError

OPSET = 17
IR_VERSION = 8  # what opset 17 came with, so that older runtimes load it too
MAX_DIFFERENCE = 1e-4  # nats


def onnx_of(model: DeepLog, window: int) -> bytes:
    """The ONNX file's bytes; checked by onnx.checker. Same weights, same bytes."""
    weights: dict[str, npt.NDArray[np.float32]] = {"embedding": _array(model.embedding.weight)}
    nodes = [
        helper.make_node("Gather", ["embedding", "steps"], ["state_0"]),
    ]
    nodes.insert(0, helper.make_node("Transpose", ["window"], ["steps"], perm=[1, 0]))
    last = ""
    for depth, layer in enumerate(model.layers):
        assert isinstance(layer, nn.LSTM)
        weights |= _lstm_weights(layer, depth)
        last = f"last_{depth}"
        nodes += [
            helper.make_node(
                "LSTM",
                [f"state_{depth}", f"w_{depth}", f"r_{depth}", f"b_{depth}"],
                [f"all_{depth}", last],
                hidden_size=layer.hidden_size,
            ),
            helper.make_node("Squeeze", [f"all_{depth}", "direction"], [f"state_{depth + 1}"]),
        ]
    nodes.pop()  # the last layer's whole sequence is of no use
    nodes += [
        helper.make_node("Squeeze", [last, "first"], ["features"]),
        helper.make_node("Gemm", ["features", "w_out", "b_out"], ["logits"], transB=1),
        helper.make_node("LogSoftmax", ["logits"], ["log_probability"], axis=1),
    ]
    weights |= {"w_out": _array(model.output.weight), "b_out": _array(model.output.bias)}
    axes = {"direction": np.array([1], np.int64), "first": np.array([0], np.int64)}
    graph = helper.make_graph(
        nodes,
        "deeplog",
        [helper.make_tensor_value_info("window", TensorProto.INT64, ["batch", window])],
        [
            helper.make_tensor_value_info(
                "log_probability", TensorProto.FLOAT, ["batch", model.embedding.num_embeddings]
            )
        ],
        [numpy_helper.from_array(value, name) for name, value in (weights | axes).items()],
    )
    file = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="haechi"
    )
    onnx.checker.check_model(file, full_check=True)
    return bytes(file.SerializeToString(deterministic=True))


def _array(parameter: torch.Tensor) -> npt.NDArray[np.float32]:
    return parameter.detach().cpu().numpy().astype(np.float32)


def _lstm_weights(layer: nn.LSTM, depth: int) -> dict[str, npt.NDArray[np.float32]]:
    """PyTorch orders the gates input, forget, cell, output; ONNX input, output, forget, cell."""

    def gates(name: str) -> npt.NDArray[np.float32]:
        i, f, c, o = np.split(_array(getattr(layer, name)), 4)
        return np.concatenate([i, o, f, c])

    bias = np.concatenate([gates("bias_ih_l0"), gates("bias_hh_l0")])
    return {
        f"w_{depth}": gates("weight_ih_l0")[None],
        f"r_{depth}": gates("weight_hh_l0")[None],
        f"b_{depth}": bias[None],
    }


def check_export(
    model: DeepLog,
    exported: npt.NDArray[np.float32],
    windows: npt.NDArray[np.int64],
) -> float:
    """The largest difference in nats between PyTorch and what ONNX Runtime gave for these windows.

    exported: float32 [n, tokens] for windows int64 [n, window]. TrainError over MAX_DIFFERENCE.
    """
    with torch.no_grad():
        expected = model(torch.from_numpy(windows)).numpy()
    difference = float(np.abs(expected - exported).max(initial=0.0))
    if not difference <= MAX_DIFFERENCE:
        raise TrainError(
            f"the exported model is {difference:.2g} nats off PyTorch, more than {MAX_DIFFERENCE:g}; "
            "no bundle was written"
        )
    return difference
