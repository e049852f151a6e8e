#!/usr/bin/env python3
"""Train the detector for a number of minutes, then a second pass for fewer; started again with the same options it goes
on from its checkpoint.

Batches hold canvases of one side: mostly 320 in the first pass, half of the work on 480 and 640 in the second, which is
there for large faces and for points. Writes WORK/detector.pt (weights,
their moving average, the optimiser's moments: about 3 MB) and WORK/detector.log."""

import copy
import os

import numpy as np
import torch

from training import data, schedule
from training.detector import targets
from training.detector.canvas import Composer
from training.detector.network import Network, normalise

BATCH = {320: 8, 480: 4, 640: 2}    # side: canvases of a batch
SIDES = ({320: 0.80, 480: 0.15, 640: 0.05}, {320: 0.50, 480: 0.30, 640: 0.20})  # share of each pass's batches
RATES = (5e-3, 1.5e-3)               # at the beginning of each pass
DECAY, CLIP, AVERAGE = 0.02, 10.0, 0.999
WARM_STEPS, FLOOR = 200, 0.02
LATE = 0.75                          # share of the first pass from which points count more
SAVE_EVERY, REPORT_EVERY = 120, 100  # seconds, steps


class Batches(torch.utils.data.IterableDataset):
    """Endless batches; each process and each start has a seed of its own."""

    def __init__(self, work, seed, step, second):
        self.work, self.seed, self.step, self.second = work, seed, step, second

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        seeds = [self.seed, self.step, info.id if info else 0]
        composer, rng = Composer(self.work, seeds, self.second), np.random.default_rng([*seeds, 1])
        cells, sides = {side: targets.all_cells(side) for side in BATCH}, SIDES[self.second]
        while True:
            side = int(rng.choice(list(sides), p=list(sides.values())))
            canvases, labels = zip(*(composer.compose(side) for _ in range(BATCH[side])))
            pictures = np.stack(canvases)[..., ::-1].copy()
            yield side, torch.from_numpy(pictures), [torch.from_numpy(part) for part in
                                                     targets.batch_targets(labels, cells[side])]


def follow(average, network, step):
    """Move the averaged weights and statistics towards the network's; faster in the beginning."""
    share = 1 - min(AVERAGE, (1 + step) / (20 + step))
    with torch.no_grad():
        for mean, value in zip(average.state_dict().values(), network.state_dict().values()):
            if mean.is_floating_point():
                mean.lerp_(value, share)


class Training:
    def __init__(self, options):
        torch.manual_seed(options.seed)
        torch.set_num_threads(options.threads)
        self.path = os.path.join(options.work, "detector.pt")
        self.network = Network().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = schedule.make_optimiser(self.network, RATES[0], DECAY)
        self.step, spent, state = 0, 0.0, schedule.load(self.path)
        if state:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, spent = state["step"], state["spent"]
        self.clock = schedule.Clock(options.minutes, spent)
        self.second, self.rate, self.points = False, RATES[0], targets.POINTS

    def begin_second(self, options):
        """The clock of the second pass begins where the first one's ended."""
        self.second, self.rate, self.points = True, RATES[1], targets.LATE_POINTS
        self.clock.begin(options.second)

    def save(self):
        schedule.save(self.path, network=self.network.state_dict(), average=self.average.state_dict(),
                      optimiser=self.optimiser.state_dict(), step=self.step, spent=self.clock.spent)

    def learn(self, pictures, goals, cells):
        schedule.set_rate(self.optimiser, self.rate, self.clock.share, self.step, WARM_STEPS, FLOOR)
        if self.clock.share >= LATE:
            self.points = targets.LATE_POINTS
        with torch.autocast("cpu", torch.bfloat16):
            maps = self.network(normalise(pictures))
        total, parts = targets.loss(maps, goals, cells, self.points)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        follow(self.average, self.network, self.step)
        return [part.item() for part in parts]


def run(training, options, log):
    loader = iter(torch.utils.data.DataLoader(Batches(options.work, options.seed, training.step,
                                                      training.second), batch_size=None,
                                              num_workers=options.workers))
    cells = {side: torch.from_numpy(targets.all_cells(side)) for side in BATCH}
    clock, saved, parts, seen, since = training.clock, training.clock.spent, [], 0, training.clock.spent
    training.network.train()
    clock.pause()
    while clock.share < 1:
        side, pictures, goals = next(loader)
        parts.append(training.learn(pictures, goals, cells[side]))
        seen += len(pictures) * (side / 320) ** 2
        clock.tick()
        if training.step % REPORT_EVERY == 0 or clock.share == 1:
            line = "%.1f min step %d score %.4f box %.4f points %.4f IoU %.3f, %.1f canvases/s (of 320)" % (
                clock.spent / 60, training.step, *np.mean(parts, axis=0), seen / (clock.spent - since))
            print(line, file=log, flush=True)
            print(line, flush=True)
            parts, seen, since = [], 0, clock.spent
        if clock.spent - saved > SAVE_EVERY:
            saved = clock.spent
            training.save()
    training.save()


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="of the first pass, over all starts")
    parser.add_argument("--second", type=float, default=0, help="minutes of the second pass, over all starts")
    parser.add_argument("--workers", type=int, default=1, help="processes that compose canvases; 0: none of its own")
    options = data.parse(parser)
    with open(os.path.join(options.work, "detector.log"), "a", encoding="utf-8") as log:
        training = Training(options)
        try:
            run(training, options, log)
            if options.second > 0:
                training.begin_second(options)
                run(training, options, log)
        except KeyboardInterrupt:
            training.save()


if __name__ == "__main__":
    main()
