"""Draws the training curves of a run, and codes coloured by label, as PNG."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

PANELS = (
    ("iwae", "Importance-weighted bound (nats)"),
    ("elbo", "Evidence lower bound (nats)"),
    ("reconstruction", "Reconstruction, E log p(x|z) (nats)"),
    ("kl", "KL(q(z|x) || p(z)) (nats)"),
    ("l1", "Code, sum |z|"),
    ("class_loss", "Classification loss"),
    ("accuracy", "Accuracy"),
    ("gan_value", "V(D, G) (nats)"),
    ("d_real", "Mean D of what is real"),
    ("d_generated", "Mean D of what is generated"),
    ("learning_rate", "Learning rate"),
)
TRAIN_STYLE = {"color": "#4477aa", "linewidth": 0.9, "label": "train"}
VALIDATION_STYLE = {
    **{"color": "#ee6677", "linewidth": 1.3, "label": "validation"},
    **{"marker": "o", "markersize": 3.5},
}
MOST_COLOURS_NAMED = 20


def read_metrics(path: str | PathLike) -> dict[str, list[dict]]:
    """Returns the rows of a metrics.jsonl by split, "train" and "validation".

    Ignores an incomplete last line, which is still being written. Raises ValueError for any other
    malformed line.
    """
    splits: dict[str, list[dict]] = {"train": [], "validation": []}
    lines = Path(path).read_text().split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            row = json.loads(line)
            splits[row["split"]].append(row)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: not a line of metrics ({error!r})") from None
    return splits


def plot_curves(run: str | PathLike, out: str | PathLike | None = None) -> Path:
    """Draws the metrics of a run directory; returns the PNG's path, by default RUN/curves.png.

    Raises ValueError if there are no metrics yet or a line is malformed.
    """
    run = Path(run)
    splits = read_metrics(run / "metrics.jsonl")
    if not any(splits.values()):
        raise ValueError(f"{run / 'metrics.jsonl'}: no metrics yet")
    panels = [
        (field, title)
        for field, title in PANELS
        if any(row.get(field) is not None for rows in splits.values() for row in rows)
    ]
    height = (len(panels) + 1) // 2
    figure = Figure(figsize=(10, 3.25 * height), layout="constrained")
    axes = figure.subplots(height, 2, sharex=True, squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
        axes[-2, 1].tick_params(labelbottom=True)
    for ax, (field, title) in zip(axes.flat, panels, strict=False):
        for split, style in (("train", TRAIN_STYLE), ("validation", VALIDATION_STYLE)):
            rows = [row for row in splits[split] if row.get(field) is not None]
            if rows and not (field == "learning_rate" and split == "validation"):
                ax.plot([row["step"] for row in rows], [row[field] for row in rows], **style)
        ax.set_title(title, loc="left", fontsize=11)
        decorate(ax)
        focus(ax)
        if field == "learning_rate":
            ax.set_ylim(bottom=0)
    for ax in axes[-1]:
        ax.set_xlabel("Step")
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]))
    lines = axes[0, 0].get_lines()
    figure.legend(handles=lines, frameon=False, loc="upper right", ncols=2)
    figure.suptitle(run.resolve().name, x=0.01, ha="left", fontweight="bold")
    return save(figure, run / "curves.png" if out is None else out)


def plot_codes(
    codes: str | PathLike | np.ndarray,
    labels: np.ndarray | None = None,
    out: str | PathLike = "codes.png",
) -> Path:
    """Draws codes [N, latent] as points in two dimensions; returns the PNG's path.

    codes is an array or the path of an .npy, as `elbo encode` writes it. If latent > 2, draws the
    first two principal components. labels [N] colour the points. Raises ValueError if the shapes
    of codes or labels are wrong.
    """
    z = codes if isinstance(codes, np.ndarray) else np.load(codes)
    if z.ndim != 2 or len(z) == 0:
        raise ValueError(f"codes: got shape {z.shape}, expected [N, latent], N > 0")
    if labels is not None and len(labels) != len(z):
        raise ValueError(f"labels: got {len(labels)} of them for {len(z)} codes")
    points, names = project_to_plane(z)

    figure = Figure(figsize=(7.6, 6.5), layout="constrained")
    ax = figure.subplots()
    dots = {"s": float(np.clip(20000 / len(z), 2, 24)), "alpha": 0.7, "linewidths": 0}
    classes = np.unique(labels) if labels is not None else []
    if labels is None:
        ax.scatter(*points.T, color=TRAIN_STYLE["color"], **dots)
    elif len(classes) > MOST_COLOURS_NAMED:
        image = ax.scatter(*points.T, c=labels, cmap="viridis", **dots)
        figure.colorbar(image, label="label").solids.set_alpha(1)
    else:
        palette = colormaps["tab10" if len(classes) <= 10 else "tab20"].colors
        # One scatter call in row order: a call per class would hide the first class under the last.
        ax.scatter(*points.T, c=np.array(palette)[np.searchsorted(classes, labels)], **dots)
        for colour, name in zip(palette, classes, strict=False):
            ax.scatter([], [], color=colour, s=40, label=f"{name}")
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), title="label")
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    ax.set_aspect("equal", adjustable="datalim")
    decorate(ax)
    return save(figure, out)


def project_to_plane(z: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    """Projects codes [N, latent] to points [N, 2]; returns them with the names of the two axes."""
    z = z.astype(np.float64)
    if z.shape[1] == 1:
        return np.column_stack([z, np.zeros(len(z))]), ("$z_1$", "")
    if z.shape[1] == 2:
        return z, ("$z_1$", "$z_2$")
    centred = z - z.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(z))
    share = variances[::-1] / max(variances.sum(), np.finfo(float).tiny)
    names = (f"principal component {i + 1} ({share[i]:.0%} of the variance)" for i in range(2))
    return centred @ directions[:, :-3:-1], tuple(names)


def read_labels(path: str | PathLike) -> np.ndarray:
    """Returns the labels [N] in an .npy file, or in an IDX file of bytes (raw or gzipped)."""
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    if raw[:4] == b"\0\0\x08\x01":
        return np.frombuffer(raw, np.uint8, offset=8)
    return np.load(path)


def focus(ax):
    """Limits the y axis to exclude outliers, such as the first steps, that would flatten the
    curves."""
    values = [line.get_ydata() for line in ax.get_lines()]
    values = np.concatenate(values) if values else np.empty(0)
    values = values[np.isfinite(values)]
    if len(values) < 20:
        return
    low, high = np.percentile(values, [2, 98])
    height = high - low
    lowest, highest = values.min(), values.max()
    bottom = low if lowest < low - height else lowest
    top = high if highest > high + height else highest
    if height > 0 and (bottom, top) != (lowest, highest):
        ax.set_ylim(bottom - 0.08 * height, top + 0.08 * height)


def decorate(ax):
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, out: str | PathLike) -> Path:
    figure.savefig(out, dpi=150)
    return Path(out)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="elbo-plot", description="Draw the curves of a run, and its codes, as PNG."
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help="a directory of elbo train")
    parser.add_argument("--out", type=Path, help="the curves (default: RUN_DIR/curves.png)")
    parser.add_argument("--codes", type=Path, metavar="Z.npy", help="also draw codes.png beside it")
    parser.add_argument("--labels", type=Path, help="their labels, .npy or IDX")
    options = parser.parse_args(arguments)
    try:
        curves = plot_curves(options.run, options.out)
        print(curves)
        if options.codes:
            labels = read_labels(options.labels) if options.labels else None
            print(plot_codes(options.codes, labels, curves.with_name("codes.png")))
    except (OSError, ValueError) as error:
        print(f"elbo-plot: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
