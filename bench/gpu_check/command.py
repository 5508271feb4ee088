"""Running programs under limits of time. What goes wrong is a Problem that says so in one line."""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


class Problem(Exception):
    """Why a row, or a side of it, has no result."""


class OutOfTime(Exception):
    """The time given to the whole run has ended; what was running is not to blame."""


class Deadline:
    """A row's limit within the whole run's: reaching the first is a Problem of the row."""

    def __init__(self, row_seconds: float, run_ends: float):
        self.row_seconds, self.run_ends = row_seconds, run_ends
        self.row_ends = time.monotonic() + row_seconds

    def left(self) -> float:
        return max(0.0, min(self.row_ends, self.run_ends) - time.monotonic())

    def within(self, seconds: float) -> "Deadline":
        """For one of several things to do: if it hangs, the others still have their time."""
        return Deadline(min(seconds, self.row_ends - time.monotonic()), self.run_ends)

    def missed(self, what: str) -> Exception:
        """The exception for `what`, which had not ended in time."""
        if time.monotonic() >= self.run_ends:
            return OutOfTime()
        return Problem(f"{what} had not ended after {self.row_seconds:.3g} s")


@dataclass(frozen=True)
class Output:
    code: int
    stdout: str
    stderr: str


def name_of(command: list) -> str:
    return Path(command[0]).name


def stop(process: subprocess.Popen) -> None:
    """Ends a process and what it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def start(command: list, **streams) -> subprocess.Popen:
    try:
        return subprocess.Popen(
            [str(part) for part in command], text=True, start_new_session=True, **streams
        )
    except OSError as error:
        raise Problem(f"{command[0]}: {error.strerror}") from None


def how_it_ended(what: str, code: int, stderr: str) -> str:
    """One line on a process that failed: how, and the last thing it said."""
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    said = stderr.strip().splitlines()
    return f"{what}: {how}" + (f": {said[-1].strip()[:300]}" if said else "")


def run(command: list, deadline: Deadline, **environment: str) -> Output:
    """Runs to the end, whatever the exit code is, with these variables added to the environment."""
    pipe = subprocess.PIPE
    variables = os.environ | environment
    process = start(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=variables)
    try:
        stdout, stderr = process.communicate(timeout=deadline.left())
    except subprocess.TimeoutExpired:
        raise deadline.missed(name_of(command)) from None
    finally:
        stop(process)
    return Output(process.returncode, stdout, stderr)


def run_well(command: list, deadline: Deadline, **environment: str) -> str:
    """Standard output of a command that has to succeed."""
    output = run(command, deadline, **environment)
    if output.code != 0:
        said = output.stderr if output.stderr.strip() else output.stdout
        raise Problem(how_it_ended(name_of(command), output.code, said))
    return output.stdout


def parse_json(text: str, who: str) -> dict:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise Problem(f"{who}: printed no JSON object but '{text.strip()[:80]}'")
    return value


class Server:
    """A program run with --serve: one line to it, one line of JSON from it."""

    def __init__(self, name: str, command: list):
        self.name = name
        self.stderr = tempfile.TemporaryFile("w+")
        self.process = start(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr
        )

    def ask(self, line: str, deadline: Deadline) -> dict:
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: the empty answer below says how
        ready, _, _ = select.select([self.process.stdout], [], [], deadline.left())
        if not ready:
            raise deadline.missed(f"{self.name}, told to {line},")
        answer = self.process.stdout.readline()
        if not answer:
            self.stderr.seek(0)
            raise Problem(how_it_ended(self.name, self.process.wait(), self.stderr.read()))
        return parse_json(answer, self.name)

    def close(self) -> None:
        stop(self.process)
        self.process.stdout.close()
        self.stderr.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
