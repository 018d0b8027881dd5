"""The truth of a planted task as a model: its logits are the exact posterior; nothing is trained.

Every attack can ask it. What flips it changes the truth, and not an opinion of the truth.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from genosiege.data import planted
from genosiege.data.planted_posterior import EVIDENCE, Posterior
from genosiege.errors import InputError
from genosiege.sequence.encoders import Location
from genosiege.sequence.networks import Classifier, Encoder
from genosiege.sequence.tokenizer import CharacterTokenizer, Tokenizer


class KnownTruth(Encoder):
    """The posterior of both labels, as logits of shape (B, 2).

    Parameters
    ----------
    posterior : Posterior
        Of the task.
    """

    width = 2

    def __init__(self, posterior: Posterior) -> None:
        super().__init__()
        self._posterior = posterior
        letters = torch.tensor(EVIDENCE, dtype=torch.float32)
        self._letters = nn.Embedding(len(EVIDENCE), EVIDENCE.shape[1], _weight=letters)

    @property
    def embedding(self) -> nn.Module:
        """What a letter says of the bases; of an N, that each is possible."""
        return self._letters

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give half the log odds of label 1, and the same of label 0: the posterior's logits.

        Their softmax is the posterior. Gradients with respect to the vectors of letters are exact.

        Parameters
        ----------
        input_ids : Tensor of int, shape (B, T)
            A 0, C 1, G 2, T 3, N 4.
        attention_mask : Tensor of bool, shape (B, T)
            True at real positions, which come first.
        """
        evidence, lengths = self._letters(input_ids).double(), attention_mask.sum(dim=1)
        rows, found = [], []
        for length in sorted(set(lengths.tolist())):
            at = (lengths == length).nonzero()[:, 0]
            rows.append(at)
            found.append(self._log_likelihoods(evidence[at, :length]))
        order = torch.argsort(torch.cat(rows))
        odds = torch.cat(found).diff(dim=1)[order]
        return torch.cat([-odds / 2, odds / 2], dim=1)

    def _log_likelihoods(self, evidence: torch.Tensor) -> torch.Tensor:
        if not (torch.is_grad_enabled() and evidence.requires_grad):
            exact = self._posterior.of_evidence(evidence.cpu().numpy())
            return torch.from_numpy(np.ascontiguousarray(exact)).to(evidence.device)

        def constant(values: np.ndarray) -> torch.Tensor:
            return torch.tensor(values, device=evidence.device)

        return cast(torch.Tensor, self._posterior.of_evidence(evidence, constant))


def make_tokenizer(spec: Mapping[str, Any], location: Location | None) -> Tokenizer:
    """Make the tokenizer: one token per nucleotide."""
    return CharacterTokenizer()


def make(spec: Mapping[str, Any], location: Location | None, weights: bool) -> Classifier:
    """Make the model; `spec` has the source of its task under `truth`.

    Raises
    ------
    InputError
        If it has not, or the source has other parameters.
    """
    if "truth" not in spec:
        raise InputError("an encoder of kind planted needs `truth`, the source of its task.")
    posterior = Posterior(planted.parameters(spec["truth"]))
    return Classifier(KnownTruth(posterior), nn.Identity(), frozen=True)
