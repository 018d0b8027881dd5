"""A model whose answers are no numbers ends every job that asks it, by file and sequence id."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refusal
from toy_models import LETTERS, random_sequence, wrap

from genosiege.detection import sequence_detectors, sequence_evasion, sequence_scores
from genosiege.detection.options import Detection
from genosiege.sequence import (
    attacks,
    campaign,
    certificates,
    classifier,
    encoders,
    hardening,
    latent,
    mutagenesis,
    prediction,
    rescoring,
    tables,
    transfer,
)
from genosiege.sequence.classifier import Training
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.examples import Example
from genosiege.sequence.hardening import Hardening
from genosiege.sequence.networks import Encoder
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.results import AttackResult
from genosiege.sequence.splits import Split

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH, N = 30, 6
CNN = {"kind": "cnn", "architecture": {"channels": 4, "blocks": 1}}
GENETIC = attacks.load({"kind": "genetic", "population": 6, "generations": 3})


@pytest.fixture(params=["nan", "inf", "-inf"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> SequenceModel:
    """A model of ours with a wrong number among its weights and a right digest, read again."""
    made = encoders.build(CNN, [], 2)
    with torch.no_grad():
        made.classifier.head[-1].bias.fill_(float(request.param))
    path = str(tmp_path / "model.safetensors")
    encoders.save(made, path, {})
    return encoders.load(path, CNN, [])


@pytest.fixture
def sample() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": [f"test:{number}" for number in range(N)],
            "sequence": [random_sequence(rng, LENGTH) for _ in range(N)],
            "label": [0, 1] * (N // 2),
        }
    )


def split_of(sample: pd.DataFrame) -> Split:
    ids = sample["id"].tolist()
    return Split(sample["sequence"].tolist(), sample["label"].to_numpy(), None, ids)


def oracle(model: SequenceModel) -> Oracle:
    return Oracle(model, batch_size=4, device=torch.device("cpu"))


def shards(sample: pd.DataFrame) -> pd.DataFrame:
    """Give the rows of an attack that found nothing."""
    kinds = {"int64": 0, "str": "", "bool": False}
    rows = sample.assign(original=sample["sequence"], adversarial=sample["sequence"])
    missing = {name: kinds[kind] for name, kind in tables.SHARD_COLUMNS.items() if name not in rows}
    return rows.assign(**missing)[list(tables.SHARD_COLUMNS)]


def transferred(model: SequenceModel, sample: pd.DataFrame) -> None:
    rows = shards(sample).assign(
        correct_before=True, success_flip=False, n_edits=0, keeps_hard_rules=True
    )
    place = ("promoters", "other", 0, "baseline", "genetic", "test")
    transfer.transferred(model, "promoters", [AttackResult(*place, rows, 0)], 4)


def detected(*names: str) -> Callable[[SequenceModel, pd.DataFrame], None]:
    def ask(model: SequenceModel, sample: pd.DataFrame) -> None:
        options = Detection(sequence=names, kmer=1, mutants=1)
        detectors = sequence_detectors.fitted(model, split_of(sample), options, 0, 4)
        sequence_scores.score(detectors, sample, sample, {}, Constraints(), options, 0)

    return ask


def evaded(model: SequenceModel, sample: pd.DataFrame) -> None:
    options = Detection(sequence=("kmer",), kmer=1, mutants=1)
    detectors = sequence_detectors.fitted(model, split_of(sample), options, 0, 4)
    victim = sequence_evasion.Victim(model, Constraints(), oracle(model), 4, 0)
    sequence_evasion.evade(victim, detectors, sample, sample, options)


def hardened(model: SequenceModel, sample: pd.DataFrame) -> None:
    pool = [
        Example(row.id, row.sequence, row.label, "adversary", 1, 1) for row in sample.itertuples()
    ]
    hardening.harden(model, pool, [], Hardening("adversarial_only"), np.random.default_rng(0))


def trained_further(model: SequenceModel, sample: pd.DataFrame) -> None:
    split = split_of(sample)
    classifier.fit(model, split, split, Training(epochs=1), np.random.default_rng(0))


JOBS: dict[str, Callable[[SequenceModel, pd.DataFrame], object]] = {
    "evaluate": lambda model, sample: oracle(model).logits(*split_of(sample)[::3]),
    "evaluate on cached features": lambda model, sample: prediction.head_logits(
        model, np.ones((N, model.width), np.float32), sample["id"].tolist()
    ),
    "attack_shard": lambda model, sample: campaign.attack_sample(
        model, sample, GENETIC, Constraints(), [0], oracle(model)
    ),
    "rescore": lambda model, sample: rescoring.rescore(model, shards(sample), Constraints(), 3, 4),
    "transfer": transferred,
    "certify": lambda model, sample: certificates.certify(sample, Constraints(), oracle(model)),
    "latent_fgsm": lambda model, sample: latent.attack_sample(model, sample, latent.Fgsm(), 4),
    "latent_pgd": lambda model, sample: latent.attack_sample(model, sample, latent.Pgd(), 4),
    "scan_examples": lambda model, sample: mutagenesis.scan(
        oracle(model), {row.id: (row.sequence, row.label) for row in sample.itertuples()}
    ),
    "detect by features": detected("mahalanobis"),
    "detect by margins": detected("margin"),
    "detect by strings": detected("kmer"),
    "evade_sequence_detectors": evaded,
    "harden": hardened,
    "fine_tune": trained_further,
}


@pytest.mark.parametrize("job", JOBS)
def test_every_job_that_asks_ends_with_the_file_and_the_sequence(
    job: str, model: SequenceModel, sample: pd.DataFrame
) -> None:
    message = refusal(JOBS[job], model, sample)

    assert message.startswith(f"{model.file}: its answer to sequence test:")
    assert "not finite" in message
    assert model.file.endswith("model.safetensors")


def test_features_of_a_damaged_encoder_are_not_cached(sample: pd.DataFrame) -> None:
    model = encoders.build(CNN, [], 2)
    model.file = "resources/encoders/mine/model.safetensors"
    with torch.no_grad():
        next(model.classifier.encoder.parameters()).fill_(float("nan"))
    tokens = model.tokenizer.encode(sample["sequence"].tolist())

    message = refusal(prediction.encode, model, tokens, ids=sample["id"].tolist())

    assert message.startswith(f"{model.file}: its answer to sequence test:0 is not finite")


def test_a_damaged_head_is_found_before_it_is_trained_further(sample: pd.DataFrame) -> None:
    model = encoders.build(CNN, [], 2)
    model.file, model.classifier.frozen = "model.safetensors", True
    model.classifier.encoder.requires_grad_(False)
    with torch.no_grad():
        model.classifier.head[1].bias.fill_(float("nan"))

    message = refusal(hardened, model, sample)

    assert message.startswith("model.safetensors: its answer to sequence test:")


class Breaks(Encoder):
    """Two logits that are numbers unless the sequence has this word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.width, self.word = 2, word
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        texts = ["".join(LETTERS[i] for i in row) for row in input_ids.cpu().tolist()]
        broken = torch.tensor([float("nan") if self.word in text else 1.0 for text in texts])
        return self.scale * torch.stack([broken, torch.zeros(len(texts))], dim=1)


@pytest.mark.parametrize("batching", ["per_sequence", "lockstep"])
def test_a_search_whose_candidate_breaks_the_model_is_named_by_its_sequence(batching: str) -> None:
    # Of three sequences only the second one is an edit away from the word.
    sequences = ["A" * 12, "ACGTTGCAACGG", "T" * 12]
    sample = pd.DataFrame({"id": ["a", "b", "c"], "sequence": sequences, "label": [0, 0, 0]})
    model = wrap(Breaks("CCAACGG"))
    model.file = "mine/model.safetensors"
    greedy = attacks.load({"kind": "greedy", "max_edits": 1})
    asked = Oracle(model, batching=batching, device=torch.device("cpu"))

    for job in (
        lambda: campaign.attack_sample(model, sample, greedy, Constraints(), [0], asked),
        lambda: certificates.certify(sample, Constraints(), asked),
        lambda: mutagenesis.scan(asked, {row.id: (row.sequence, 0) for row in sample.itertuples()}),
    ):
        assert refusal(job).startswith("mine/model.safetensors: its answer to sequence b is not")


def test_what_has_no_id_is_named_by_its_first_bases() -> None:
    model = wrap(Breaks("GGG"))

    message = refusal(oracle(model).logits, ["ACGT", "A" * 30 + "GGG"])

    assert message.startswith('the model: its answer to sequence "AAAAAAAAAAAAAAAAAAAA…" is not')
    assert np.isfinite(oracle(model).logits(["ACGT", "A"])).all()


def test_a_training_that_diverges_is_not_blamed_on_the_file(sample: pd.DataFrame) -> None:
    model, split = encoders.build(CNN, [], 2), split_of(sample)

    message = refusal(
        classifier.fit, model, split, split, Training(epochs=9, learning_rate=1e30, warmup=0.0),
        np.random.default_rng(0),
    )  # fmt: skip

    assert message.startswith("the training's ")
    assert message.endswith("lower training: learning_rate.")
