"""From spans of text to what the U-Net is told, by the web UI's rules written down anew.

A text is a list of spans: (words, weight), or BREAK. Its tokens stand in chunks of 75, each between a begin and an end token
and encoded alone; the chunks' states stand one after the other.
"""

import contextlib
import dataclasses

import torch

from . import embeddings

BREAK = object()
ROOM = 75
BACK = 20  # from a full chunk's end, how far a comma may be for what follows it to move on


@dataclasses.dataclass
class Chunk:
    ids: list = dataclasses.field(default_factory=list)
    weights: list = dataclasses.field(default_factory=list)
    vectors: list = dataclasses.field(default_factory=list)  # (place, name of an embedding)
    comma: int | None = None  # place of the last one

    def add(self, ids, weight):
        self.ids += ids
        self.weights += [weight] * len(ids)

    def cut(self, place):
        """Takes away what stands from `place` on."""
        tail = Chunk(self.ids[place:], self.weights[place:], [(at - place, name) for at, name in self.vectors if at >= place])
        del self.ids[place:], self.weights[place:]
        self.vectors = [(at, name) for at, name in self.vectors if at < place]
        return tail


def spans(text):
    return [(text, 1.0)] if isinstance(text, str) else text


def chunks(text, tokenizer, width_fits):
    """`width_fits` tells of an embedding's name whether it is for this model."""
    found, known = [Chunk()], names(tokenizer, width_fits)
    comma = tokenizer.convert_tokens_to_ids(",</w>")
    for span in spans(text):
        if span is BREAK:
            found.append(Chunk())
            continue
        words, weight = span
        ids = tokenizer(words, add_special_tokens=False, truncation=False, verbose=False).input_ids
        place = 0
        while place < len(ids):
            place += step(found, ids[place:], weight, comma, known)
    if not found[-1].ids and len(found) > 1:
        found.pop()
    return found


def step(found, ids, weight, comma, known):
    """Places the next token, or the vectors that a name stands for; gives the number of tokens done."""
    chunk = found[-1]
    full = len(chunk.ids) == ROOM
    if ids[0] == comma:
        if full:
            found.append(Chunk())
        else:
            chunk.comma = len(chunk.ids)
    elif full:
        near = chunk.comma is not None and ROOM - chunk.comma <= BACK
        found.append(chunk.cut(chunk.comma + 1) if near else Chunk())
    name = next((name for name, own in known if ids[: len(own)] == own), None)
    if name is None:
        found[-1].add(ids[:1], weight)
        return 1
    count = len(embeddings.read(name)[0])
    if len(found[-1].ids) + count > ROOM:
        found.append(Chunk())
    found[-1].vectors.append((len(found[-1].ids), name))
    found[-1].add([0] * count, weight)
    return len(dict(known)[name])


def names(tokenizer, width_fits):
    """The longest first: it wins."""
    known = [(name, tokenizer(name, add_special_tokens=False).input_ids) for name in embeddings.names() if width_fits(name)]
    return sorted(known, key=lambda pair: -len(pair[1]))


def padded(chunk, tokenizer):
    """Ids and weights with begin and end; v2 pads with another token than the end."""
    rest = ROOM - len(chunk.ids)
    begin, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    return [begin, *chunk.ids, end, *[pad] * rest], [1.0, *chunk.weights, *[1.0] * (rest + 1)]


@contextlib.contextmanager
def placed(encoder, which, vectors):
    """While this holds, `vectors` stand where the encoder's token embeddings would; ids and all that looks at them stay."""

    def hook(module, given, states):
        for place, name in vectors:
            own = embeddings.read(name)[which]
            states[:, place + 1 : place + 1 + len(own)] = own.to(states)
        return states

    handle = encoder.get_submodule("text_model.embeddings.token_embedding").register_forward_hook(hook)
    yield
    handle.remove()


def run(encoder, which, ids, vectors):
    with torch.no_grad(), placed(encoder, which, vectors):
        return encoder(torch.tensor([ids]), output_hidden_states=True)


def states_of(encoder, given, clip_skip, is_xl):
    """SDXL takes the layer before the last as it is, v1 and v2 the last one through the last norm."""
    if is_xl:
        return given.hidden_states[-2 - clip_skip]
    return encoder.text_model.final_layer_norm(given.hidden_states[-1 - clip_skip])


def weighed(states, weights):
    """The web UI's emphasis: each token's state times its weight, and the mean of the chunk stays what it was."""
    if all(weight == 1.0 for weight in weights):
        return states
    mean = states.mean()
    states = states * torch.tensor(weights).view(1, -1, 1)
    return states * (mean / states.mean())


def encode(parts, text, clip_skip=0):
    """What the U-Net is told, [1, tokens, width], the pooled text or None, and for each tokenizer the ids.

    None stands for ids among which vectors stand.
    """
    endings = ["", "_2"] if "text_encoder_2" in parts else [""]
    sides, all_ids, pooled = [], [], None
    for which, ending in enumerate(endings):
        encoder, tokenizer = parts[f"text_encoder{ending}"], parts[f"tokenizer{ending}"]
        made, ids_of, whole = [], [], None
        found = chunks(text, tokenizer, lambda name: fits(name, parts, endings))
        for chunk in found:
            ids, weights = padded(chunk, tokenizer)
            given = run(encoder, which, ids, chunk.vectors)
            made.append(weighed(states_of(encoder, given, clip_skip, len(endings) == 2), weights))
            ids_of += ids
            whole = given.get("text_embeds") if whole is None else whole  # that of the first chunk
        pooled = whole if whole is not None else pooled
        sides.append(torch.cat(made, 1))
        all_ids.append(None if any(chunk.vectors for chunk in found) else torch.tensor(ids_of))
    return torch.cat(sides, 2), pooled, all_ids


def fits(name, parts, endings):
    widths = [parts[f"text_encoder{ending}"].config.hidden_size for ending in endings]
    return [vectors.shape[1] for vectors in embeddings.read(name)] == widths
