"""The Inception score, from the logits of images as they come."""

import numpy as np
import torch
from torch import Tensor

from rgan_bench.scoring.protocol import Measured

SPLITS = 10
SHUFFLED_BY = 2020  # torch-fidelity's seed, so that its score is ours


class ClassScore:
    """exp(mean KL(p(y|x) ‖ p(y))) over images, its mean and SD over 10 splits: Salimans et al. 2016 (arXiv 1606.03498),
    with the splits that torch-fidelity makes. Of each split only sums are kept."""

    def __init__(self, total: int) -> None:
        """
        Args:
            total: how many images will come.
        """
        self.splits = min(SPLITS, total)
        order = torch.from_numpy(np.random.RandomState(SHUFFLED_BY).permutation(total))
        self.split_of = torch.empty(total, dtype=torch.long)
        for index in range(self.splits):
            self.split_of[order[index * total // self.splits : (index + 1) * total // self.splits]] = index
        self.count = 0

    def add(self, logits: Tensor) -> None:
        """Of some images, [B, classes]."""
        logs = logits.double().log_softmax(dim=1)
        if self.count == 0:
            self.classes = logs.new_zeros(self.splits, logs.shape[1])
            self.negative_entropy = logs.new_zeros(self.splits)
        splits = self.split_of[self.count : self.count + len(logs)].to(logs.device)
        self.classes.index_add_(0, splits, logs.exp())
        self.negative_entropy.index_add_(0, splits, (logs.exp() * logs).sum(dim=1))
        self.count += len(logs)

    def value(self) -> Measured:
        """The mean over the splits; `sd_over_splits` is their standard deviation."""
        counts = self.split_of.bincount(minlength=self.splits).to(self.classes)
        of_all = self.classes / counts[:, None]
        gains = self.negative_entropy / counts - torch.xlogy(of_all, of_all).sum(dim=1)
        scores = gains.exp().cpu().numpy()
        return Measured(scores.mean(), sd_over_splits=float(scores.std()))
