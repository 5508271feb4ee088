#!/usr/bin/env python3
"""Assembles the kernels' PTX and checks what the assembler reports: no kernel spills registers or
keeps a stack, and every kernel says how large its blocks are and fits their share of registers.

    spills_test.py PTXAS ARCHITECTURE PTX...

Exits with 77, which CTest takes for a skip, where there is no assembler.
"""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SKIP = 77
REGISTERS_OF_A_MULTIPROCESSOR = 65536
REGISTERS_GIVEN_AT_A_TIME = 8  # to each thread
FLAGS = ("-v", "-m64", "--fmad", "false")  # as nvcc calls it with this project's flags

# Kernels that may have a stack, and why. A larger one is an error, and so is one that has gone.
STACKS = {
    # The cosine schedule, in double. The library's reduction of arguments beyond 2^31 indexes an
    # array of 40 bytes. The schedule's arguments lie in [0, pi] and one thread of a grid evaluates
    # it, so that the array is never touched.
    "optimizer_update_kernel": 40,
}


@dataclass(frozen=True)
class Kernel:
    name: str  # mangled
    registers: int
    stack: int
    spills: int  # bytes stored and loaded


def read_report(report):
    """The kernels of a report of `ptxas -v`. Functions that are not kernels use no registers of
    their own, and count with the kernels that call them."""
    kernels, properties = [], None
    for line in report.splitlines():
        if match := re.search(r"Function properties for (\S+)", line):
            name = match.group(1)
        elif match := re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line
        ):
            stack, stores, loads = map(int, match.groups())
            properties = (name, stack, stores + loads)
        elif match := re.search(r"Used (\d+) registers", line):
            if properties is None:
                raise ValueError(f"registers of nothing: {line}")
            name, stack, spills = properties
            cumulative = re.search(r"(\d+) bytes cumulative stack size", line)
            stack = max(stack, int(cumulative.group(1)) if cumulative else 0)
            kernels.append(Kernel(name, int(match.group(1)), stack, spills))
            properties = None
    return kernels


def block_sizes(ptx):
    """The largest block of each kernel of a PTX file; None for one that does not say."""
    sizes = {}
    for match in re.finditer(r"\.entry\s+(\w+)\s*\((.*?)^\{", ptx, re.DOTALL | re.MULTILINE):
        bounds = re.search(r"\.maxntid\s+(\d+)(?:,\s*(\d+))?(?:,\s*(\d+))?", match.group(2))
        size = None
        if bounds:
            size = 1
            for dimension in bounds.groups("1"):
                size *= int(dimension)
        sizes[match.group(1)] = size
    return sizes


def short_name(name):
    """The function's own name out of a mangled one: the last of its qualified names."""
    rest = name.removeprefix("_ZN").removeprefix("_Z")
    found = name
    while match := re.match(r"(\d+)", rest):
        length = int(match.group(1))
        rest = rest[match.end() :]
        found, rest = rest[:length], rest[length:]
    return found


def check(kernels, sizes):
    """What is wrong with the kernels of a file, a line each."""
    for missing in sorted(sizes.keys() - {kernel.name for kernel in kernels}):
        yield f"{missing}: not in the report"
    for kernel in kernels:
        if kernel.spills:
            yield f"{kernel.name}: spills registers, {kernel.spills} bytes"
        allowed = STACKS.get(short_name(kernel.name), 0)
        if kernel.stack > allowed:
            yield f"{kernel.name}: has a stack of {kernel.stack} bytes, at most {allowed}"
        if kernel.stack < allowed:
            yield f"{kernel.name}: STACKS allows {allowed} bytes of stack, {kernel.stack} are used"
        size = sizes.get(kernel.name)
        if size is None:
            yield f"{kernel.name}: says nothing of its block's size (ELBO_LAUNCH_BOUNDS)"
            continue
        given = -(-kernel.registers // REGISTERS_GIVEN_AT_A_TIME) * REGISTERS_GIVEN_AT_A_TIME
        if given * size > REGISTERS_OF_A_MULTIPROCESSOR:
            yield f"{kernel.name}: {size} threads with {kernel.registers} registers fit nowhere"


def test_itself():
    """A check that finds nothing in a wrong report would find nothing in a right one either."""

    def report(registers, stack, stores, loads, cumulative=""):
        return (
            "ptxas info    : Compiling entry function '_ZN4elbo4cuda6kernelILi1EEEvi' for 'sm_90'\n"
            "ptxas info    : Function properties for _ZN4elbo4cuda6kernelILi1EEEvi\n"
            f"    {stack} bytes stack frame, {stores} bytes spill stores, {loads} bytes spill loads"
            f"\nptxas info    : Used {registers} registers, used 1 barriers{cumulative}\n"
            "ptxas info    : Function properties for __internal_helper\n"
            "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        )

    def ptx(bounds):
        return (
            f".visible .entry _ZN4elbo4cuda6kernelILi1EEEvi(\n\t.param .u32 p\n)\n{bounds}\n{{\n}}"
            "\n.func __internal_helper()\n{\n}\n"
        )

    def complaints(report_text, ptx_text):
        return list(check(read_report(report_text), block_sizes(ptx_text)))

    assert short_name("_ZN4elbo4cuda6kernelILi1EEEvi") == "kernel"
    right = report(64, 0, 0, 0), ptx(".maxntid 256, 1, 1")
    assert complaints(*right) == [], complaints(*right)
    wrong = {
        "spilled stores": (report(64, 0, 8, 0), right[1]),
        "spilled loads": (report(64, 0, 0, 8), right[1]),
        "a stack": (report(64, 16, 0, 0), right[1]),
        "a stack of a function called": (
            report(64, 0, 0, 0, ", 24 bytes cumulative stack size"),
            right[1],
        ),
        "no bounds": (right[0], ptx("")),
        "too many registers": (report(66, 0, 0, 0), ptx(".maxntid 32, 32, 1")),
        "a kernel left out": ("", right[1]),
    }
    for what, (report_text, ptx_text) in wrong.items():
        assert len(complaints(report_text, ptx_text)) == 1, what


def assemble(ptxas, architecture, path):
    """Runs the assembler; its report."""
    command = [ptxas, *FLAGS, f"-arch={architecture}", path, "-o", "/dev/null"]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def main():
    test_itself()
    ptxas, architecture, *paths = sys.argv[1:]
    if not Path(ptxas).exists():
        print(f"there is no ptxas, the CUDA toolkit's assembler, at '{ptxas}'")
        sys.exit(SKIP)
    if not paths:
        sys.exit("no PTX files given")
    wrong, kernels = [], []
    with ThreadPoolExecutor(2) as pool:
        reports = pool.map(lambda path: assemble(ptxas, architecture, path), paths)
        for path, report in zip(paths, reports, strict=True):
            found = read_report(report)
            wrong += check(found, block_sizes(Path(path).read_text()))
            kernels += found
    unused = STACKS.keys() - {short_name(kernel.name) for kernel in kernels}
    wrong += [f"{name}: STACKS names a kernel that does not exist" for name in sorted(unused)]
    for line in wrong:
        print(line)
    most = max(kernels, key=lambda kernel: kernel.registers, default=None)
    print(f"{len(kernels)} kernels for {architecture}, at most {most.registers if most else 0} "
          f"registers: {len(wrong)} wrong")  # fmt: skip
    return 1 if wrong or not kernels else 0


if __name__ == "__main__":
    sys.exit(main())
