"""Write a network as ONNX, opset 11, with plain operators and small weights.

Weights are stored as fp16 (a Cast makes them float) or as int8 with a scale per output channel (a Cast and a Mul);
a runtime folds these constants when it loads the file. Biases stay float."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 11
IR_VERSION = 6
QUANTISED = ".int8"
SCALES = ".scale"
HALF = ".fp16"


def quantise(weight):
    """(int8, scales): per output channel, the first axis."""
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scales = (np.maximum(largest, 1e-12) / 127).astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1))
    return np.clip(np.rint(weight / scales), -127, 127).astype(np.int8), scales


class Writer:
    """Each method adds one operator and gives the name of its result."""

    def __init__(self, storage):
        self.storage, self.nodes, self.constants = storage, [], []

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator, inputs, output=None, **attributes):
        output = output or "v%d" % len(self.nodes)
        self.nodes.append(helper.make_node(operator, inputs, [output], name="%s_%s" % (operator, output), **attributes))
        return output

    def weight(self, name, value):
        value = value.detach().float().numpy()
        if self.storage == "fp16":
            return self.node("Cast", [self.constant(name + HALF, value.astype(np.float16))], name, to=TensorProto.FLOAT)
        if self.storage == "int8":
            levels, scales = quantise(value)
            levels = self.node("Cast", [self.constant(name + QUANTISED, levels)], to=TensorProto.FLOAT)
            return self.node("Mul", [levels, self.constant(name + SCALES, scales)], name)
        return self.constant(name, value)

    def convolution(self, name, value, weight, bias, stride=1, padding=0, groups=1):
        """`weight` and `bias` are torch tensors; `name` is the layer's."""
        inputs = [value, self.weight(name + ".weight", weight)]
        if bias is not None:
            inputs.append(self.constant(name + ".bias", bias.detach().float().numpy()))
        return self.node("Conv", inputs, kernel_shape=list(weight.shape[2:]), strides=[stride] * 2,
                         pads=[padding] * 4, group=groups)

    def integers(self, name, values):
        return self.constant(name, np.array(values, np.int64))

    def save(self, path, input_name, input_shape, outputs, note):
        """`outputs`: [(name, shape)]; a text in a shape is a size that is left open."""
        graph = helper.make_graph(
            self.nodes, "facemill", [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, input_shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                  producer_name="facemill training", doc_string=note)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def read_weights(path):
    """{parameter: float array} of a file that Writer saved."""
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    weights = {}
    for name, value in tensors.items():
        if name.endswith(QUANTISED):
            stem = name[:-len(QUANTISED)]
            weights[stem] = value.astype(np.float32) * tensors[stem + SCALES]
        elif name.endswith(HALF):
            weights[name[:-len(HALF)]] = value.astype(np.float32)
        elif name.endswith((".weight", ".bias")):
            weights[name] = value
    return weights


def count_macs(network, picture):
    """Multiplications of all convolutions and linear layers for one picture, and the number of parameters."""
    import torch
    total, hooks = [0], []

    def count(layer, _, output):
        total[0] += output[0].numel() * layer.weight[0].numel()

    for layer in network.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            hooks.append(layer.register_forward_hook(count))
    training = network.training
    network.eval()
    with torch.no_grad():
        network(picture)
    network.train(training)
    for hook in hooks:
        hook.remove()
    return total[0], sum(parameter.numel() for parameter in network.parameters())
