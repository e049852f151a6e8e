"""The recogniser: dlib's ResNet, each 3x3 convolution either whole or in two, 3x3 to a few channels and 1x1 from them.

It takes RGB chips of 150 with levels of 0..255 and gives 128 values of the scale that dlib's have. Where the branches
of a block differ in size, zeros are added at the far end of channels, rows and columns, as dlib does."""

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from training import data
from training.faces import CHIP_SIDE

TEACHER = "dlib_resnet_v1.onnx"
MEAN = (122.782, 117.001, 104.298)
SPREAD = 256.0
EMBEDDING = 128


def split(inputs, outputs, stride, padding, rank):
    """A convolution 3x3 through `rank` channels; rank 0: whole."""
    if rank == 0:
        return nn.Conv2d(inputs, outputs, 3, stride, padding)
    return nn.Sequential(nn.Conv2d(inputs, rank, 3, stride, padding, bias=False), nn.Conv2d(rank, outputs, 1))


def far_padding(shape, goal):
    """Zeros missing behind channels, rows and columns."""
    return [max(0, wanted - there) for there, wanted in zip(shape, goal)]


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, ranks):
        super().__init__()
        self.halves = stride == 2
        self.first = split(inputs, outputs, stride, 0 if self.halves else 1, ranks[0])
        self.second = split(outputs, outputs, 1, 1, ranks[1])

    def forward(self, x):
        y = self.second(functional.relu(self.first(x)))
        if self.halves:
            x = functional.avg_pool2d(x, 2, 2)
        return functional.relu(self.grown(x, y) + self.grown(y, x))

    @staticmethod
    def grown(x, like):
        channels, rows, columns = far_padding(x.shape[1:], like.shape[1:])
        return functional.pad(x, (0, columns, 0, rows, 0, channels)) if channels or rows or columns else x

    @staticmethod
    def write_layer(writer, name, layer, value):
        parts = layer if isinstance(layer, nn.Sequential) else [layer]
        for index, part in enumerate(parts):
            own = name if len(parts) == 1 else "%s.%d" % (name, index)
            value = writer.convolution(own, value, part.weight, part.bias, part.stride[0], part.padding[0])
        return value

    @staticmethod
    def write_padding(writer, name, value, zeros):
        if not any(zeros):
            return value
        return writer.node("Pad", [value, writer.integers(name, [0] * 5 + list(zeros))])

    def write(self, writer, name, value, x):
        """`x`: an example of the value, for its sizes; returns (name, example) of the result."""
        result = self.write_layer(writer, name + ".first", self.first, value)
        result = self.write_layer(writer, name + ".second", self.second, writer.node("Relu", [result]))
        y = self.second(functional.relu(self.first(x)))
        if self.halves:
            value = writer.node("AveragePool", [value], kernel_shape=[2, 2], strides=[2, 2])
            x = functional.avg_pool2d(x, 2, 2)
        value = self.write_padding(writer, name + ".skip", value, far_padding(x.shape[1:], y.shape[1:]))
        result = self.write_padding(writer, name + ".grow", result, far_padding(y.shape[1:], x.shape[1:]))
        both = functional.relu(self.grown(x, y) + self.grown(y, x))
        return writer.node("Relu", [writer.node("Add", [result, value])]), both


class Network(nn.Module):
    """`layout`: (inputs, outputs, stride) of each block's first convolution; `ranks`: two numbers for each block."""

    def __init__(self, layout, ranks=None):
        super().__init__()
        self.layout, self.ranks = layout, ranks or [[0, 0]] * len(layout)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.stem = nn.Conv2d(3, layout[0][0], 7, 2)
        self.blocks = nn.ModuleList(Block(*row, rank) for row, rank in zip(layout, self.ranks))
        self.last = nn.Linear(layout[-1][1], EMBEDDING, bias=False)

    def forward(self, chips):
        x = functional.relu(self.stem((chips - self.mean) / SPREAD))
        x = functional.max_pool2d(x, 3, 2)
        for block in self.blocks:
            x = block(x)
        return self.last(x.mean(dim=(2, 3)))

    def stem_of_levels(self):
        """Weight and bias with the normalisation of the pixels in them."""
        weight = self.stem.weight / SPREAD
        return weight, self.stem.bias - (weight * self.mean).sum(dim=(1, 2, 3))

    def write(self, writer, value, output, scale=1.0):
        """The same as `forward` times `scale`."""
        with torch.no_grad():
            x = functional.max_pool2d(functional.relu(self.stem(torch.zeros(1, 3, CHIP_SIDE, CHIP_SIDE))), 3, 2)
            value = writer.node("Relu", [writer.convolution("stem", value, *self.stem_of_levels(), 2)])
            value = writer.node("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2])
            for index, block in enumerate(self.blocks):
                value, x = block.write(writer, "blocks.%d" % index, value, x)
        value = writer.node("Flatten", [writer.node("GlobalAveragePool", [value])], axis=1)
        writer.node("Gemm", [value, writer.weight("last.weight", self.last.weight * scale)], output, transB=1)


def read_dlib():
    """dlib's own network as one of ours."""
    graph = onnx.load(data.shared("models", TEACHER)).graph
    values = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    layers = [[values[name] for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    strides = [next(list(a.ints)[0] for a in node.attribute if a.name == "strides") for node in graph.node
               if node.op_type == "Conv"]
    gemm = next(node for node in graph.node if node.op_type == "Gemm")
    transposed = any(a.name == "transB" and a.i for a in gemm.attribute)
    layout = [(weight.shape[1], weight.shape[0], stride)
              for (weight, _), stride in list(zip(layers, strides))[1::2]]
    network = Network(layout)
    weight, bias = layers[0]
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    parts = [(network.stem, weight * SPREAD, bias + (weight * mean).sum(dim=(1, 2, 3)))]
    for block, first, second in zip(network.blocks, layers[1::2], layers[2::2]):
        parts += [(block.first, *first), (block.second, *second)]
    with torch.no_grad():
        for layer, weight, bias in parts:
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        last = values[gemm.input[1]]
        network.last.weight.copy_(last if transposed else last.T)
    return network.eval()


def to_chips(pictures):
    """uint8 RGB [n, 150, 150, 3] to the network's input, channels last in memory."""
    return pictures.permute(0, 3, 1, 2).float()


def state_of(network):
    """What a checkpoint needs to build the network again."""
    return {"layout": [list(row) for row in network.layout], "ranks": [list(row) for row in network.ranks],
            "network": network.state_dict()}


def from_state(state):
    network = Network([tuple(row) for row in state["layout"]], [tuple(row) for row in state["ranks"]])
    network.load_state_dict(state["network"])
    return network


def embed(network, pictures, batch=64):
    with torch.no_grad():
        parts = [network(to_chips(torch.from_numpy(np.ascontiguousarray(pictures[i:i + batch]))))
                 for i in range(0, len(pictures), batch)]
    return torch.cat(parts).float().numpy()
