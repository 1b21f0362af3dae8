"""Describes a drawn picture in words: a small grammar with several ways to say the same."""

OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
PLACE_WORDS = {"": "", "left": " on the left", "right": " on the right", "top": " at the top",
               "bottom": " at the bottom", "centre": " in the centre"}
TIME_WORDS = {
    "day": ["by day", "under a blue sky", "on a sunny day"],
    "sunset": ["at sunset", "at sunset", "under an orange sky"],
    "night": ["at night", "under a night sky with a moon", "under the moon and stars"],
}
SKY_WORDS = {
    "day": ["the sun in a blue sky", "a sunny sky"],
    "sunset": ["a sunset sky", "a sunset"],
    "night": ["a night sky with a moon", "a night sky", "the moon and stars in a night sky"],
}
OPENINGS = ["a picture of ", "a drawing of ", "a photo of ", "an image of "]


def article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def caption(rnd, facts):
    """One caption for the facts that the drawing functions return."""
    describe = {"one": one_object, "two": two_objects}.get(facts["kind"], scene)
    return describe(rnd, facts)


def one_object(rnd, facts):
    thing = f"{facts['size']} {facts['colour']} {facts['shape']}".strip()
    place = PLACE_WORDS[facts["place"]]
    background = f"{facts['background']} background"
    return rnd.choices([
        f"{article(thing)}{place} on {article(background)}",
        f"{article(thing)}{place}",
        f"{thing}{place}, {background}",
        f"{article(thing)}{place} on {facts['background']}",
        f"{rnd.choice(OPENINGS)}{article(thing)}{place} on {article(background)}",
        f"{article(background)} with {article(thing)}{place}",
    ], weights=[62, 10, 8, 8, 7, 5])[0]


def two_objects(rnd, facts):
    """Either object may come first; one caption in ten only lists them."""
    first, second = (f"{colour} {shape}" for shape, colour in (facts["first"], facts["second"]))
    relation = facts["relation"]
    if rnd.random() < .5:
        first, second, relation = second, first, OPPOSITE[relation]
    if rnd.random() < .1:
        relation = "and"
    elif relation.endswith(" of") and rnd.random() < .25:
        relation = "to the " + relation
    background = f" on {article(facts['background'])} background" if rnd.random() < .7 else ""
    return f"{article(first)} {relation} {article(second)}{background}"


def scene(rnd, facts):
    time = facts["time"]
    if facts["kind"] == "sky":
        return rnd.choice(SKY_WORDS[time])
    colour = f"{facts['colour']} " if "colour" in facts and rnd.random() < .7 else ""
    what = {
        "house": article(f"{colour}house"), "tree": article(f"{colour}tree"),
        "mountains": rnd.choice(["mountains", "snowy mountains"]), "sea": rnd.choice(["the sea", "a calm sea"]),
    }[facts["kind"]]
    opening = rnd.choice(OPENINGS[:3]) if rnd.random() < .1 else ""
    return f"{opening}{what} {rnd.choice(TIME_WORDS[time])}"
