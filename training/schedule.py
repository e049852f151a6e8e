"""What both trainings share: a learning rate by time spent, and checkpoints that a later start goes on from."""

import math
import os
import time

import torch

from training import data


class Clock:
    """Counts the seconds of training itself, over all starts; `share` is how much of the budget they are."""

    def __init__(self, minutes, spent=0.0):
        self.start, self.budget, self.spent, self.last = 0.0, minutes * 60, spent, time.perf_counter()

    def begin(self, minutes):
        """A further budget, behind the one that is used up."""
        self.start, self.budget = self.start + self.budget, minutes * 60

    def tick(self):
        now = time.perf_counter()
        self.spent, self.last = self.spent + now - self.last, now

    def pause(self):
        """What happened since the last tick does not count."""
        self.last = time.perf_counter()

    @property
    def share(self):
        return min(1.0, max(0.0, self.spent - self.start) / self.budget)


def set_rate(optimiser, rate, share, step, warm_steps, floor):
    """Linear over the first steps, then a cosine down to `floor` of the rate at the end of the budget."""
    rate *= min(1, (step + 1) / warm_steps) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share)))
    for group in optimiser.param_groups:
        group["lr"] = rate


def make_optimiser(network, rate, decay):
    """AdamW; biases and normalisations do not decay."""
    matrices = [value for value in network.parameters() if value.ndim > 1]
    vectors = [value for value in network.parameters() if value.ndim == 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, rate, betas=(0.9, 0.99))


def save(path, **state):
    data.save_atomically(lambda part: torch.save(state, part), path)


def load(path):
    """The state that `save` wrote, or None."""
    return torch.load(path, weights_only=True) if os.path.exists(path) else None
