"""Makes prompts.json: tokens in chunks, and states weighted, by the formulas of the common web interface.

Run: python tests/golden/prompts.py
Needs torch; last run with torch 2.15.0. Written again from what AUTOMATIC1111's web interface does, with two differences:
the vectors of an embedding move along when the tail after a comma moves, and more vectors than a chunk holds are spread
over several.
"""

import json
import pathlib
import random

import torch

HERE = pathlib.Path(__file__).parent
BACKTRACK = 20


def chunks(pieces, room):
    """The filling of the chunks, each a list of [id, weight]."""
    done, now, comma = [], [], -1

    def close():
        nonlocal now, comma
        done.append(now)
        now, comma = [], -1

    for piece in pieces:
        if piece[0] == "break":
            close()
            continue
        if piece[0] == "token" and piece[3]:
            comma = len(now)
        elif len(now) == room and comma != -1 and len(now) - comma <= BACKTRACK:
            tail = now[comma + 1 :]
            del now[comma + 1 :]
            close()
            now = tail
        if len(now) == room:
            close()
        if piece[0] == "token":
            now.append([piece[1], piece[2]])
            continue
        _, first, count, weight = piece
        if now and len(now) + count > room:
            close()
        for k in range(count):
            if len(now) == room:
                close()
            now.append([first + k, weight])
    if now or not done:
        close()
    return done


def piece(draw, commas, vectors):
    kind = draw.random()
    weight = draw.choice([1.0, 1.0, 1.25, 0.5])
    if kind < 0.003:
        return ["break"]
    if kind < 0.003 + vectors:
        return ["vectors", 49408 + draw.randrange(100), draw.choice([1, 2, 3, 8, 20]), weight]
    if kind < 0.003 + vectors + commas:
        return ["token", 267, 1.0, True]
    return ["token", draw.randrange(1000, 49000), weight, False]


def fillings():
    draw = random.Random(4)
    token = lambda k: ["token", 1000 + k, 1.0, False]
    comma = ["token", 267, 1.0, True]
    cases = [(75, []), (75, [["break"]]), (75, [["break"], ["break"], token(0)]), (8, [["vectors", 100, 19, 1.5]])]
    # The last comma that parts a chunk is the twentieth from its end; one in the last place parts it too.
    for after in (0, 18, 19, 20, 74):
        cases.append((75, [token(k) for k in range(74 - after)] + [comma] + [token(k) for k in range(after + 5)]))
    # A comma where the chunk is full.
    cases.append((75, [token(k) for k in range(75)] + [comma] + [token(k) for k in range(90)]))
    for commas, vectors in ((0.0, 0.0), (0.05, 0.0), (0.15, 0.03), (0.05, 0.1)):
        for room in (75, 75, 30):
            length = draw.randrange(110, 220)
            cases.append((room, [piece(draw, commas, vectors) for _ in range(length)]))
    for room, pieces in cases:
        yield {"room": room, "pieces": pieces, "chunks": chunks(pieces, room)}


def rows(states):
    """Nine digits tell every 32-bit float."""
    return [[float(f"{value:.9g}") for value in row] for row in states.tolist()]


def weighings():
    torch.manual_seed(4)
    draw = random.Random(5)
    for tokens, width, shift in ((9, 6, 0.0), (9, 6, 0.3), (9, 6, -2.0), (24, 4, 0.1)):
        for choice in ([1.0], [1.0, 1.1, 0.9], [1.0, 1.5, 0.0, -0.5]):
            states = torch.randn(tokens, width) + shift
            weights = [1.0] + [draw.choice(choice) for _ in range(tokens - 2)] + [1.0]
            weighed = states * torch.tensor(weights)[:, None]
            weighed = weighed * (states.mean() / weighed.mean())
            yield {"weights": weights, "states": rows(states), "weighed": rows(weighed)}


if __name__ == "__main__":
    golden = {"fillings": list(fillings()), "weighings": list(weighings())}
    (HERE / "prompts.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
