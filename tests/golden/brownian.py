"""In the place of torchsde's Brownian tree."""


class Path:
    """A Brownian path over sigma, from plain draws in its order: a way that begins like the one before goes on from it."""

    def __init__(self, draw):
        self.draw = draw
        self.before = None

    def __call__(self, sigma, following):
        drawn = self.draw()
        if self.before is not None and self.before[0] == sigma:
            _, middle, first = self.before
            drawn = (first * (sigma - middle) ** 0.5 + drawn * (middle - following) ** 0.5) / (sigma - following) ** 0.5
        self.before = (sigma, following, drawn)
        return drawn
