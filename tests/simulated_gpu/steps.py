"""Compares each step of a training on the simulated GPU with the CPU's step from the same state.

Two trainings drift apart because every step amplifies the rounding of the steps before it. Steps
from a common state do not, so that their gradients can be compared tensor by tensor.
"""

import json
import math
import re
import shutil
import statistics
from array import array
from collections import defaultdict

from program import clean, difference, numbers, tensors

# Relative difference of a step's metrics. An fp32 sum of up to 200 terms differs by some 1e-6 of
# its rounding at most; TF32 rounds operands by 2^-11, bfloat16 by 2^-8, and metrics are means over
# a few hundred of them.
METRICS = {"fp32": 1e-5, "tf32": 1e-3, "bf16": 1e-2}
# Relative difference of a tensor's gradient, |ours - theirs| / |theirs|: rounding unit times number
# of roundings. A gradient of resnet-vae passes 40 products, of which TF32 and bfloat16 round the
# operands and bfloat16 also what lies between; fp32 rounds after every operation, of which a
# product has tens in sequence. These bounds and the next are at least twice the largest median
# measured in any recipe and seed, in resnet-vae (fp32 160, TF32 23, bfloat16 39 roundings).
GRADIENTS = {"fp32": 1000 * 2**-24, "tf32": 100 * 2**-11, "bf16": 150 * 2**-8}
# Rounding has no preferred direction, so the difference along the gradient, (ours - theirs) *
# theirs / |theirs|^2, is smaller. It shows a factor that is wrong by 1 % in TF32, 10 % in bfloat16.
ALONG = 0.1
# A gradient below this fraction of the whole network's is compared with that fraction, and its
# update is not compared: that of a bias before a normalization is zero but for rounding.
FLOOR = 5e-3
# A ReLU's input within rounding of zero may be positive in one program and negative in the other,
# which changes some gradients by up to a third. With a discriminator that occurs in a third of the
# steps in TF32, therefore medians over the steps are compared. In fp32 it is 2^13 times as rare:
# there the whole gradient of each step has a bound, too.
EACH_STEP = 1e-2


def norm(vector):
    return math.hypot(*vector)


def less(left, right, factor=1.0):
    return [a - factor * b for a, b in zip(left, right)]


class Step:
    """By tensor, the gradient (from Adam's first moment) and the update of one step."""

    def __init__(self, before, after, beta1):
        self.gradients, self.updates = {}, {}
        for name in after:
            old, new = array("f", before[name]), array("f", after[name])
            if name.startswith("optimizer.first_moment."):
                gradient = [m / (1 - beta1) for m in less(new, old, beta1)]
                self.gradients[name.removeprefix("optimizer.first_moment.")] = gradient
            elif not name.startswith("optimizer."):
                self.updates[name] = less(new, old)


class Comparison:
    """Differences of steps. All gradients of ours are multiplied by `planted`, a defect."""

    def __init__(self, precision, planted=1.0):
        self.precision, self.planted = precision, planted
        self.apart = defaultdict(list)  # by quantity, for each step: relative size, and along
        self.above_floor = defaultdict(int)  # by quantity, the number of steps
        self.whole, self.metrics = [], []

    def note(self, what, ours, theirs, scale):
        apart = less(ours, theirs)
        along = math.fsum(a * b for a, b in zip(apart, theirs))
        self.apart[what].append((norm(apart) / scale, along / scale**2))
        return norm(apart)

    def add(self, ours, theirs):
        norms = {name: norm(gradient) for name, gradient in theirs.gradients.items()}
        whole = norm(norms.values())
        apart = []
        for name, gradient in theirs.gradients.items():
            mine = [self.planted * g for g in ours.gradients[name]]
            scale = max(norms[name], FLOOR * whole)
            apart.append(self.note(f"gradient of {name}", mine, gradient, scale))
            if scale == norms[name]:
                self.above_floor[f"gradient of {name}"] += 1
                update = theirs.updates[name]
                self.note(f"update of {name}", ours.updates[name], update, norm(update))
            else:
                self.apart[f"update of {name}"].append((0.0, 0.0))
        self.whole.append(norm(apart) / whole)

    def medians(self):
        """By quantity, the medians over the steps of the difference's size, and of it along."""
        return {
            what: [abs(statistics.median(column)) for column in zip(*steps)]
            for what, steps in self.apart.items()
        }

    def metric(self):
        """The largest relative difference of a step's metrics, and its name: over all steps in
        fp32, else the median step's."""
        return (max if self.precision == "fp32" else statistics.median_high)(self.metrics)

    def ratios(self):
        """By quantity, the larger of its two medians in relation to the bounds."""
        bound = GRADIENTS[self.precision]
        return {
            what: max(size, along / ALONG) / bound for what, (size, along) in self.medians().items()
        }

    def problems(self):
        wrong = [
            f"{what} differs from the CPU's by {ratio:.1f} times the bound"
            for what, ratio in self.ratios().items()
            if not ratio <= 1.0
        ]
        relative, metric = self.metric()
        if not relative <= METRICS[self.precision]:
            wrong.append(f"{metric} of a step differs by {relative:.1e} from the CPU's")
        if self.precision == "fp32" and not max(self.whole) <= EACH_STEP:
            wrong.append(f"the gradient of a step differs by {max(self.whole):.1e} from the CPU's")
        return wrong

    def unnoticed(self):
        """Gradients that are within the bounds, though they are wrong and no mere rounding."""
        return [
            f"{what} is within the bounds ({ratio:.1f})"
            for what, ratio in self.ratios().items()
            if ratio <= 1.0 and self.above_floor[what] > len(self.whole) / 2
        ]


def cpu_step(place, checkpoint, config):
    """Problems of the CPU's step after a checkpoint, which it leaves in the folder `cpu`."""
    folder = place.path("cpu")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.toml").write_text(config)
    shutil.copy(checkpoint, place.checkpoint("cpu"))
    # It stops after its first step, but by the simulated GPU's clock no time passes in a step.
    return clean(place.run(["resume", folder, "--device", "cpu", "--threads", "1",
                            "--max-minutes", "1e-12"], SIMULATED_GPU=""))  # fmt: skip


def compare_steps(place, settings, precision, options, planted=1.0):
    """Trains on the GPU into the folder `single`, step by step; problems, and the comparison."""
    comparison = Comparison(precision, planted)
    often = ["--checkpoint-minutes", "1e-12", "--keep-checkpoints", "1000"]
    wrong = clean(place.train("single", "cuda", [*settings, *often, "--precision", precision],
                              options, metrics_interval=1))  # fmt: skip
    if wrong:
        return wrong, comparison
    run = place.path("single")
    config = (run / "config.toml").read_text().replace('"tf32"', '"fp32"')
    beta1 = float(re.search(r"^beta1 = (.*)$", config, re.M)[1])
    _, *lines = (run / "metrics.jsonl").read_text().splitlines()
    for step, line in enumerate(lines, 1):
        before = run / "checkpoints" / f"step-{step}.safetensors"
        after = run / "checkpoints" / f"step-{step + 1}.safetensors"
        wrong = cpu_step(place, before, config)
        if wrong:
            return wrong, comparison
        ours, theirs = json.loads(line), place.last_line("cpu")
        if not ours["step"] == theirs["step"] == step + 1:
            return [f"step {step + 1} was not a single one"], comparison
        comparison.metrics.append(difference(numbers(theirs), numbers(ours)))
        state = tensors(before)
        ours = tensors(after if after.exists() else place.checkpoint("single"))
        theirs = tensors(place.checkpoint("cpu"))
        comparison.add(Step(state, ours, beta1), Step(state, theirs, beta1))
    place.totals.note_difference(f"{precision} metrics", comparison.metric()[0])
    for what, (size, _) in comparison.medians().items():
        place.totals.note_difference(f"{precision} {what.split()[0]}s", size)
    return comparison.problems(), comparison
