"""Which layers hurt most: each alone gets 8 bits, and what the graph gives is compared with what it gave."""
import numpy as np

from .layers import Quantiser


def errors(network, chosen, ranges, passes, threads=None):
    """The relative squared error of the graph's output for each layer alone, over these passes."""
    exact = network.session(threads=threads)
    wanted = [exact.run(None, feeds)[0] for feeds in passes]
    del exact
    simulation = network.twin()
    Quantiser(simulation, ranges).switch(chosen)
    session = simulation.session(threads=threads, quantised=False)
    off = {f"switch_{place}": np.array(False) for place in range(len(chosen))}
    check(session, off, passes[0], wanted[0])
    return [sum(relative(session.run(None, feeds | off | {name: np.array(True)})[0], want)
                for feeds, want in zip(passes, wanted)) / len(passes) for name in off]


def check(session, off, feeds, want):
    """With every layer in 32 bits the simulation is the graph itself."""
    apart = relative(session.run(None, feeds | off)[0], want)
    if apart > 1e-8:
        raise SystemExit(f"the simulation must equal the graph when nothing has 8 bits, got a relative squared error of {apart:.1e}")


def relative(value, wanted):
    return float(np.square(value - wanted).sum() / np.square(wanted).sum())


def worst(chosen, errors, costs, share):
    """The layers with the most error for their work, as many as do not exceed this share of all work."""
    budget, kept = share * sum(costs), set()
    for place in sorted(range(len(chosen)), key=lambda place: -errors[place] / costs[place]):
        if costs[place] <= budget:
            budget -= costs[place]
            kept.add(chosen[place])
    return kept
