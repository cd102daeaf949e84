"""The sentence pairs of ../shared/models/minilm: what an encoder's embeddings are worth."""

import os

import numpy as np


class Pairs:
    """`count` pairs (all without); rows of ids and masks, all first sentences before all second."""

    def __init__(self, folder, count=None):
        with np.load(os.path.join(folder, "sts.npz")) as file:
            ids, masks = file["input_ids"][:count], file["attention_mask"][:count]
            self.scores = file["score"][:count]
        self.ids = np.concatenate([ids[:, 0], ids[:, 1]])
        self.masks = np.concatenate([masks[:, 0], masks[:, 1]])

    def spearman(self, embeddings):
        """Between cosine similarity and what people said."""
        first, second = np.split(embeddings, 2)
        return float(np.corrcoef(ranks((first * second).sum(1)), ranks(self.scores))[0, 1])


def ranks(values):
    """Equal ones share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def cosines(reference, embeddings):
    return (reference * embeddings).sum(1)


def sqnr_db(reference, embeddings):
    noise = float(((reference - embeddings) ** 2).sum())
    return 10 * np.log10(float((reference ** 2).sum()) / max(noise, 1e-30))
