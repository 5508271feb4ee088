"""Whether two sides of a comparison have done the same work, judged by the losses they end with."""

import math
import statistics


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """The mean and its standard error; 0 for a single value."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return statistics.fmean(values), spread / math.sqrt(len(values))


def agree(own: list[float], other: list[float]) -> bool:
    """Whether the mean losses differ by at most 1 %, or by at most two standard errors."""
    own_mean, own_error = mean_and_error(own)
    mean, error = mean_and_error(other)
    return abs(mean - own_mean) <= max(0.01 * abs(own_mean), 2 * math.hypot(error, own_error))
