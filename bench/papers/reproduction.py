"""Code that all reproductions of published results share: a training that can be interrupted and
resumed, its evaluation, and a line of results. Needs only Python's standard library.

The directory --out of a reproduction contains `run`, elbo's run directory, and `reproduction.json`:
the command's settings, its progress and its time so far. The same command resumes it.
"""

import argparse
import dataclasses
import json
import pathlib
import shlex
import signal
import subprocess
import sys
import time


class Problem(Exception):
    """The reason why a reproduction cannot continue, in one line for the user."""


@dataclasses.dataclass
class Evaluation:
    """A number to measure: `metric` of `elbo evaluate` on `split`."""

    metric: str
    split: str
    flags: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Reproduction:
    """A published experiment. `settings` are settings of `elbo train`. `published` is the paper's
    value for the first evaluation (None: the paper has no number to compare with)."""

    name: str
    source: str
    settings: dict
    evaluations: list
    published: float | None
    published_error: float | None = None
    checkpoint: str = "last"  # or "best" on the validation split


@dataclasses.dataclass
class Schedule:
    """Number of epochs, the epochs at which the learning rate decreases, and its factor there."""

    epochs: int
    milestones: list
    gamma: float

    def scaled(self, scale):
        """Returns the schedule shortened by the factor `scale`: a whole number of epochs, at least
        one, with the same fraction of them in each stage."""
        epochs = max(1, round(self.epochs * scale))
        return Schedule(epochs, [m * epochs / self.epochs for m in self.milestones], self.gamma)

    def settings(self):
        return {"epochs": self.epochs, "learning-rate-schedule": "multistep",
                "learning-rate-milestones": ",".join(f"{m:.10g}" for m in self.milestones),
                "learning-rate-gamma": f"{self.gamma:.10g}"}


def argument_parser(description, data):
    """Returns a parser for the arguments that all reproductions have."""
    parser = argparse.ArgumentParser(
        description=description, epilog="The same command again goes on where it stopped.")
    parser.add_argument("--program", required=True, type=pathlib.Path, help="the elbo program")
    parser.add_argument("--data", required=True, type=pathlib.Path, help=data)
    parser.add_argument("--out", required=True, type=pathlib.Path,
                        help="directory to make, or to go on in")
    parser.add_argument("--scale", type=scale, default=1.0,
                        help="shortens the schedule to this part of it, in (0, 1] (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    parser.add_argument("--results", type=pathlib.Path,
                        default=pathlib.Path(__file__).parent / "results.jsonl",
                        help="file to append the result to (default: %(default)s)")
    return parser


def scale(text):
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0 and at most 1")
    return value


def flags(settings):
    """Returns `--key value` for each setting."""
    return [word for key, value in settings.items() for word in (f"--{key}", str(value))]


def hardware():
    """Returns the name of the CPU. elbo itself reports the name of a GPU."""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return "unknown CPU"


class Driver:
    """Runs one reproduction to its end, from its current state."""

    def __init__(self, reproduction, arguments):
        self.reproduction = reproduction
        self.arguments = arguments
        self.run = arguments.out / "run"
        self.state_file = arguments.out / "reproduction.json"
        self.command = {"name": reproduction.name, "scale": arguments.scale,
                        "seed": arguments.seed,
                        "settings": {k: str(v) for k, v in reproduction.settings.items()}}
        self.state = {**self.command, "seconds": {"train": 0.0, "evaluate": 0.0},
                      "evaluations": {}, "recorded": False}

    def go(self):
        """Does the remaining work. Returns the line of the result."""
        self.open()
        if self.state["recorded"]:
            print(f"all done: {self.arguments.out} is recorded in {self.state['recorded']}")
        else:
            if not (self.run / "summary.json").exists():
                self.train()
            for evaluation in self.reproduction.evaluations:
                self.evaluate(evaluation)
            self.record()
        line = self.line()
        self.show(line)
        return line

    def open(self):
        """Reads the state of an earlier command, or creates a new one."""
        out = self.arguments.out
        if not self.state_file.exists():
            if out.exists() and any(out.iterdir()):
                raise Problem(f"--out: {out} holds something else; choose another directory")
            out.mkdir(parents=True, exist_ok=True)
            self.save()
            return
        self.state = json.loads(self.state_file.read_text())
        for key, wanted in self.command.items():
            if self.state[key] == wanted:
                continue
            got = self.state[key]
            if key == "settings":
                key = next(k for k in {**got, **wanted} if got.get(k) != wanted.get(k))
                got, wanted = got.get(key), wanted.get(key)
            raise Problem(f"--out: {out} was made with {key} {got}, not {wanted}; choose another "
                          "directory, or give the same command")

    def save(self):
        """Saves the state atomically."""
        new = self.state_file.with_suffix(".new")
        new.write_text(json.dumps(self.state, indent=1) + "\n")
        new.replace(self.state_file)

    def elbo(self, phase, *words, capture=False):
        """Runs elbo, which prints to the terminal unless `capture` is set. Its time is counted even
        if it fails."""
        command = [str(self.arguments.program), *map(str, words)]
        start = time.monotonic()
        try:
            child = subprocess.Popen(command, text=True,
                                     stdout=subprocess.PIPE if capture else None)
        except OSError as error:
            raise Problem(f"--program: {command[0]}: {error.strerror}") from error
        try:
            output, _ = child.communicate()
        except KeyboardInterrupt:
            # The terminal has sent SIGINT to the child as well, but SIGTERM reached only this
            # process.
            child.terminate()
            child.wait()
            raise
        finally:
            self.state["seconds"][phase] += time.monotonic() - start
            self.save()
        if child.returncode in (-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT):
            raise KeyboardInterrupt
        if child.returncode != 0:
            raise Problem(f"failed with status {child.returncode}: {shlex.join(command)}")
        return output

    def devices(self):
        return ["--device", self.arguments.device, "--threads", str(self.arguments.threads)]

    def train(self):
        if (self.run / "checkpoints" / "last.safetensors").exists():
            self.elbo("train", "resume", self.run, *self.devices())
            return
        # There is no checkpoint to resume from: the training stopped before its first one.
        discard(self.run)
        self.elbo("train", "train", self.arguments.data, "--out", self.run,
                  *flags(self.reproduction.settings), "--seed", self.arguments.seed,
                  *self.devices())

    def evaluate(self, evaluation):
        key = f"{evaluation.metric} {evaluation.split}"
        if key in self.state["evaluations"]:
            return
        text = self.elbo("evaluate", "evaluate", self.run, self.arguments.data, "--json",
                         "--checkpoint", self.reproduction.checkpoint,
                         "--split", evaluation.split, *flags(evaluation.flags), *self.devices(),
                         capture=True)
        self.state["evaluations"][key] = json.loads(text)
        self.save()

    def line(self):
        """Returns the result as one JSON object."""
        summary = json.loads((self.run / "summary.json").read_text())
        seconds = self.state["seconds"]
        first = self.reproduction.evaluations[0]
        got = self.state["evaluations"][f"{first.metric} {first.split}"]
        others = {f"{e.split}_{e.metric}":
                  self.state["evaluations"][f"{e.metric} {e.split}"][e.metric]
                  for e in self.reproduction.evaluations[1:]}
        return {
            "name": self.reproduction.name,
            "source": self.reproduction.source,
            "scale": self.arguments.scale,
            "seed": self.arguments.seed,
            "metric": f"{first.split} {first.metric}",
            "number": got[first.metric],
            "standard_error": got.get(f"{first.metric}_standard_error"),
            "published": self.reproduction.published,
            "published_error": self.reproduction.published_error,
            **others,
            "active_units": got.get("active_units"),
            "rows": got["count"],
            "checkpoint": self.reproduction.checkpoint,
            "epochs": summary["epoch"],
            "steps": summary["step"],
            "device": summary["device"],
            "cpu": hardware(),
            "train_seconds": round(seconds["train"], 1),
            "evaluate_seconds": round(seconds["evaluate"], 1),
            "evaluation": first.flags,
            "settings": self.reproduction.settings,
        }

    def record(self):
        """Appends the line to the results. The state records this, so that it happens only once."""
        results = self.arguments.results
        results.parent.mkdir(parents=True, exist_ok=True)
        with results.open("a") as file:
            file.write(json.dumps(self.line()) + "\n")
        self.state["recorded"] = str(results)
        self.save()

    def show(self, line):
        error = line["standard_error"]
        print(f"{line['name']}, scale {line['scale']:g}: {line['metric']} {line['number']:.2f}" +
              (f" ± {error:.2f}" if error is not None else "") +
              ("" if line["published"] is None else f", published {line['published']:.2f}") +
              f"; training {clock(line['train_seconds'])}, evaluation "
              f"{clock(line['evaluate_seconds'])}")


def discard(run):
    """Removes a run directory without a checkpoint. It contains only files that elbo wrote."""
    if not run.exists():
        return
    for path in sorted(run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    run.rmdir()


def clock(seconds):
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def interrupt(*_):
    raise KeyboardInterrupt


def main(reproduction, arguments):
    """Runs the reproduction. If it is interrupted, prints the command that resumes it."""
    # SIGTERM stops the program in the same way as Ctrl-C at a terminal.
    signal.signal(signal.SIGTERM, interrupt)
    try:
        Driver(reproduction, arguments).go()
    except KeyboardInterrupt:
        print(f"\nstopped; goes on with: {shlex.join(sys.argv)}",
              file=sys.stderr)
        sys.exit(130)
    except Problem as problem:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {problem}")
