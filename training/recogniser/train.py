#!/usr/bin/env python3
"""Distil: the compressed network learns the teacher's vectors of the views, for a number of minutes; started again with
the same options it goes on from its checkpoint.

The loss is the squared distance from the target and half the squared error of the distances within the batch. Pictures
with an index of HELD_BACK modulo HELD_EVERY are not trained on; their views tell how far the student is. Writes
WORK/recogniser.pt (weights and moments, 35 MB), WORK/recogniser.log, and WORK/recogniser_small.pt (weights rounded to
int8, 3 MB), which is gone on from where only that is there."""

import glob
import os

import numpy as np
import torch

from training import data, schedule, store
from training.faces import CHIP_SIDE
from training.recogniser.network import embed, from_state, state_of, to_chips

HELD_EVERY, HELD_BACK, HELD_MOST = 40, 7, 1024
RATE, DECAY, CLIP, BATCH = 3e-4, 0.0, 5.0, 64
WARM_STEPS, FLOOR = 50, 0.003
DISTANCES_SHARE = 0.5
SAVE_EVERY, REPORT_EVERY, JUDGE_EVERY = 120, 200, 300  # seconds, steps, seconds


class Views:
    """All sets of views as one list; the chips stay in their files."""

    def __init__(self, work):
        paths = sorted(glob.glob(os.path.join(work, "views_*.npz")))
        if not paths:
            raise SystemExit("no views in %s: make some with training.recogniser.views" % work)
        sets = [np.load(path) for path in paths]
        self.chips = [np.load(path[:-4] + ".npy", mmap_mode="r") for path in paths]
        self.targets = np.concatenate([part["targets"] for part in sets])
        self.starts = np.cumsum([0] + [len(part) for part in self.chips])
        held = np.concatenate([part["picture"] for part in sets]) % HELD_EVERY == HELD_BACK
        self.held, self.trained = np.flatnonzero(held)[:HELD_MOST], np.flatnonzero(~held)

    def read(self, indices):
        chips = np.empty((len(indices), CHIP_SIDE, CHIP_SIDE, 3), np.uint8)
        for row, index in enumerate(indices):
            part = np.searchsorted(self.starts, index, "right") - 1
            chips[row] = self.chips[part][index - self.starts[part]]
        return chips


def distance_error(vectors, targets):
    """Mean squared error of the distances between the batch's vectors."""
    pairs = torch.triu_indices(len(vectors), len(vectors), 1)
    own, wanted = ((part[pairs[0]] - part[pairs[1]]).square().sum(dim=1).clamp(min=1e-12).sqrt()
                   for part in (vectors, targets))
    return (own - wanted).square().mean()


def rounded(state):
    """A state with matrices as int8 and their scales."""
    weights = {name: [torch.from_numpy(part) for part in store.quantise(value.detach().float().numpy())]
               if value.ndim > 1 else value for name, value in state["network"].items()}
    return {**state, "network": weights}


def expanded(state):
    weights = {name: value[0].float() * value[1] if isinstance(value, list) else value
               for name, value in state["network"].items()}
    return {**state, "network": weights}


class Training:
    def __init__(self, options):
        torch.manual_seed(options.seed)
        torch.set_num_threads(options.threads)
        self.views = Views(options.work)
        self.path, self.small_path, first = (os.path.join(options.work, name) for name in (
            "recogniser.pt", "recogniser_small.pt", "compressed.pt"))
        state = schedule.load(self.path) or schedule.load(self.small_path) or schedule.load(first)
        if state is None:
            raise SystemExit("nothing to start from: make compressed.pt with training.recogniser.compress")
        self.network = from_state(expanded(state)).to(memory_format=torch.channels_last)
        self.optimiser = schedule.make_optimiser(self.network, RATE, DECAY)
        self.step, self.warmed = state.get("step", 0), state.get("step", 0)
        if "optimiser" in state:
            self.optimiser.load_state_dict(state["optimiser"])
            self.warmed = state["warmed"]
        self.clock = schedule.Clock(options.minutes, state.get("spent", 0.0))
        self.rng, self.order = np.random.default_rng([options.seed, self.step]), np.array([], int)
        targets = self.views.targets[self.views.trained]
        self.size = float(np.sqrt(np.square(targets - targets.mean(axis=0)).sum(axis=1).mean()))

    def batch(self):
        """Chips and targets; half of them mirrored, for which the target is the same."""
        if len(self.order) < BATCH:
            self.order = np.concatenate([self.order, self.rng.permutation(self.views.trained)])
        indices, self.order = np.sort(self.order[:BATCH]), self.order[BATCH:]
        chips, mirrored = self.views.read(indices), self.rng.random(BATCH) < 0.5
        chips[mirrored] = chips[mirrored][:, :, ::-1]
        return to_chips(torch.from_numpy(chips)), torch.from_numpy(self.views.targets[indices])

    def learn(self):
        schedule.set_rate(self.optimiser, RATE, self.clock.share, self.step - self.warmed, WARM_STEPS, FLOOR)
        chips, targets = self.batch()
        with torch.autocast("cpu", torch.bfloat16):
            vectors = self.network(chips)
        vectors, targets = vectors.float() / self.size, targets / self.size
        loss = (vectors - targets).square().sum(dim=1).mean() + DISTANCES_SHARE * distance_error(vectors, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        self.step += 1
        return loss.item()

    def judge(self):
        """Squared error on pictures that are not trained on, as a share of the targets' variance."""
        self.network.eval()
        vectors = embed(self.network, self.views.read(self.views.held))
        self.network.train()
        targets = self.views.targets[self.views.held]
        return float(np.square(vectors - targets).sum(axis=1).mean()) / self.size ** 2

    def save(self):
        state = {**state_of(self.network), "step": self.step, "spent": self.clock.spent}
        schedule.save(self.path, **state, optimiser=self.optimiser.state_dict(), warmed=self.warmed)
        schedule.save(self.small_path, **rounded(state))


def run(training, log):
    clock, losses = training.clock, []
    saved = judged = since = clock.spent

    def say(line):
        print(line, file=log, flush=True)
        print(line, flush=True)

    say("%.1f min step %d error %.4f of the variance (not trained on)"
        % (clock.spent / 60, training.step, training.judge()))
    training.network.train()
    clock.pause()
    while clock.share < 1:
        losses.append(training.learn())
        clock.tick()
        if training.step % REPORT_EVERY == 0 or clock.share == 1:
            say("%.1f min step %d loss %.4f, %.0f views/s" % (clock.spent / 60, training.step, np.mean(losses),
                                                             len(losses) * BATCH / (clock.spent - since)))
            losses, since = [], clock.spent
        if clock.spent - judged > JUDGE_EVERY or clock.share == 1:
            judged = clock.spent
            say("%.1f min error %.4f of the variance (not trained on)" % (clock.spent / 60, training.judge()))
            clock.pause()
        if clock.spent - saved > SAVE_EVERY:
            saved = clock.spent
            training.save()
            clock.pause()
    training.save()


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="of training in all, over all starts")
    options = data.parse(parser)
    training = Training(options)
    macs, parameters = store.count_macs(training.network, torch.zeros(1, 3, CHIP_SIDE, CHIP_SIDE))
    print("%d parameters, %.3f GMAC, %d views" % (parameters, macs / 1e9, len(training.views.trained)))
    with open(os.path.join(options.work, "recogniser.log"), "a", encoding="utf-8") as log:
        try:
            run(training, log)
        except KeyboardInterrupt:
            training.save()


if __name__ == "__main__":
    main()
