import argparse
from pathlib import Path

from elbo_tools.golden import write_golden


def main():
    parser = argparse.ArgumentParser(
        prog="python -m elbo_tools.golden", description="Write the golden files."
    )
    parser.add_argument("folder", type=Path, metavar="OUT_DIR")
    write_golden(parser.parse_args().folder)


if __name__ == "__main__":
    main()
