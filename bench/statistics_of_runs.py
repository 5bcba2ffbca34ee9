"""Numbers from repeated runs: medians, spreads, ratios, geometric means, ranks."""
import math


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def spread(values):
    """How far the runs lie apart: largest less smallest, as a share of the median."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def ratio(value, base):
    """None where there is nothing to compare with."""
    return value / base if base else None


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(math.log(value) for value in values) / len(values)) if values else None


def ranks(values):
    """For a dictionary of values the rank of each name, 1 for the smallest; equals share the better rank."""
    return {name: 1 + sum(other < value for other in values.values()) for name, value in values.items()}
