"""Captions as numbers for the training of the denoiser."""
import torch

WORDS_DROPPED = .12  # captions left empty, which is what classifier-free guidance needs
FILLERS_ADDED = .08  # captions that get one word without meaning, so that unknown words do little harm
FILLERS = ("nice beautiful little pretty simple very cute bright photo picture drawing image painting "
           "of with and the in cat dog car person").split()


class Words:
    """Captions as rows of numbers in a compact vocabulary of the tokens that occur."""

    def __init__(self, tokenizer, captions):
        texts = sorted(set(captions.ravel()))
        tokens = dict(zip(texts, tokenizer(texts, padding="max_length", truncation=True).input_ids))
        fillers = [tokenizer(word).input_ids[1] for word in FILLERS]
        used = {token for row in tokens.values() for token in row} | set(fillers)
        self.vocabulary = sorted(used)
        assert self.vocabulary[-1] == tokenizer.eos_token_id
        compact = {token: number for number, token in enumerate(self.vocabulary)}
        numbers = {text: torch.tensor([compact[token] for token in row], dtype=torch.int16)
                   for text, row in tokens.items()}
        self.rows = torch.stack([numbers[text] for text in captions.ravel()]).view(*captions.shape, -1)
        self.fillers = torch.tensor([compact[token] for token in fillers])
        self.empty = torch.tensor([compact[token] for token in tokenizer("", padding="max_length").input_ids])

    def training_rows(self, chosen):
        """One of the four captions of each chosen picture, some with a filler word, some emptied."""
        rows = self.rows[chosen, torch.randint(self.rows.shape[1], (len(chosen),))].long()
        for row in self.some(rows, FILLERS_ADDED):
            place = int(torch.randint(1, 5, ()))
            row[place + 1:] = row[place:-1].clone()
            row[place] = self.fillers[torch.randint(len(self.fillers), ())]
        for row in self.some(rows, WORDS_DROPPED):
            row.copy_(self.empty)
        return rows

    @staticmethod
    def some(rows, share):
        """A random share of the rows, as views that can be written to."""
        return [row for row, drawn in zip(rows, torch.rand(len(rows))) if drawn < share]
