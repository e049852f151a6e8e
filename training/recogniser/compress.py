#!/usr/bin/env python3
"""Compress dlib's network under a budget of parameters, without training.

The second moments of each convolution's output over some hundred views say which directions matter; a rank keeps the
strongest of them. Ranks grow by steps of eight where a step saves most of the lost share per parameter. Convolutions
that two factors would not make smaller stay whole when there is room. Writes WORK/compressed.pt."""

import os

import numpy as np
import torch

from training import data, schedule, store
from training.faces import CHIP_SIDE
from training.recogniser.network import Network, read_dlib, state_of, to_chips

STEP = 8


def convolutions(network):
    return {(index, name): getattr(block, name) for index, block in enumerate(network.blocks)
            for name in ("first", "second")}


def output_moments(network, chips, batch=64):
    """{convolution: second moments of its output without the bias}, over all views and places."""
    moments, hooks = {}, []

    def collect(key):
        def hook(layer, _, output):
            rows = (output - layer.bias.view(1, -1, 1, 1)).permute(0, 2, 3, 1).reshape(-1, output.shape[1])
            moments[key] = moments.get(key, 0) + (rows.T @ rows).double()
        return hook

    for key, layer in convolutions(network).items():
        hooks.append(layer.register_forward_hook(collect(key)))
    with torch.no_grad():
        for low in range(0, len(chips), batch):
            network(to_chips(chips[low:low + batch]))
    for hook in hooks:
        hook.remove()
    return moments


def lost_shares(moments):
    """Share of the output's energy that a rank of 0, 1, 2, ... loses."""
    values = torch.linalg.eigvalsh(moments).flip(0).clamp(min=0)
    return torch.cat([torch.ones(1), 1 - values.cumsum(0) / values.sum()]).numpy()


def choose_ranks(network, moments, budget):
    """{convolution: rank}, 0 where it stays whole."""
    layers = convolutions(network)
    lost = {key: lost_shares(moments[key]) for key in layers}
    price = {key: layer.in_channels * 9 + layer.out_channels for key, layer in layers.items()}  # of one rank
    whole = {key: layer.weight.numel() for key, layer in layers.items()}
    ranks, open_keys = dict.fromkeys(layers, STEP), set(layers)
    total = sum(parameter.numel() for parameter in network.parameters()) + sum(
        STEP * price[key] - whole[key] for key in layers)

    def gain(key):
        after = min(ranks[key] + STEP, len(lost[key]) - 1)
        return (lost[key][ranks[key]] - lost[key][after]) / price[key]

    while open_keys:
        key = max(open_keys, key=gain)
        if total + STEP * price[key] > budget:
            open_keys.remove(key)
            continue
        ranks[key] += STEP
        total += STEP * price[key]
        if (ranks[key] + STEP) * price[key] > whole[key]:
            open_keys.remove(key)
    for key in layers:
        more = whole[key] - ranks[key] * price[key]
        if (ranks[key] + STEP) * price[key] > whole[key] and total + more <= budget:
            ranks[key], total = 0, total + more
    return ranks


def factors(layer, moments, rank):
    """The best two factors: onto the strongest directions of the output, and back; balanced in size."""
    basis = torch.linalg.eigh(moments)[1][:, -rank:].float()
    inner = torch.einsum("or,oikl->rikl", basis, layer.weight.detach())
    balance = (inner.square().mean() / basis.square().mean()) ** 0.25
    return inner / balance, (basis * balance)[:, :, None, None], layer.bias.detach()


def compress(network, moments, ranks):
    rows = [[ranks[index, "first"], ranks[index, "second"]] for index in range(len(network.blocks))]
    small = Network(network.layout, rows)
    small.stem.load_state_dict(network.stem.state_dict())
    small.last.load_state_dict(network.last.state_dict())
    targets = convolutions(small)
    with torch.no_grad():
        for key, layer in convolutions(network).items():
            if ranks[key] == 0:
                targets[key].load_state_dict(layer.state_dict())
                continue
            inner, outer, bias = factors(layer, moments[key], ranks[key])
            targets[key][0].weight.copy_(inner)
            targets[key][1].weight.copy_(outer)
            targets[key][1].bias.copy_(bias)
    return small


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("--parameters", type=float, default=2.88e6, help="at most; stored as int8 that many bytes")
    parser.add_argument("--views", type=int, default=512)
    parser.add_argument("--set", default="a", help="the views to measure on")
    options = data.parse(parser)
    torch.set_num_threads(options.threads)
    views = np.load(os.path.join(options.work, "views_%s.npy" % options.set), mmap_mode="r")
    chips = torch.from_numpy(np.array(views[:options.views]))
    network = read_dlib()
    moments = output_moments(network, chips)
    ranks = choose_ranks(network, moments, options.parameters)
    small = compress(network, moments, ranks)
    for (index, name), rank in ranks.items():
        layer = convolutions(network)[index, name]
        print("block %d %-6s %3d to %3d: %s" % (index, name, layer.in_channels, layer.out_channels,
                                                "rank %d" % rank if rank else "whole"))
    macs, parameters = store.count_macs(small, torch.zeros(1, 3, CHIP_SIDE, CHIP_SIDE))
    print("%d parameters, %.3f GMAC" % (parameters, macs / 1e9))
    schedule.save(os.path.join(options.work, "compressed.pt"), **state_of(small))


if __name__ == "__main__":
    main()
