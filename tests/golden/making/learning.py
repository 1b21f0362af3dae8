"""Teaches a tiny U-Net for a minute: each phrase has a pattern, and each further condition changes it in a known way.

A U-Net that learnt nothing makes latents that no decoder can show, and pictures in which no condition is to be seen.
"""

import torch

BATCH = 16


def clean_from(sample, output, alpha, sigma, prediction):
    """What the output of the U-Net says the noiseless latents are."""
    return alpha * sample - sigma * output if prediction == "v_prediction" else (sample - sigma * output) / alpha


def learn(model, draw, scheduler, steps=1200, rate=4e-3, least=0.02):
    """`draw()` gives the noiseless latents of a batch, the channels beside them or None, and the U-Net's other inputs.

    The squared error of the noiseless latents counts times the signal-to-noise ratio, but never less than `least`.
    """
    prediction = scheduler.config.prediction_type
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    slope = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    model.train()
    for step in range(steps):
        clean, beside, inputs = draw()
        noise, time = torch.randn_like(clean), torch.randint(0, 1000, (BATCH,))
        product = scheduler.alphas_cumprod[time].view(-1, 1, 1, 1)
        alpha, sigma = product.sqrt(), (1 - product).sqrt()
        sample = alpha * clean + sigma * noise
        given = sample if beside is None else torch.cat([sample, beside], 1)
        found = clean_from(sample, model(given, time, **inputs).sample, alpha, sigma, prediction)
        weight = (product / (1 - product)).clamp(least, 5.0)
        loss = (weight * (found - clean).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        slope.step()
        if step % 250 == 249:
            print(f"  step {step + 1}: loss {loss.item():.4f}, error {(found - clean).square().mean().item():.3f}", flush=True)
    return model.eval()


class Phrases:
    """The toy's phrases and patterns; an eighth of a batch comes without its phrase."""

    def __init__(self, texts, fields, known, nothing):
        """`known` and `nothing` are the embeddings of the phrases and of the empty text, [phrases or 1, tokens, width]."""
        self.texts, self.fields, self.known, self.nothing = texts, fields, known, nothing

    def choose(self):
        return torch.randint(len(self.texts), (BATCH,)), (torch.rand(BATCH) < 0.125).view(-1, 1, 1)

    def states(self, chosen, dropped):
        return torch.where(dropped, self.nothing, self.known[chosen])

    def plain(self):
        chosen, dropped = self.choose()
        return self.fields[chosen], None, {"encoder_hidden_states": self.states(chosen, dropped)}

    def guided(self, embed):
        """The guidance embedding, scale 1 to 15, sets the contrast."""
        chosen, dropped = self.choose()
        scale = 1 + 14 * torch.rand(BATCH)
        contrast = (0.5 + scale / 15).view(-1, 1, 1, 1)
        states = self.states(chosen, dropped)
        return self.fields[chosen] * contrast, None, {"encoder_hidden_states": states, "timestep_cond": embed(scale - 1)}

    def sized(self, pooled):
        """The pooled text, of another phrase here, sets the colour; the size, the contrast. `pooled`: [phrases, width]."""
        chosen, dropped = self.choose()
        other = torch.randint(len(self.texts), (BATCH,))
        height, width = (8 * torch.randint(6, 17, (BATCH,)) for _ in range(2))
        nothing = torch.zeros_like(height)
        sizes = torch.stack([height, width, nothing, nothing, height, width], 1).float()
        colour = self.fields[other].mean((2, 3), keepdim=True)
        contrast = (0.7 + 0.3 * (height - width) / 64).view(-1, 1, 1, 1)
        clean = contrast * self.fields[chosen] + colour
        added = {"text_embeds": torch.where(dropped.view(-1, 1), 0.0, pooled[other]), "time_ids": sizes}
        return clean, None, {"encoder_hidden_states": self.states(chosen, dropped), "added_cond_kwargs": added}

    def masked(self, pictures):
        """A rectangle is repainted; around it stays one of `pictures`, [n, 4, 8, 8], as the encoder sees them."""
        chosen, dropped = self.choose()
        mask = torch.zeros(BATCH, 1, 8, 8)
        for one in mask:
            top, left = torch.randint(0, 5, (2,)).tolist()
            high, wide = torch.randint(3, 9, (2,)).tolist()
            one[:, top : top + high, left : left + wide] = 1
        around = pictures[torch.randint(len(pictures), (BATCH,))] * (1 - mask)
        clean = mask * self.fields[chosen] + around
        return clean, torch.cat([mask, around], 1), {"encoder_hidden_states": self.states(chosen, dropped)}

    def deep(self):
        """What is near is brighter in the first two channels and darker in the others."""
        chosen, dropped = self.choose()
        depth = torch.nn.functional.interpolate(torch.rand(BATCH, 1, 3, 3) * 2 - 1, size=8, mode="bicubic")
        shift = torch.tensor([0.8, 0.8, -0.8, -0.8]).view(1, 4, 1, 1)
        clean = 0.8 * self.fields[chosen] + shift * depth
        return clean, depth, {"encoder_hidden_states": self.states(chosen, dropped)}
