"""Gradients of the margin, at the embeddings of tokens and, to first order, at the bases.

A model's input is discrete, so a gradient can be taken no nearer to it than at the vectors
that its tokens are embedded as. From there a bridge leads back to DNA: each single
substitution is tokenized anew, and what it changes is read off the gradient.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from genosiege.sequence.kmer_tokenizer import KmerTokenizer
from genosiege.sequence.networks import Classifier
from genosiege.sequence.tokenizer import BASES, CharacterTokenizer, Spans, Tokenizer, Tokens

Slopes = NDArray[np.float64]


@contextmanager
def embedded_as(classifier: Classifier, vectors: torch.Tensor) -> Iterator[None]:
    """Make a classifier read these vectors in place of its token embeddings.

    Parameters
    ----------
    classifier : Classifier
        Whatever its encoder; only the output of its `embedding` is replaced.
    vectors : Tensor, shape (B, T, h)
        What every forward inside the block starts from.
    """
    hook = classifier.embedding.register_forward_hook(lambda *_: vectors)
    try:
        yield
    finally:
        hook.remove()


def embed(classifier: Classifier, input_ids: torch.Tensor) -> torch.Tensor:
    """Give the embeddings (B, T, h) of token ids (B, T), cut off from the weights."""
    with torch.inference_mode(False), torch.no_grad():
        vectors: torch.Tensor = classifier.embedding(input_ids)
        return vectors.detach().clone()


def margins_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logit of the true class minus the largest other one, shape (B,), differentiable.

    Parameters
    ----------
    logits : Tensor, shape (B, C)
    labels : Tensor of int, shape (B,)
        True classes.
    """
    true = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, labels[:, None], True)
    others = logits.masked_fill(true, -torch.inf)
    return logits[true] - others.amax(dim=1)


def logits_and_gradients(
    classifier: Classifier,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    labels: torch.Tensor,
    vectors: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a batch from its embeddings, and differentiate the margins with respect to them.

    The classifier's weights get no gradient, frozen or not, and nothing of it changes.

    Parameters
    ----------
    classifier : Classifier
        In evaluation mode.
    input_ids, attention_mask : Tensor, shape (B, T)
        As in an ordinary forward.
    labels : Tensor of int, shape (B,)
        True classes.
    vectors : Tensor, shape (B, T, h)
        Where to differentiate: in place of the embeddings of `input_ids`.

    Returns
    -------
    logits : Tensor, shape (B, C)
    gradients : Tensor, shape (B, T, h)
        ∂ margin / ∂ vector; 0 at padding.
    """
    # Also where the caller is in inference mode, which records nothing to differentiate.
    with torch.inference_mode(False), torch.enable_grad():
        leaf = vectors.detach().clone().requires_grad_(True)
        with embedded_as(classifier, leaf):
            logits = classifier(input_ids.clone(), attention_mask.clone())
        (gradients,) = torch.autograd.grad(margins_of(logits, labels.clone()).sum(), leaf)
    return logits.detach(), gradients * attention_mask[..., None]


class Segmented(NamedTuple):
    """One sequence in tokens: their ids (T,), and the bases they stand for (T, 2)."""

    ids: NDArray[np.int32]
    spans: Spans


class Slope:
    """First-order estimates of what each substitution does to the margin.

    Parameters
    ----------
    classifier : Classifier
        In evaluation mode and float32.
    tokenizer : Tokenizer
        What turns strings into its input.
    device : torch.device
        Where the classifier is.
    """

    def __init__(self, classifier: Classifier, tokenizer: Tokenizer, device: torch.device) -> None:
        self._classifier = classifier
        self._tokenizer = tokenizer
        self._device = device
        everything = torch.arange(tokenizer.vocab_size, device=device)
        self._table = embed(classifier, everything[None])[0]

    def __call__(
        self,
        sequences: Sequence[str],
        labels: Sequence[int],
        groups: Callable[[NDArray[np.int64]], Iterator[NDArray[np.int64]]],
    ) -> list[Slopes]:
        """Differentiate the margin of each sequence, and estimate all its substitutions.

        Parameters
        ----------
        sequences : sequence of str
            ACGTN.
        labels : sequence of int
            Their true classes.
        groups : callable
            Parts the sequences, given their numbers of tokens, into batches.

        Returns
        -------
        list of ndarray of float64, shape (length, 4)
            Estimated change of the margin when a position becomes A, C, G, T; 0 for the
            base that is there, and everywhere at an N.
        """
        tokens, spans = self._tokenizer.encode_spans(sequences)
        slopes: list[Slopes] = [np.zeros((0, len(BASES)))] * len(sequences)
        for rows in groups(tokens.lengths):
            effects = self._effects(tokens, rows, np.asarray(labels, dtype=np.int64)[rows])
            for row, effect in zip(rows, effects, strict=True):
                part = slice(tokens.offsets[row], tokens.offsets[row + 1])
                segmented = Segmented(tokens.ids[part], spans[part])
                slopes[row] = self._slopes(sequences[row], segmented, effect)
        return slopes

    def _effects(
        self, tokens: Tokens, rows: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> Iterator[NDArray[np.float64]]:
        """Give gradient · embedding of each token of a sequence with each id: (T, V)."""
        padded = tokens.padded(rows, self._tokenizer.pad_id)
        input_ids, mask = (torch.from_numpy(part).to(self._device) for part in padded)
        vectors = embed(self._classifier, input_ids)
        _, gradients = logits_and_gradients(
            self._classifier, input_ids, mask, torch.from_numpy(labels).to(self._device), vectors
        )
        for gradient, length in zip(gradients, tokens.lengths[rows], strict=True):
            effect = gradient[: int(length)] @ self._table.T
            yield effect.double().cpu().numpy()

    def _slopes(self, sequence: str, segmented: Segmented, effect: NDArray[np.float64]) -> Slopes:
        if isinstance(self._tokenizer, CharacterTokenizer):
            # A base is a token of its own, so nothing but that token changes.
            ids = segmented.ids
            slopes = effect[:, : len(BASES)] - effect[np.arange(len(ids)), ids][:, None]
            # An N is no base, and is never edited.
            slopes[ids >= len(BASES)] = 0.0
            return slopes
        return bridged(self._tokenizer, sequence, segmented, effect)


def bridged(
    tokenizer: Tokenizer, sequence: str, segmented: Segmented, effect: NDArray[np.float64]
) -> Slopes:
    """Lead the gradient at tokens back to bases, for any tokenizer.

    A substitution may also move the borders of tokens, so each of the 3 L mutants is
    tokenized anew. Gradient and embedding are then compared base by base: a base holds an
    equal share of its token's gradient, and where the token that covers it changes from
    `old` to `new`, the effect is share · (E[new] - E[old]). Summed up, this is the effect of
    giving each old token the mean embedding of the new tokens in its place, weighted by
    overlap; where the segmentation stays, it is exactly Σ gᵢ · (E[newᵢ] - E[oldᵢ]). With k-mers it
    always stays, and the sum is over all k tokens that the base is in.

    Parameters
    ----------
    tokenizer : Tokenizer
        What segments the mutants.
    sequence : str
        ACGTN.
    segmented : Segmented
        Its tokens.
    effect : ndarray, shape (T, V)
        Gradient at each of its tokens · embedding of each id.

    Returns
    -------
    ndarray of float64, shape (length, 4)
        As `Slope` gives it.
    """
    places = [
        (i, column)
        for i, old in enumerate(sequence)
        for column, base in enumerate(BASES)
        if old in BASES and base != old
    ]
    slopes = np.zeros((len(sequence), len(BASES)))
    if not places:
        return slopes
    mutants = [sequence[:i] + BASES[column] + sequence[i + 1 :] for i, column in places]
    tokens, spans = tokenizer.encode_spans(mutants)
    rows, columns = np.array(places).T
    if isinstance(tokenizer, KmerTokenizer):
        ids = tokens.ids.reshape(len(mutants), -1)
        token = np.arange(ids.shape[1])
        change = effect[token, ids] - effect[token, segmented.ids]
        slopes[rows, columns] = change.sum(axis=1)
        return slopes
    whole = Tokens(segmented.ids, np.array([0, len(segmented.ids)]))
    old = token_at(whole, segmented.spans, len(sequence))[0]
    new = token_at(tokens, spans, len(sequence))
    share = effect / np.maximum(np.diff(segmented.spans, axis=1), 1)
    # A base that no token covers (index -1) reads the zeros at the end.
    share = np.pad(share, ((0, 1), (0, 1)))
    before = share[old, np.append(segmented.ids, -1)[old]]
    after = share[old, np.append(tokens.ids, -1)[new]]
    slopes[rows, columns] = (after - before).sum(axis=1)
    return slopes


def token_at(tokens: Tokens, spans: Spans, length: int) -> NDArray[np.int64]:
    """Find the token that covers each base of sequences of equal length.

    Returns
    -------
    ndarray of int64, shape (n, length)
        Indices into `tokens.ids`; -1 where no token covers the base.
    """
    found = np.full((len(tokens), length), -1, dtype=np.int64)
    n_bases = spans[:, 1] - spans[:, 0]
    token = np.repeat(np.arange(len(n_bases)), n_bases)
    row = np.repeat(np.arange(len(tokens)), tokens.lengths)[token]
    within = np.arange(len(token)) - (np.cumsum(n_bases) - n_bases)[token]
    found[row, spans[token, 0] + within] = token
    return found
