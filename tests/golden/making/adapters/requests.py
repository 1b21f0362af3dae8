"""The cases: requests in the words of the contract, and what each means in plain data.

The meaning is written down by hand, not read from the prompt: the reference knows no prompt language.
A case is for v1's toy where it names no other model; weights are for that with another norm, see `norm`. `same_as` names a
case of v1's toy that it must equal; one marked `unchanged` must do so bit for bit, both by our own program.
"""

import dataclasses

from ..requests import BOTH, COMMON
from . import norm
from .hypernetworks import ALONE
from .texts import BREAK

STEPS = 8
NORM = norm.NAME
PROMPT = COMMON["prompt"]
OTHER = BOTH["negative_prompt"]
LONG = (
    "a red circle on a blue background, a small yellow star at night, a large green house by the sea, "
    "a white boat with a black tree, and a great square over the house, all of it as good as new"
)
LONGER = f"{LONG}, {LONG.replace('red', 'green')}"


@dataclasses.dataclass
class Means:
    """`prompt` has for each condition its weight and its text at each step; a text is spans, as in `texts`."""

    prompt: list
    negative: list  # a text for each step
    loras: list = dataclasses.field(default_factory=list)  # (name, scale for the text encoders, scale for the U-Net)
    hypernetworks: list = dataclasses.field(default_factory=list)  # (name, strength)


class ByStep(list):
    """A text for each step."""


def always(text):
    return ByStep([text] * STEPS)


def by_step(text_at):
    """Steps count from 1."""
    return ByStep(text_at(step) for step in range(1, STEPS + 1))


def case(
    name, prompt=PROMPT, text=None, model="sd1", negative=None, conditions=None, loras=(), hypernetworks=(), also=None, **fields
):
    """The model, the request and its meaning.

    `text` is what the prompt means where it is one text for all steps, `negative` what the negative prompt means; both are
    taken as they stand where they are left out. `also` has the request's fields of the same name as an argument.
    """
    request = {"name": name, **COMMON, "steps": STEPS, "guidance_scale": 5.0, "prompt": prompt, **fields, **(also or {})}
    if "same_as" in request:
        request["same_as"] = f"sd1/{request['same_as']}"
    text = prompt if text is None else text
    negative = request["negative_prompt"] if negative is None else negative
    scales = [(name, both[0], both[-1]) for name, *both in loras]
    negative = negative if isinstance(negative, ByStep) else always(negative)
    return model, request, Means(conditions or [(1.0, always(text))], negative, scales, list(hypernetworks))


def prompts():
    weights = "a (red circle:1.4) on a [blue] background, ((star))"
    spans = [("a ", 1.0), ("red circle", 1.4), (" on a ", 1.0), ("blue", 1 / 1.1), (" background, ", 1.0), ("star", 1.1 * 1.1)]
    yield case("plain")
    yield case("weights", weights, spans, model=NORM, **negatively("(small:1.5) house", [("small", 1.5), (" house", 1.0)]))
    yield case("weights-sdxl", weights, spans, model="sdxl", negative_prompt=OTHER)
    escaped = [("a (red) circle ", 1.0), ("small [star]", 0.7)]
    yield case("escapes", r"a \(red\) circle (small \[star\]:0.7)", escaped, model=NORM)
    yield case("unclosed", "a ((red circle:1.2", [("a ", 1.0), ("red circle:1.2", 1.1 * 1.1)], model=NORM)
    yield case("weights-long", f"({LONG}:1.2), {LONG}", [(LONG, 1.2), (f", {LONG}", 1.0)], model=NORM)
    yield case("plain-syntax", "a (red:1.5) [circle|star]", prompt_syntax="plain")
    split = [("a red circle", 1.0), BREAK, ("on a blue background", 1.0)]
    yield case("break", "a red circle BREAK on a blue background", split)
    yield case("break-sdxl", "a red circle BREAK on a blue background", split, model="sdxl", negative_prompt=OTHER)
    yield case("long", LONGER)
    yield case("long-negative", negative_prompt=LONGER)
    yield case("long-both", LONGER, negative_prompt=LONG)
    yield case("long-no-comma", "a " * 80 + "red star")
    yield case("long-sd2", LONGER, model="sd2", negative_prompt=OTHER)
    yield case("long-sdxl", LONGER, model="sdxl", negative_prompt=OTHER)
    yield case("long-legacy", LONGER, model="sd1-legacy", same_as="long")
    # What v2 and SDXL's second encoder pad with is a token of its own wherever it stands.
    marked = [("a red", 1.0), BREAK, ("star!", 1.0)]
    yield case("mark-sd2", "a red BREAK star!", marked, model="sd2", negative_prompt="no! house!")
    louder = [("a red ", 1.0), ("star!", 1.3), (" at night!", 1.0)]
    yield case("mark-sdxl", "a red (star!:1.3) at night!", louder, model="sdxl", negative_prompt="no! house!")


def negatively(prompt, means):
    return {"negative_prompt": prompt, "negative": means}


def conditions():
    three = [(1.0, always("a red circle")), (0.6, always("a blue star")), (-0.3, always("a small house"))]
    together = "a red circle AND a blue star:0.6 AND a small house:-0.3"
    yield case("and", together, conditions=three)
    yield case("and-sdxl", together, conditions=three, model="sdxl", negative_prompt=OTHER)
    half = STEPS // 2
    edit = one(lambda step: f"a {'red' if step <= half else 'blue'} circle")
    yield case("edit", "a [red:blue:0.5] circle", conditions=edit)
    yield case("edit-sdxl", "a [red:blue:0.5] circle", conditions=edit, model="sdxl", negative_prompt=OTHER, sampler="euler")
    yield case("edit-at", "a [red:blue:3] circle", conditions=one(lambda step: f"a {'red' if step <= 3 else 'blue'} circle"))
    more = one(lambda step: f"a {'' if step <= 2 else 'large'} circle{' at night' if step <= 5 else ''}")
    yield case("edit-come-and-go", "a [large:2] circle[ at night::5]", conditions=more)
    yield case("alternate", "a [red|blue|] star", conditions=one(lambda step: f"a {('red', 'blue', '')[(step - 1) % 3]} star"))
    house = by_step(lambda step: f"a {'green' if step <= half else 'black'} house")
    yield case("edit-negative", **negatively("a [green:black:0.5] house", house))

    def nested(step):
        first = [("a ", 1.0), ("red", 1.3), (" circle", 1.0)] if step <= 3 else [("a blue star", 1.0)]
        return [*first, (f" at {('night', 'sea')[(step - 1) % 2]}", 1.0)]

    yield case(
        "nested",
        "[a (red:1.3) circle:a blue star:3] at [night|sea] AND (small house:1.2):0.5",
        conditions=[(1.0, by_step(nested)), (0.5, always([("small house", 1.2)]))],
        model=NORM,
    )


def one(text_at):
    return [(1.0, by_step(text_at))]


def clip_skips():
    for model, deepest in (("sd1", 2), ("sd2", 1), ("sdxl", 1), ("toy", 3)):
        for layers in range(1, deepest + 1):
            yield case(f"clip-skip-{model}-{layers}", model=model, clip_skip=layers, negative_prompt=OTHER)
    yield case("clip-skip-legacy", model="sd1-legacy", clip_skip=1, negative_prompt=OTHER, same_as="clip-skip-sd1-1")
    yield case("clip-skip-fp16", model="sd1-fp16", clip_skip=1, negative_prompt=OTHER, same_as="clip-skip-sd1-1")


def embedded():
    yield case("embedding-one", "a happy circle")
    yield case("embedding-capitals", "a Happy circle", same_as="embedding-one")
    yield case("embedding-longest", "a moss-grey star and moss")
    yield case("embedding-several", "a garnet house, amber sea")
    yield case("embedding-half", "a topaz boat")
    yield case("embedding-weighted", "a (garnet:1.4) house", [("a ", 1.0), ("garnet", 1.4), (" house", 1.0)], model=NORM)
    yield case("embedding-negative", negative_prompt="garnet, amber")
    yield case("embedding-next-chunk", "a " * 73 + "garnet star")
    yield case("embedding-moves", "a " * 60 + ", garnet star " + "a " * 20)
    yield case("embedding-toy", "a basalt house", model="toy")
    yield case("embedding-sd2", "a garnet house", model="sd2", negative_prompt="amber")
    yield case("embedding-sdxl", "an opal house", model="sdxl", negative_prompt="opal")
    yield case("embedding-sdxl-long", f"{LONG}, an opal house", model="sdxl", negative_prompt=OTHER)
    yield case("embedding-legacy", "a garnet house, amber sea", model="sd1-legacy", same_as="embedding-several")
    yield case("embedding-fp16", "a garnet house, amber sea", model="sd1-fp16", same_as="embedding-several")
    pair = [("a red circle ", 1.0), ("ink", 1.0)]
    yield case("dreamartist", "a red circle <dreamartist:ink>", pair, negative="ink-neg")
    both = [(f"{OTHER} ", 1.0), ("ink-neg", 0.7)]
    weighted = [("a ", 1.0), ("ink", 0.7), (" circle", 1.0)]
    yield case("dreamartist-weighted", "a <dreamartist:ink:0.7> circle", weighted, model=NORM, **negatively(OTHER, both))


KINDS = ["kohya", "diffusers", "diffusers-old", "peft", "locon", "locon-tucker", "loha", "loha-tucker", "lokr", "lokr-both"]
DECOMPOSED = ["peft-dora", "dora", "dora-by-input"]


def with_lora(name, reference, loras, **more):
    return case(name, f"{PROMPT} {reference}", PROMPT, loras=loras, **more)


def with_loras():
    for kind in KINDS:
        yield with_lora(f"lora-{kind}", f"<lora:{kind}:0.8>", [(kind, 0.8)])
    for kind in DECOMPOSED:  # elsewhere than at 1 the tools disagree
        yield with_lora(f"lora-{kind}", f"<lora:{kind}>", [(kind, 1.0)])
    yield with_lora("lora-against", "<lora:kohya:-0.6>", [("kohya", -0.6)])
    yield with_lora("lora-zero", "<lora:kohya:0>", [], same_as="plain", unchanged=True)
    yield with_lora("lora-parts", "<lora:kohya:0.5:1.2>", [("kohya", 0.5, 1.2)])
    yield with_lora("lora-parts-named", "<lora:kohya:unet=1.2:te=0.5>", [], same_as="lora-parts")
    yield case("lora-field", also={"loras": [{"name": "kohya", "scale": 0.8}]}, same_as="lora-kohya")
    yield with_lora("lora-two", "<lora:kohya:0.7><lora:locon:-0.9>", [("kohya", 0.7), ("locon", -0.9)])
    yield with_lora("lora-sd2", "<lora:kohya-sd2:0.8>", [("kohya-sd2", 0.8)], model="sd2")
    for kind in ("kohya-sdxl", "diffusers-sdxl"):
        yield with_lora(f"lora-{kind}", f"<lora:{kind}:0.8>", [(kind, 0.8)], model="sdxl", negative_prompt=OTHER)
    masked = {"init_image": "init.png", "mask": "mask.png", "strength": 1.0}
    yield with_lora("lora-inpaint", "<lora:locon:0.8>", [("locon", 0.8)], model="inpaint", **masked)
    image = {"init_image": "init.png", "strength": 0.75}
    yield with_lora("lora-image", "<lora:kohya:0.8>", [("kohya", 0.8)], **image)
    for model in ("sd1-legacy", "sd1-fp16"):
        for kind in ("kohya", "locon"):
            yield with_lora(f"lora-{kind}-{model}", f"<lora:{kind}:0.8>", [], model=model, same_as=f"lora-{kind}")


def with_hypernetworks():
    yield with_nets("hypernetwork-swirl", "<hypernet:swirl>", [("swirl", 1.0)])
    yield with_nets("hypernetwork-half", "<hypernet:swirl:0.5>", [("swirl", 0.5)])
    yield with_nets("hypernetwork-against", "<hypernet:swirl:-0.7>", [("swirl", -0.7)])
    yield with_nets("hypernetwork-zero", "<hypernet:swirl:0>", [], same_as="plain", unchanged=True)
    strengths = {"grain": 1.5, "curl": 2.0, "foam": 0.8, "plain": 0.8, **{f"only-{kind}": 3.5 for kind in ALONE}}
    for name, strength in strengths.items():
        yield with_nets(f"hypernetwork-{name}", f"<hypernet:{name}:{strength}>", [(name, strength)])
    yield with_nets("hypernetwork-two", "<hypernet:swirl:0.6><hypernet:curl:0.9>", [("swirl", 0.6), ("curl", 0.9)])
    yield with_nets("hypernetwork-sd2", "<hypernet:swirl:0.8>", [("swirl", 0.8)], model="sd2")
    yield with_nets("hypernetwork-sdxl", "<hypernet:dune:0.8>", [("dune", 0.8)], model="sdxl", negative_prompt=OTHER)
    for model in ("sd1-legacy", "sd1-fp16"):
        yield with_nets(f"hypernetwork-{model}", "<hypernet:swirl>", [], model=model, same_as="hypernetwork-swirl")


def with_nets(name, reference, nets, **more):
    return case(name, f"{PROMPT} {reference}", PROMPT, hypernetworks=nets, **more)


def together():
    spans = [("a ", 1.0), ("garnet", 1.2), (" circle", 1.0)]
    yield case(
        "everything",
        "a (garnet:1.2) circle <lora:kohya:0.6><hypernet:swirl:0.5> AND a blue [star|boat]:0.5",
        conditions=[(1.0, always(spans)), (0.5, by_step(lambda step: f"a blue {('star', 'boat')[(step - 1) % 2]}"))],
        loras=[("kohya", 0.6), ("locon", 0.4)],
        hypernetworks=[("curl", 0.4), ("swirl", 0.5)],  # those of the field come first
        also={"loras": [{"name": "locon", "scale": 0.4}], "hypernetworks": [{"name": "curl", "scale": 0.4}]},
        clip_skip=1,
        model=NORM,
        **negatively("(amber:0.9) house", [("amber", 0.9), (" house", 1.0)]),
    )
    yield case(
        "everything-sdxl",
        "an (opal:1.2) circle <lora:kohya-sdxl:0.6> <hypernet:dune:0.5>",
        [("an ", 1.0), ("opal", 1.2), (" circle", 1.0)],
        model="sdxl",
        loras=[("kohya-sdxl", 0.6)],
        hypernetworks=[("dune", 0.5)],
        negative_prompt=OTHER,
    )


def cases():
    for some in (prompts, conditions, clip_skips, embedded, with_loras, with_hypernetworks, together):
        yield from some()
