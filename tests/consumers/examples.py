"""Compiles and runs the examples of README.md and include/elbo/elbo.hpp as they stand.

    examples.py ROOT ELBO FOLDER BUILD...

BUILD... followed by a source, a program and a command builds the program and runs the command.
"""

import re
import subprocess
import sys
from pathlib import Path


def in_readme(root):
    section = (root / "README.md").read_text().partition("## From C++\n")[2]
    return re.search(r"^```cpp\n(.*?)^```", section, re.MULTILINE | re.DOTALL).group(1)


def in_header(root):
    """The indented lines of the comment that elbo.hpp starts with."""
    lines = (root / "include/elbo/elbo.hpp").read_text().partition("#pragma once")[0].splitlines()
    return "".join(line[5:] + "\n" for line in lines if line.startswith("//   "))


def main():
    root, elbo, folder, *build = sys.argv[1:]
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    if not (folder / "mnist").exists():
        subprocess.run([elbo, "generate", "shapes", folder / "mnist", "--size", "8",
                        "--train-count", "500", "--test-count", "100"], check=True)  # fmt: skip
    for example in (in_readme, in_header):
        code = example(Path(root))
        includes = re.findall(r"^#include .*\n", code, re.MULTILINE)
        statements = re.sub(r"^#include .*\n", "", code, flags=re.MULTILINE)
        source = folder / f"{example.__name__}.cpp"
        source.write_text("".join(includes) + "int main() {\n" + statements + "}\n")
        program = source.with_suffix("").resolve()
        printed = subprocess.run([*build, source.resolve(), program, program], cwd=folder,
                                 check=True, stdout=subprocess.PIPE, text=True).stdout  # fmt: skip
        print(f"{example.__name__}: {printed}", end="")
        if not re.fullmatch(r"elbo: -?[1-9]\d*\.\d\d ± \d+\.\d\d nats per sample\n", printed):
            sys.exit(f"{example.__name__}: this is not what the example should print")


if __name__ == "__main__":
    main()
