"""Decides by the final losses if two sides of a comparison have done the same work."""

import math
import statistics


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Returns the mean and its standard error, which is 0 for a single value."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return statistics.fmean(values), spread / math.sqrt(len(values))


def agree(own: list[float], other: list[float]) -> bool:
    """True if the mean losses differ by at most 1 %, or by at most two standard errors."""
    own_mean, own_error = mean_and_error(own)
    mean, error = mean_and_error(other)
    return abs(mean - own_mean) <= max(0.01 * abs(own_mean), 2 * math.hypot(error, own_error))
