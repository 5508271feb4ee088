"""Runs programs with time limits. Failures are reported as a Problem with a message of one line."""

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
    """The reason why a row, or a side of it, has no result."""


class OutOfTime(Exception):
    """The time of the whole run is over; the program that was running is not at fault."""


class Deadline:
    """The time limits of a row and of the whole run. Only the row's limit causes a Problem."""

    def __init__(self, row_seconds: float, run_ends: float):
        self.row_seconds, self.run_ends = row_seconds, run_ends
        self.row_ends = time.monotonic() + row_seconds

    def left(self) -> float:
        return max(0.0, min(self.row_ends, self.run_ends) - time.monotonic())

    def within(self, seconds: float) -> "Deadline":
        """Returns a shorter deadline for one of several tasks: if it hangs, the others still have
        their time."""
        return Deadline(min(seconds, self.row_ends - time.monotonic()), self.run_ends)

    def missed(self, what: str) -> Exception:
        """Returns the exception for `what`, which had not ended in time."""
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
    """Kills a process and its children."""
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
    """Returns one line about a failed process: its exit code or signal, and its last message."""
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    said = stderr.strip().splitlines()
    return f"{what}: {how}" + (f": {said[-1].strip()[:300]}" if said else "")


def run(command: list, deadline: Deadline, **environment: str) -> Output:
    """Runs a command, with these variables added to the environment. Any exit code is accepted."""
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
    """Runs a command and returns its standard output. Throws Problem if it fails."""
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
    """A program run with --serve: it answers each line of input with one line of JSON."""

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
            pass  # the process has ended: the empty answer below is reported with its exit code
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
