#!/usr/bin/env python3
"""Checks in the kernels' PTX that programmatic dependent launch is used safely. On every path from
a kernel's entry, griddepcontrol.wait must precede the first access to global memory and any exit.
griddepcontrol.launch_dependents must follow each wait immediately and occur nowhere else.

    dependent_launch_test.py PTX...
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

WAIT, RELEASE = "griddepcontrol.wait", "griddepcontrol.launch_dependents"
# Memory private to the kernel or its block. An access without a state space is generic, so it may
# be global.
PRIVATE_SPACE = re.compile(r"\.(param|shared|local|const)\b|\.shared::")
ACCESS = re.compile(r"(ld|ldu|st|atom|red|prefetch|prefetchu|tex|tld4|suld|sust|sured)\b")
EXITS = ("ret", "exit")

# Copies of weights that may start before the wait (Queue::early_reads), by kernel. They must bypass
# the L1 cache (.cg), which may contain stale data until the wait.
EARLY_COPIES = {"product_kernel": "cp.async.cg."}


@dataclass
class Instruction:
    opcode: str
    operands: str
    guarded: bool  # has a predicate, so it may be skipped


@dataclass
class Kernel:
    name: str  # mangled
    instructions: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)  # label to index of the next instruction
    tables: dict = field(default_factory=dict)  # label of a .branchtargets to its labels


def read_kernels(ptx):
    for match in re.finditer(r"\.entry\s+(\w+)\s*\(.*?^\{(.*?)^\}", ptx, re.DOTALL | re.MULTILINE):
        kernel = Kernel(match.group(1))
        body = re.sub(r"//[^\n]*", "", match.group(2))
        # Statements end with ';', labels with ':'; braces only open and close scopes.
        for statement in re.split(r"[;{}]", body):
            statement = statement.strip()
            while label := re.match(r"([$\w]+):(?!:)\s*", statement):
                kernel.labels[label.group(1)] = len(kernel.instructions)
                statement = statement[label.end() :]
                if statement.startswith(".branchtargets"):
                    kernel.tables[label.group(1)] = re.findall(r"[$\w]+", statement)[1:]
            if not statement or statement.startswith("."):
                continue
            parts = re.match(r"(@!?%\w+\s+)?(\S+)\s*(.*)", statement, re.DOTALL)
            if re.match(r"[a-z]", parts.group(2)):
                kernel.instructions.append(
                    Instruction(parts.group(2), parts.group(3), parts.group(1) is not None)
                )
        yield kernel


def touches_global_memory(instruction):
    opcode = instruction.opcode
    if opcode.startswith("cp.async"):
        return not opcode.startswith(("cp.async.commit", "cp.async.wait"))
    return ACCESS.match(opcode) is not None and PRIVATE_SPACE.search(opcode) is None


def successors(kernel, index):
    instruction = kernel.instructions[index]
    if instruction.opcode.startswith("brx"):
        table = re.findall(r"[$\w]+", instruction.operands)[-1]
        return [kernel.labels[label] for label in kernel.tables[table]]
    if instruction.opcode.startswith("bra"):
        target = [kernel.labels[instruction.operands.strip()]]
        return [*target, index + 1] if instruction.guarded else target
    return [index + 1]


def before_the_wait(kernel):
    """Returns the instructions that a thread can reach before it has waited."""
    reached, pending = set(), [0]
    while pending:
        index = pending.pop()
        if index in reached or index >= len(kernel.instructions):
            continue
        if kernel.instructions[index].opcode == WAIT and not kernel.instructions[index].guarded:
            continue
        reached.add(index)
        pending += successors(kernel, index)
    return [kernel.instructions[index] for index in sorted(reached)]


def check(kernel):
    """Yields a message for each error in a kernel."""
    opcodes = [instruction.opcode for instruction in kernel.instructions]
    for index, opcode in enumerate(opcodes):
        if opcode == WAIT and opcodes[index + 1 : index + 2] != [RELEASE]:
            yield f"{kernel.name}: waits for the previous kernel without releasing the next one"
        if opcode == RELEASE and opcodes[max(index - 1, 0)] != WAIT:
            yield f"{kernel.name}: releases the next kernel elsewhere than right after its own wait"
    for instruction in before_the_wait(kernel):
        text = f"{instruction.opcode} {instruction.operands}".strip()
        if instruction.opcode in EXITS or instruction.opcode.startswith("call"):
            yield f"{kernel.name}: '{text}' can come before the wait for the previous kernel"
        if touches_global_memory(instruction) and not any(
            name in kernel.name and instruction.opcode.startswith(copy)
            for name, copy in EARLY_COPIES.items()
        ):
            yield f"{kernel.name}: '{text}' can come before the wait for the previous kernel"


def test_itself():
    """Checks that faulty kernels are rejected and correct ones accepted."""

    def complaints(body):
        text = f".visible .entry kernel(\n\t.param .u32 p\n)\n.maxntid 32\n{{\n{body}\n}}\n"
        return [line for kernel in read_kernels(text) for line in check(kernel)]

    copy = "\tcp.async.cg.shared.global [%r1], [%rd1], 16;\n"
    wait = f"\t// begin inline asm\n\t{WAIT};\n\t{RELEASE};\n\t// end inline asm\n"
    load, end = "\tld.global.nc.f32 %f1, [%rd1];\n", "\tret;\n"
    skip = "\t@%p1 bra $L__BB0_1;\n"
    right = [
        wait + load + end,
        "\t.reg .b32 %r<2>;\n\tld.param.u32 %r1, [p];\n\tst.shared.f32 [%r1], %f1;\n" + wait + end,
        skip + "\tmov.u32 %r1, 1;\n$L__BB0_1:\n" + wait + load + end,
    ]
    wrong = {
        "no wait": (load + end, 2),
        "a load before the wait": (load + wait + end, 1),
        "a generic load before the wait": ("\tld.u32 %r1, [%rd1];\n" + wait + end, 1),
        "a copy before the wait": (copy + wait + end, 1),
        "an exit before the wait": ("\t@%p1 ret;\n" + wait + end, 1),
        "a path around the wait": (skip + wait + "$L__BB0_1:\n" + load + end, 2),
        "no release": (f"\t{WAIT};\n" + load + end, 1),
        "a late release": (f"\t{WAIT};\n{load}\t{RELEASE};\n" + end, 2),
        "an early release": (f"\t{RELEASE};\n" + wait + end, 1),
    }
    for body in right:
        assert complaints(body) == [], complaints(body)
    for what, (body, count) in wrong.items():
        assert len(complaints(body)) == count, (what, complaints(body))


def main():
    test_itself()
    kernels = [kernel for path in sys.argv[1:] for kernel in read_kernels(Path(path).read_text())]
    wrong = [line for kernel in kernels for line in check(kernel)]
    print(*wrong, sep="\n")
    print(f"{len(kernels)} kernels: {len(wrong)} wrong")
    return 1 if wrong or not kernels else 0


if __name__ == "__main__":
    sys.exit(main())
