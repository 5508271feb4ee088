"""The goals and their measurements: the table at the end of a run, and bench/RESULTS.md.

RESULTS.md contains, between two pairs of markers, the latest result of each goal and the history of
the runs. A run changes only the results that it has measured.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from gpu_check.machine import ROOT

sys.path.insert(0, str(ROOT / "bench" / "peers"))
from goals import GOALS, Goal, Measurement  # noqa: E402
from predictions import PREDICTIONS  # noqa: E402

RESULTS = ROOT / "bench" / "RESULTS.md"
NOT_MEASURED = "not yet measured on a GPU"
NO_RUN = "No GPU has run a benchmark of this project yet."
TABLE, HISTORY = "gpu-goals", "gpu-history"


class ResultsError(Exception):
    """Results that cannot be written, or a file that they cannot be written to."""


@dataclass(frozen=True)
class Measured:
    """The measurement of a goal, with the part's file and the row that it comes from."""

    goal: Goal
    measurement: Measurement
    part: dict
    row: dict

    def text(self) -> str:
        verdict = "reached" if self.measurement.reached else "not reached"
        return f"{self.measurement.text}: {verdict}"


def load(folder: Path) -> dict[str, dict]:
    """Returns the contents of the result files in a folder, by part."""
    parts = {}
    for path in sorted(folder.glob("*.json")):
        try:
            part = json.loads(path.read_text())
            parts[part["part"]] = part
        except (ValueError, KeyError, TypeError):
            raise ResultsError(f"{path}: no part of a check") from None
    return parts


def demand_kind(parts: dict[str, dict], device: str, rehearsal: bool, folder: Path) -> None:
    for name, part in parts.items():
        if part["device"] != device:
            other = f"{folder / name}.json was measured with --device {part['device']}"
            raise ResultsError(f"{other}: results of both kinds are not mixed")
        if part.get("rehearsal", False) != rehearsal:
            kind = "no rehearsal" if rehearsal else "a rehearsal, no measurement"
            raise ResultsError(f"{folder / name}.json is {kind}: results of both are not mixed")


def values_of(parts: dict[str, dict], part: str, row: str) -> dict | None:
    """Returns the values of a row or, if `row` is empty, the values of all rows of a part together;
    None if they were not measured."""
    results = parts.get(part, {}).get("results", {})
    if row:
        return results[row]["values"] if row in results else None
    together = {}
    for each in results.values():
        for key, value in each["values"].items():
            known = together.setdefault(key, {}) if isinstance(value, dict) else None
            if known is not None:
                merge(known, value)
    return together or None


def merge(into: dict, more: dict) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def measured(parts: dict[str, dict]) -> dict[Goal, Measured]:
    found = {}
    for goal in GOALS:
        values = values_of(parts, goal.part, goal.row)
        measurement = goal.read(values) if values else None
        if measurement:
            part = parts[goal.part]
            row = part["results"][goal.row] if goal.row else list(part["results"].values())[-1]
            found[goal] = Measured(goal, measurement, part, row)
    return found


def columns_of(*columns: tuple[str, ...]) -> str:
    """Returns lines with aligned columns."""
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def table_of_run(parts: dict[str, dict]) -> str:
    """Returns a table of all goals and this run's results, for the terminal."""
    found = measured(parts)
    results = [found[g].text() if g in found else "not measured" for g in GOALS]
    return columns_of(
        ("metric", *(g.metric for g in GOALS)),
        ("peer", *(g.peer for g in GOALS)),
        ("target", *(g.target for g in GOALS)),
        ("measured", *results),
    )


def predictions_of_run(parts: dict[str, dict]) -> str:
    """Returns a table of all predictions and this run's measurements, for the terminal."""
    measurements = []
    for prediction in PREDICTIONS:
        values = values_of(parts, prediction.part, prediction.row)
        measurements.append(prediction.verdict(values) if values else "not measured")
    return columns_of(
        ("prediction of", *(p.what for p in PREDICTIONS)),
        ("predicted", *(p.text() for p in PREDICTIONS)),
        ("measured", *measurements),
    )


def tables_of_run(parts: dict[str, dict]) -> str:
    return f"\n{table_of_run(parts)}\n\n{predictions_of_run(parts)}"


def cut(text: str, name: str) -> tuple[str, str, str]:
    """Returns the text before, between and after a pair of markers."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise ResultsError(f"the results' file needs one {begin.strip()} and, after it, one {end}")
    before, rest = text.split(begin)
    inside, after = rest.split(end)
    return before + begin, inside, end + after


def known_results(table: str) -> dict[tuple[str, ...], str]:
    """Returns a table's fourth column, with the first three columns as keys."""
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()]
    return {tuple(row[:3]): row[3] for row in rows if len(row) == 4}


def goals_table(before: str, found: dict[Goal, Measured]) -> str:
    known = known_results(before)
    lines = ["| what | against | goal | result |", "| --- | --- | --- | --- |"]
    for goal in GOALS:
        key = (goal.metric, goal.peer, goal.target)
        result = known.get(key, NOT_MEASURED)
        if goal in found:
            one = found[goal]
            result = f"{one.text()} ({one.part['gpu']}, {one.row['date'][:10]})"
        lines.append("| " + " | ".join((*key, result)) + " |")
    return "\n".join(lines) + "\n"


def entries_of(parts: dict[str, dict], found: dict[Goal, Measured]) -> dict[str, list[str]]:
    """Returns a line for each run that has rows in these parts, with the lines of its results."""
    entries = {}
    for part in parts.values():
        versions = ", ".join(f"{name} {v}" for name, v in part["versions"].items() if v)
        for row_name, row in part["results"].items():
            entry = (
                f"- {row['date']}, {part['gpu']}, driver {part['driver']}, {versions}, "
                f"{part['data']}, commit {part['commit'] or 'unknown'}: `{row['command']}`"
            )
            lines = entries.setdefault(entry, [])
            for goal, one in found.items():
                if one.row is row:
                    peer = f" against {goal.peer}" if goal.peer else ""
                    lines.append(f"  - {goal.metric}{peer}: {one.text()}")
            troubles = [*row["problems"], *filter(None, [row.get("unfinished")])]
            lines += [f"  - {part['part']}, {row_name}: {trouble}" for trouble in troubles]
    return entries


def history(before: str, entries: dict[str, list[str]]) -> str:
    """Returns the earlier entries and these; a new entry replaces one with the same first line."""
    kept = {}
    for line in before.splitlines():
        if line.startswith("- "):
            lines = kept.setdefault(line, [])
        elif line.startswith("  - "):
            lines.append(line)
    kept |= entries
    if not kept:
        return NO_RUN + "\n"
    return "\n".join(line for entry, lines in kept.items() for line in (entry, *lines)) + "\n"


def render(text: str, parts: dict[str, dict]) -> str:
    """Returns the text of RESULTS.md, updated with the results of these parts."""
    found = measured(parts)
    before, table, after = cut(text, TABLE)
    text = before + "\n" + goals_table(table, found) + "\n" + after
    before, entries, after = cut(text, HISTORY)
    return before + "\n" + history(entries, entries_of(parts, found)) + "\n" + after


def write_results(folder: Path, file: Path) -> None:
    """Updates the file with the results of a folder. Throws ResultsError."""
    parts = load(folder)
    if not parts:
        raise ResultsError(f"{folder}: no results there")
    demand_kind(parts, "cuda", False, folder)
    file.write_text(render(file.read_text(), parts))
