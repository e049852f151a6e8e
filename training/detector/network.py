"""The detector: a small network in SCRFD's convention with one anchor per cell.

A 3x3 stem, four stages of depthwise + pointwise blocks with residuals at strides 4, 8, 16 and 32, a neck that passes
context down and then up again, and per stride one head of fifteen channels: score, four sides, five points. Distances
are in strides from the cell's upper left corner."""

import torch
from torch import nn
from torch.nn import functional

from training.faces import STRIDES

CHANNELS = 15
STEM = 16
WIDTHS = (32, 64, 96, 128)  # of the stages
BLOCKS = (1, 2, 3, 3)       # after the one that halves the sides
NECK = 48


class Convolution(nn.Module):
    """Convolution, batch normalisation and, unless told otherwise, ReLU."""

    def __init__(self, inputs, outputs, side=3, stride=1, groups=1, active=True):
        super().__init__()
        self.layer = nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, momentum=0.03)
        self.active = active

    def forward(self, x):
        x = self.norm(self.layer(x))
        return functional.relu(x, inplace=True) if self.active else x

    def folded(self):
        """Weight and bias with the normalisation in them."""
        factor = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        return self.layer.weight * factor.view(-1, 1, 1, 1), self.norm.bias - self.norm.running_mean * factor

    def write(self, writer, name, value):
        value = writer.convolution(name, value, *self.folded(), self.layer.stride[0], self.layer.padding[0],
                                   self.layer.groups)
        return writer.node("Relu", [value]) if self.active else value


class Block(nn.Module):
    """Depthwise 3x3, then 1x1; what came in is added where sizes allow."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.adds = stride == 1 and inputs == outputs
        self.depthwise = Convolution(inputs, inputs, 3, stride, inputs)
        self.pointwise = Convolution(inputs, outputs, 1, active=not self.adds)

    def forward(self, x):
        y = self.pointwise(self.depthwise(x))
        return functional.relu(y + x) if self.adds else y

    def write(self, writer, name, value):
        result = self.depthwise.write(writer, name + ".depthwise", value)
        result = self.pointwise.write(writer, name + ".pointwise", result)
        return writer.node("Relu", [writer.node("Add", [result, value])]) if self.adds else result


class Head(nn.Module):
    """One block and the predictor of a stride."""

    def __init__(self):
        super().__init__()
        self.block = Block(NECK, NECK)
        self.depthwise = nn.Conv2d(NECK, NECK, 3, 1, 1, groups=NECK)
        self.pointwise = nn.Conv2d(NECK, CHANNELS, 1)

    def forward(self, x):
        return self.pointwise(self.depthwise(self.block(x)))

    def write(self, writer, name, value):
        """The three kinds of values, each a convolution of its own so that no operator follows but the transpose."""
        value = self.block.write(writer, name + ".block", value)
        value = writer.convolution(name + ".depthwise", value, self.depthwise.weight, self.depthwise.bias, 1, 1, NECK)
        return [writer.convolution("%s.%s" % (name, kind), value, self.pointwise.weight[low:high],
                                   self.pointwise.bias[low:high])
                for kind, low, high in (("score", 0, 1), ("box", 1, 5), ("points", 5, CHANNELS))]


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Convolution(3, STEM, 3, 2)
        inputs, stages = STEM, []
        for width, blocks in zip(WIDTHS, BLOCKS):
            stages.append(nn.Sequential(Block(inputs, width, 2), *[Block(width, width) for _ in range(blocks)]))
            inputs = width
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.ModuleList(Convolution(width, NECK, 1) for width in WIDTHS[1:])
        self.down = nn.ModuleList(Block(NECK, NECK) for _ in STRIDES)
        self.up = nn.ModuleList(Block(NECK, NECK, 2) for _ in STRIDES[1:])
        self.heads = nn.ModuleList(Head() for _ in STRIDES)
        self.initialise()

    def initialise(self):
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for head in self.heads:  # first answers: no face (a score of 0.01), boxes of four cells
            nn.init.normal_(head.pointwise.weight, 0, 0.01)
            with torch.no_grad():
                head.pointwise.bias[0] = -4.6
                head.pointwise.bias[1:5] = 2.0

    def forward(self, x):
        """A map of fifteen channels for each stride; scores are logits."""
        x, levels = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        levels = [lateral(level) for lateral, level in zip(self.lateral, levels[1:])]
        levels[2] = self.down[2](levels[2])
        for i in (1, 0):
            levels[i] = self.down[i](levels[i] + functional.interpolate(levels[i + 1], scale_factor=2))
        for i in (1, 2):
            levels[i] = levels[i] + self.up[i - 1](levels[i - 1])
        return [head(level) for head, level in zip(self.heads, levels)]

    def write(self, writer, value):
        """The same as `forward`; [[score, box, points] of each stride] as names of maps."""
        value, levels = self.stem.write(writer, "stem", value), []
        for i, stage in enumerate(self.stages):
            for j, block in enumerate(stage):
                value = block.write(writer, "stages.%d.%d" % (i, j), value)
            levels.append(value)
        levels = [lateral.write(writer, "lateral.%d" % i, level)
                  for i, (lateral, level) in enumerate(zip(self.lateral, levels[1:]))]
        levels[2] = self.down[2].write(writer, "down.2", levels[2])
        for i in (1, 0):
            larger = writer.node("Resize", [levels[i + 1], "region", "twice"], mode="nearest",
                                 coordinate_transformation_mode="asymmetric", nearest_mode="floor")
            levels[i] = self.down[i].write(writer, "down.%d" % i, writer.node("Add", [levels[i], larger]))
        for i in (1, 2):
            smaller = self.up[i - 1].write(writer, "up.%d" % (i - 1), levels[i - 1])
            levels[i] = writer.node("Add", [levels[i], smaller])
        return [head.write(writer, "heads.%d" % i, level) for i, (head, level) in enumerate(zip(self.heads, levels))]


def normalise(pictures):
    """uint8 RGB [n, side, side, 3] to the network's input, channels last in memory."""
    return pictures.permute(0, 3, 1, 2).float().sub_(127.5).div_(128)
