"""Ranges of activations, from passes over all noise levels."""
import numpy as np

from .layers import Range

KEPT = 4096
"""Numbers that are kept of a value and a pass; its largest and smallest always are."""
TAILS = (0, 1e-5, 1e-4, 1e-3)
"""Shares of the numbers that a range may cut off on one side."""


def observe(network, values, passes, threads=None):
    """What the values were in these passes: {value: (a sample of its numbers, numbers in one pass)}."""
    session, random = network.session(values, threads), np.random.default_rng(0)
    seen, counts = {value: [] for value in values}, {}
    for feeds in passes:
        for value, numbers in zip(values, session.run(values, feeds)):
            numbers = numbers.reshape(-1)
            counts[value] = numbers.size
            seen[value] += [random.choice(numbers, KEPT), [numbers.min(), numbers.max()]]
    return {value: (np.concatenate(parts).astype(np.float32), counts[value]) for value, parts in seen.items()}


def fitting(sample):
    """The range with the least squared error, cut-off numbers included, among those that cut off few numbers or none."""
    lows, highs = (np.minimum(np.quantile(sample, TAILS), 0), np.maximum(np.quantile(sample, 1 - np.array(TAILS)), 0))
    spans = {Range(float(low), float(high)) for low in lows for high in highs}
    return min(spans, key=lambda span: (np.square(span.rounded(sample) - sample).mean(), span.low, span.high))
