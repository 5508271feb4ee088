"""Measurement on a GPU in three calls. Each call is one command that ends within nine minutes
(bench/GPU_PROTOCOL.md)."""

from dataclasses import dataclass

from gpu_check.parts import Part, Row, Scope

FAST_MODES = ("eager", "graph", "compile-graph", "scan")
OTHER_MODES = ("example", "compile", "compile-reduce-overhead", "compile-max-autotune",
               "compile-optimizer", "scan-unrolled", "scan-graph")  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """A part within a call."""

    part: str
    modes: tuple[str, ...] | None = None  # None: each row's own modes


# In a call the steps come first: they matter most, and a call may end early.
CALLS = {
    1: (Stage("steps", FAST_MODES), Stage("tests"), Stage("repeatability")),
    2: (Stage("sanitizer"), Stage("calibration"), Stage("kernels")),
    3: (
        Stage("large", ("eager", "compile", "compile-reduce-overhead", "scan")),
        Stage("steps", OTHER_MODES),
    ),
}


def stages_of(call: int | None, parts: list[str] | None, every: tuple[Part, ...]) -> list[Stage]:
    """Returns the stages to run: the stages of the call whose part is in `parts` or, without a
    call, these parts in their order. None: all parts."""
    if call is None:
        return [Stage(part.name) for part in every if parts is None or part.name in parts]
    return [stage for stage in CALLS[call] if parts is None or stage.part in parts]


def rows_of(part: Part, scope: Scope, device: str) -> tuple[Row, ...]:
    return (part.rows if device == "cuda" else part.cpu_rows)(scope)


def expected_s(stage: Stage, part: Part) -> float:
    return sum(row.expected_s for row in part.rows(Scope(stage.modes)))
