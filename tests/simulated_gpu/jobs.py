"""Jobs on the simulated GPU: trainings compared with the CPU, uses of a trained model, libraries
that misbehave, calls that fail, and the engine's own GPU tests."""

import json
import random
import re
import shutil
import subprocess

from program import DEFECTS, clean, difference, npy_floats, tensors
from steps import METRICS, compare_steps

PRECISIONS = ("fp32", "tf32", "bf16")
ORDERS = ("late", "random", "latest", "eager")
GRAPHS = ("chain", "branches", "overlap", "both")
STEPS = 48  # three graphs of 16


def recipes(elbo):
    """Name and settings (to make it small) of every recipe."""
    text = subprocess.run([elbo, "list", "recipes"], capture_output=True, text=True).stdout
    found = {}
    for block in re.split(r"\n(?=  [a-z])", text.split("\n", 1)[1]):
        block = " ".join(block.split())  # lines may be wrapped anywhere
        name = block.split(":")[0]
        settings = ["--recipe", name]
        if "--hidden ''" not in block:
            settings += ["--hidden", "12,8,6" if name == "deep-autoencoder" else "8"]
        if "gaussian z" in block or "deterministic z" in block:
            settings += ["--latent-dim", "20" if "corruption" in block else "2"]
        if "conv " in block:
            settings += ["--channels", "4,8"]
        if "▸ D" in block:
            settings += ["--discriminator-hidden", "8"]
        found[name] = settings
    return found


def far(place, name):
    """What differs too much between an fp32 run's metrics and those of the run `cpu`."""
    relative, metric = difference(place.metrics("cpu"), place.metrics(name))
    place.totals.note_difference("fp32 metrics", relative)
    if relative <= METRICS["fp32"]:
        return []
    return [f"{metric} differs by {relative:.1e} from the CPU"]


class Job:
    """`run` returns a list of problems; `cost` in seconds of one core; `size` of the pictures."""

    def __init__(self, kind, name, cost, run, size=4):
        self.kind, self.name, self.cost, self.run, self.size = kind, name, cost, run, size


def size_for(settings):
    """Convolutions halve pictures twice."""
    return 8 if "--channels" in settings else 4


def training_job(recipe, settings, precision, rng, variants):
    """A recipe on the GPU in variants that must leave the same bits: graphs of 16 steps, and single
    steps, each of which is compared with the CPU's."""
    library = "" if rng.random() < 0.5 else "refuse=ALL"
    seeds = [rng.randrange(1000) for _ in range(variants)]
    first = rng.randrange(4)

    def run(place):
        wrong, weights = [], set()
        steps = ["--steps", STEPS, *settings]
        for i, seed in enumerate(seeds):
            options = (
                f"seed={seed} order={ORDERS[(first + i) % 4]} fastest={GRAPHS[(first + i) % 4]} "
                f"edges={'all' if seed % 2 else 'one'} {library}"
            )
            place.totals.seeds.add(seed)
            outcome = place.train("gpu", "cuda", [*steps, "--precision", precision], options)
            problems = clean(outcome)
            wrong += [f"{options}: {problem}" for problem in problems]
            if problems:
                continue
            weights.add(place.weights("gpu"))
            if sum(line.startswith("graph, ") for line in outcome.plan()) < 4:
                wrong.append(f"{options}: fewer than four forms of the graph were tried")
        options = f"seed={seeds[0]} order={ORDERS[first]} {library}"
        problems, _ = compare_steps(place, steps, precision, options)
        wrong += [f"{options}: {problem}" for problem in problems]
        if not wrong:
            weights.add(place.weights("single"))
        if len(weights) > 1:
            wrong.append(f"{len(weights)} different weights")
        return wrong

    size = size_for(settings)
    cost = {"resnet-vae": 50, "conv-vae-gan": 40}.get(recipe, 12 if size == 8 else 3)
    return Job("training", f"{recipe} {precision}", cost * variants, run, size)


def streaming_job(rng, orders):
    """Rows streamed in windows leave the bits of rows that are all on the GPU's memory."""
    seeds = [rng.randrange(1000) for _ in orders]

    def run(place):
        wrong, weights = [], {}
        settings = ["--likelihood", "bernoulli", "--hidden", 8, "--latent-dim", 2, "--steps", 120,
                    "--precision", "fp32"]  # fmt: skip
        for window in (32, 160):
            for order, seed in zip(orders, seeds):
                for pageable in ("late", "call"):
                    place.totals.seeds.add(seed)
                    outcome = place.train(
                        "window", "cuda", [*settings, "--data-window", window],
                        f"seed={seed} order={order} pageable={pageable} refuse=ALL")  # fmt: skip
                    problems = clean(outcome)
                    wrong += problems
                    if not problems:
                        weights.setdefault(window, set()).add(place.weights("window"))
            wrong += clean(place.train("cpu", "cpu", [*settings, "--data-window", window]))
            wrong += [f"window {window}: {text}" for text in far(place, "window")]
        for window, hashes in weights.items():
            if len(hashes) > 1:
                wrong.append(f"window {window}: {len(hashes)} different weights")
        return wrong

    return Job("streaming", "windows", 8 * len(orders), run)


def resume_job(rng):
    """A training cut off and resumed has the weights of one that was not."""
    seed = rng.randrange(1000)

    def run(place):
        settings = ["--likelihood", "bernoulli", "--hidden", 8, "--latent-dim", 2]
        options = f"seed={seed} refuse=ALL"
        place.totals.seeds.add(seed)
        wrong = clean(place.train("whole", "cuda", [*settings, "--steps", 90], options))
        wrong += clean(place.train("cut", "cuda", [*settings, "--steps", 37], options))
        wrong += clean(place.run(["resume", place.path("cut"), "--steps", 90, "--device", "cuda",
                                  "--verbose"], options + " order=random"))  # fmt: skip
        if not wrong and tensors(place.checkpoint("whole")) != tensors(place.checkpoint("cut")):
            wrong.append("the resumed training has other weights")
        return wrong

    return Job("resume", "37 of 90 steps", 8, run)


def use_job(recipe, settings, ways, rng):
    """evaluate (in several ways) and encode agree with the CPU."""
    seed = rng.randrange(1000)

    def run(place):
        options = f"seed={seed} order={ORDERS[seed % 4]} refuse=ALL"
        place.totals.seeds.add(seed)
        wrong = clean(place.train("run", "cpu", ["--steps", STEPS, *settings]))
        model = [place.path("run"), place.data, "--checkpoint", "last"]
        values, codes = {}, {}
        for device in ("cpu", "cuda"):
            for extra in ways:
                outcome = place.run(["evaluate", *model, "--json", "--device", device, *extra],
                                    options)  # fmt: skip
                wrong += clean(outcome)
                line = next((s for s in outcome.text.splitlines() if s.startswith("{")), "{}")
                values.setdefault(device, []).append(json.loads(line))
            codes[device] = place.path(f"{device}.npy")
            wrong += clean(place.run(["encode", *model, "--out", codes[device], "--device", device],
                                     options))  # fmt: skip
        if wrong:
            return wrong
        for ours, theirs in zip(values["cuda"], values["cpu"]):
            relative, name = difference(ours, theirs)
            if not relative <= METRICS["fp32"]:
                wrong.append(f"evaluate: {name} differs by {relative:.1e} from the CPU")
        ours, theirs = npy_floats(codes["cuda"]), npy_floats(codes["cpu"])
        if len(ours) != len(theirs) or max(abs(a - b) for a, b in zip(ours, theirs)) > 1e-5:
            wrong.append("encode: codes differ from the CPU's")
        return wrong

    return Job("use", recipe, 6, run, size_for(settings))


def library_job(name, options, expect, settings, rng, earlier=None):
    """A library that refuses, is slow, is off, or is wrong. `expect(plan)` says what is wrong.
    The options `earlier` are those of a training that has written the measurements."""
    seed = rng.randrange(1000)

    def run(place):
        place.totals.seeds.add(seed)
        settings_of = ["--steps", STEPS, "--likelihood", "bernoulli", "--precision", "fp32",
                       *settings]  # fmt: skip
        wrong = clean(place.train("cpu", "cpu", settings_of))
        if earlier is not None:
            wrong += clean(place.train("earlier", "cuda", settings_of, f"seed={seed} {earlier}"))
        outcome = place.train("gpu", "cuda", settings_of, f"seed={seed} {options}")
        wrong += clean(outcome)
        if wrong:
            return wrong
        wrong += far(place, "gpu")
        products = re.compile(r"(dense|convolution)_\w+ .*: ")
        chosen = [line for line in outcome.plan() if products.match(line)]
        return wrong + expect(chosen, outcome)

    size = size_for(settings)
    return Job("library", name, 12 if size == 8 else 6, run, size)


def used(word, wanted):
    def expect(chosen, _outcome):
        uses = [line for line in chosen if f": {word}" in line]
        if bool(uses) == wanted:
            return []
        return [f"{word} {'was never' if wanted else 'was'} chosen: {'; '.join(chosen)[:300]}"]

    return expect


def library_jobs(rng):
    dense = ["--hidden", 8, "--latent-dim", 2]
    conv = ["--network", "conv", "--channels", "4,8", *dense]
    never = used("cuBLASLt", False)

    def replaced(expect, words):
        def expect_notes(chosen, outcome):
            said = any(words in line for line in outcome.plan())
            return expect(chosen, outcome) + ([] if said else [f"no note says '{words}'"])

        return expect_notes

    def no_epilogue(*names):
        return lambda chosen, _: [
            f"{name} was chosen" for name in names for line in chosen if f" {name} " in line
        ]

    return [
        library_job(name, options, expect, settings, rng)
        for name, options, expect, settings in (
            ("cuBLASLt that is fast", "library=100", used("cuBLASLt", True), dense),
            ("cuBLASLt that does not start", "refuse=cuBLASLt", never, dense),
            ("cuBLASLt without fused gradients", "refuse=DRELU,BGRADB",
             no_epilogue("DRELU", "BGRADB"), dense),
            ("cuBLASLt without masks", "refuse=RELU_AUX_BIAS", no_epilogue("RELU_AUX_BIAS"), dense),
            ("cuBLASLt that is slow", "library=0.01", never, dense),
            ("cuBLASLt that is off by 1e-6", "library=100 noise=1e-6", used("cuBLASLt", True),
             dense),
            ("cuBLASLt that is wrong", "library=100 noise=0.1", never, dense),
            ("cuDNN that is fast", "library=100", used("cuDNN", True), conv),
            ("cuDNN that does not start", "refuse=cuDNN", used("cuDNN", False), conv),
            ("cuDNN that is wrong", "library=100 noise=0.1", used("cuDNN", False), conv),
            ("cuBLASLt that queues nothing", "library=100 refuse=products", never, dense),
            ("cuBLASLt that cannot be captured", "library=100 refuse=products-in-capture", never,
             dense),
        )
    ] + [
        library_job(f"{library}, chosen before", "library=100", used(library, True), settings, rng,
                    earlier="library=100")
        for library, settings in (("cuBLASLt", dense), ("cuDNN", conv))
    ] + [
        library_job(f"cuBLASLt that was chosen and refuses {what}", f"library=100 refuse={what}",
                    replaced(expect, words), dense, rng, earlier="library=100")
        for what, expect, words in (
            ("products", never, "another run may"),
            ("products-in-capture", never, "another run may"),
            ("cuBLASLt", never, "by own kernels alone"),
            ("RELU_AUX_BIAS", no_epilogue("RELU_AUX_BIAS"), "another run may"),
        )
    ]  # fmt: skip


def failure_job(part, parts, settings, name, rng):
    """Every call of the runtime and the libraries fails once: first, middle and last of each
    function, split into `parts` jobs. A clear error, or the same bits; no hang, crash or leak."""
    seed = rng.randrange(1000)

    def run(place):
        place.totals.seeds.add(seed)
        options = f"seed={seed}"
        settings_of = ["--steps", 40, "--likelihood", "bernoulli", "--precision", "fp32", *settings]
        place.train("calm", "cuda", settings_of, options)  # measures
        calm = place.train("calm", "cuda", settings_of, options)
        wrong = clean(calm)
        if wrong:
            return wrong
        weights = place.weights("calm")
        faults = []
        for function, count in sorted(calm.calls.items()):
            if function not in ("enqueue_library_work", "load_library_kernels"):
                faults += [(function, n, "") for n in sorted({1, (count + 1) // 2, count})]
                faults.append((function, (count + 1) // 2, "!"))
        for function, call, lasting in faults[part::parts]:
            fault = f"fail={function}:{call}{lasting}"
            place.totals.failed_calls += 1
            shutil.rmtree(place.path("tried"), ignore_errors=True)
            shutil.copytree(place.path("cache"), place.path("tried"))
            outcome = place.train("run", "cuda", settings_of, f"{options} {fault}", cache="tried",
                                  timeout=120)  # fmt: skip
            wrong += [f"{fault}: {why}" for why in judge(outcome, place, weights)]
        return wrong

    return Job("failures", f"{name}, part {part + 1} of {parts}", 60, run)


def judge(outcome, place, weights):
    """What is wrong with a program in which one call failed."""
    if outcome.code is None:
        return ["it hangs"]
    if outcome.code < 0 or outcome.code > 128:
        return [f"it crashes: {outcome.text[-200:]}"]
    if outcome.code == DEFECTS or outcome.defects:
        return outcome.defects[:3]
    if outcome.code != 0:
        lines = [s for s in outcome.text.splitlines() if s.startswith("elbo: ")]
        return [] if len(lines) == 1 else [f"no clear error: {outcome.text[-200:]}"]
    announced = any("another run may" in line for line in outcome.plan())
    if place.weights("run") != weights and not announced:
        return ["it succeeds with other weights and does not say so"]
    return []


def planted_job(name, option, settings, rng):
    """A defect that is put in must be found."""
    seed = rng.randrange(1000)

    def run(place):
        outcome = place.train("run", "cuda", ["--steps", STEPS, "--likelihood", "bernoulli",
                                              *settings],
                              f"seed={seed} refuse=ALL {option}")  # fmt: skip
        if any("race: " in line for line in outcome.defects) and outcome.code == DEFECTS:
            return []
        return [f"{option} was not found: exit code {outcome.code}"]

    return Job("planted", name, 3, run)


def planted_error_job(recipe, settings, precision, error, rng):
    """A wrong factor of the gradient must be found in every tensor."""
    seed = rng.randrange(1000)

    def run(place):
        place.totals.seeds.add(seed)
        problems, comparison = compare_steps(place, ["--steps", STEPS, *settings], precision,
                                             f"seed={seed} refuse=ALL", 1 + error)  # fmt: skip
        return comparison.unnoticed() if comparison.whole else problems

    name = f"gradients of {recipe} off by {error:.0%} in {precision}"
    return Job("planted", name, 10, run, size_for(settings))


def gpu_tests_job(program, shard, shards):
    """A part of the engine's GPU tests."""

    def run(place):
        outcome = place.run(
            ["--gtest_brief=1"], f"seed={shard} refuse=ALL", program=program, timeout=900,
            GTEST_TOTAL_SHARDS=str(shards), GTEST_SHARD_INDEX=str(shard))  # fmt: skip
        return clean(outcome)

    return Job("GPU tests", f"shard {shard + 1} of {shards}", 60, run)


def all_jobs(elbo, gpu_tests, rng):
    known = recipes(elbo)
    dense = ["--hidden", 8, "--latent-dim", 2]
    jobs = [
        training_job(recipe, settings, precision, rng, variants=4)
        for recipe, settings in known.items()
        for precision in PRECISIONS
    ]
    jobs += [streaming_job(rng, [order]) for order in ORDERS]
    jobs += [resume_job(rng)]
    posterior = ([], ["--importance-samples", 20], ["--samples", 3])
    for recipe in ("vae", "iwae", "conv-vae"):
        jobs.append(use_job(recipe, known[recipe], posterior, rng))
    jobs += [use_job("mlp-classifier", known["mlp-classifier"], ([],), rng)]
    jobs += library_jobs(rng)
    jobs += [failure_job(part, 8, dense, "dense", rng) for part in range(8)]
    edge = rng.randrange(2, 12)
    jobs += [planted_job("a missing dependency", f"without_edge={edge}", dense, rng),
             planted_job("a kernel that does not wait", "without_wait=product", dense, rng),
             planted_job("a missing event wait", "without_event=1",
                         [*dense, "--data-window", 32], rng)]  # fmt: skip
    jobs += [
        planted_error_job(recipe, known[recipe], precision, error, rng)
        for recipe in ("resnet-vae", "conv-vae-gan")
        for precision, error in (("tf32", 0.01), ("bf16", 0.1))
    ]
    jobs += [gpu_tests_job(gpu_tests, shard, 10) for shard in range(10)]
    return jobs


def is_dear(job, seconds):
    """True for a job that would take more than a third of a selection's time."""
    return job.cost > seconds / 3


def selection(jobs, seconds, rng):
    """One job of each kind, then others at random while their cost fits; in random order."""
    shuffled = random.Random(rng.random()).sample(jobs, len(jobs))
    shuffled = [job for job in shuffled if not is_dear(job, seconds)]
    kinds, chosen, cost = set(), [], 0.0
    for job in shuffled:
        if job.kind not in kinds:
            kinds.add(job.kind)
            chosen.append(job)
            cost += job.cost
    for job in shuffled:
        if job not in chosen and cost + job.cost <= seconds:
            chosen.append(job)
            cost += job.cost
    return chosen
