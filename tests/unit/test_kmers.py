"""k-mers and lower case: the ids are those of plain transformers on the string written so."""

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from checkpoints import kmers, write_bert
from hypothesis import given
from hypothesis import strategies as st
from pandas import DataFrame
from toy_models import random_sequence

from genosiege.errors import InputError
from genosiege.sequence import attacks, campaign, encoders
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.kmer_tokenizer import KmerTokenizer, TokenOptions
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.tokenizer import BpeTokenizer

pytestmark = pytest.mark.usefixtures("one_thread")


def spaced(sequence, k, stride, separator=" "):
    """Write a sequence out by hand, the shorter word at the end included."""
    last = len(sequence) - k + 1 if stride == 1 else len(sequence)
    return separator.join(sequence[i : i + k] for i in range(0, last, stride))


def of_words(words):
    """A tokenizer of the library that knows whole words."""
    names = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", *words]
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens(names[:4])
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return BpeTokenizer(backend, 3)


@pytest.fixture(scope="module", params=[(3, 1), (3, 3), (6, 1), (6, 6)], ids=str)
def kind(request):
    """k, stride, the plain tokenizer, and ours."""
    k, stride = request.param
    shorter = [word for n in range(1, k) for word in kmers(n)]
    plain = of_words([*kmers(k), *shorter])
    return k, stride, plain, KmerTokenizer(plain, k, stride)


@given(sequences=st.lists(st.text("ACGTN", min_size=6, max_size=40), max_size=6))
def test_ids_are_those_of_the_string_written_out(kind, sequences):
    k, stride, plain, ours = kind

    tokens = ours.encode([*sequences, ""])

    expected = plain.encode([*(spaced(one, k, stride) for one in sequences), ""])
    assert tokens.ids.tolist() == expected.ids.tolist()
    assert tokens.offsets.tolist() == expected.offsets.tolist()


@given(sequences=st.lists(st.text("ACGTN", min_size=6, max_size=40), min_size=1, max_size=6))
def test_spans_are_the_bases_of_each_word(kind, sequences):
    k, stride, _, ours = kind

    tokens, spans = ours.encode_spans(sequences)

    for row, sequence in enumerate(sequences):
        part = spans[tokens.offsets[row] : tokens.offsets[row + 1]].tolist()
        assert part[0] == part[-1] == [0, 0]
        words = [sequence[start:end] for start, end in part[1:-1]]
        assert words == spaced(sequence, k, stride).split()
        assert [start for start, _ in part[1:-1]] == [stride * i for i in range(len(words))]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ({"kmer": 6}, kmers(6)),
        ({"kmer": 4, "stride": 4}, [*kmers(4), *kmers(2)]),
        ({"kmer": 3, "case": "lower"}, kmers(3, "acgt")),
    ],
    ids=str,
)
def test_a_bert_of_kmers_answers_as_transformers_does(tmp_path, tokens, words):
    folder = write_bert(tmp_path, words)
    rng = np.random.default_rng(0)
    sequences = [random_sequence(rng, 30, 0.02) for _ in range(8)]
    options = TokenOptions(**tokens)
    texts = [spaced(one, options.kmer, options.stride) for one in sequences]
    if options.case == "lower":
        texts = [text.lower() for text in texts]
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = network(**reader(texts, return_tensors="pt", padding=True)).logits

    model = encoders.build({"kind": "hf", "train": "none", "tokens": tokens}, [str(folder)], 2)
    found = Oracle(model, device=torch.device("cpu")).logits(sequences)

    assert np.ptp(found) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_vocabulary_in_lower_case(tmp_path):
    folder = write_bert(tmp_path, [*"acgtn", "##a", "##c", "##g", "##t", "##n"])
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    spec = {"kind": "hf", "tokens": {"case": "lower"}}
    tokenizer = encoders.make_tokenizer(spec, [str(folder)])
    sequences = ["ACGTN", "TTGA"]

    tokens, spans = tokenizer.encode_spans(sequences)

    expected = reader([sequence.lower() for sequence in sequences])["input_ids"]
    assert tokens.ids.tolist() == [*expected[0], *expected[1]]
    assert spans[1:6].tolist() == [[i, i + 1] for i in range(5)]


def test_another_separator():
    backend = of_words(kmers(3)).backend
    backend.pre_tokenizer = tokenizers.pre_tokenizers.CharDelimiterSplit("-")
    plain = BpeTokenizer(backend, 3)

    tokens = KmerTokenizer(plain, 3, separator="-").encode(["ACGTA"])

    assert tokens.ids.tolist() == plain.encode(["ACG-CGT-GTA"]).ids.tolist()
    with pytest.raises(InputError, match="separator ' '"):
        KmerTokenizer(plain, 3, separator=" ")


def test_a_sequence_without_a_word_is_refused():
    with pytest.raises(InputError, match="2 bases has no 3-mer"):
        KmerTokenizer(of_words(kmers(3)), 3).encode(["ACGT", "AC"])


def test_a_word_of_several_tokens_is_refused_by_name():
    bpe = BpeTokenizer.train(["ACGTACGT"] * 3, 40)

    with pytest.raises(InputError, match="'TTT' is not one token"):
        KmerTokenizer(bpe, 3).encode(["TTT"])


def test_another_letter_is_refused():
    with pytest.raises(InputError, match="character 'R'"):
        KmerTokenizer(of_words(kmers(3)), 3).encode(["ACGR"])


def test_a_stride_that_is_neither_one_nor_k_is_refused():
    with pytest.raises(InputError, match="stride 2"):
        TokenOptions(kmer=6, stride=2)
    with pytest.raises(InputError, match="stride 6"):
        TokenOptions(stride=6)


def test_a_model_kept_with_other_tokens_is_refused(tmp_path):
    folder = write_bert(tmp_path / "bert", [*kmers(3), *kmers(4)])
    spec = {"kind": "hf", "train": "none", "tokens": {"kmer": 3}}
    path = str(tmp_path / "model.safetensors")
    encoders.save(encoders.build(spec, [str(folder)], 2), path, {})

    encoders.load(path, spec, [str(folder)])

    with pytest.raises(InputError, match="configuration"):
        encoders.load(path, {**spec, "tokens": {"kmer": 4}}, [str(folder)])


# Attacked -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dnabert(tmp_path_factory):
    """A random classifier that reads overlapping 6-mers, and its own answers to a sample."""
    folder = write_bert(tmp_path_factory.mktemp("dnabert"), kmers(6))
    spec = {"kind": "hf", "train": "none", "tokens": {"kmer": 6}}
    model = encoders.build(spec, [str(folder)], 2)
    rng = np.random.default_rng(3)
    sequences = [random_sequence(rng, 40, 0.01) for _ in range(12)]
    answers = Oracle(model, device=torch.device("cpu")).logits(sequences)
    with torch.no_grad():  # both classes occur
        model.classifier.head["classifier"].bias -= torch.from_numpy(answers.mean(axis=0))
    labels = (answers - answers.mean(axis=0)).argmax(axis=1)
    names = [f"test:{i}" for i in range(len(sequences))]
    return model, DataFrame({"id": names, "sequence": sequences, "label": labels})


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "genetic", "population": 20, "generations": 20, "max_edits": 10},
        {"kind": "gradient", "max_edits": 10, "query_budget": 300},
    ],
    ids=["genetic", "gradient"],
)
def test_a_model_of_kmers_is_attacked(dnabert, entry):
    model, sample = dnabert
    oracle = Oracle(model, device=torch.device("cpu"), batch_size=32)

    rows = campaign.attack_sample(model, sample, attacks.load(entry), Constraints(), [0], oracle)

    assert rows["id"].tolist() == sample["id"].tolist()
    assert (rows["n_queries"] > 1).all()
    assert (rows["n_gradients"] > 0).all() == (entry["kind"] == "gradient")
    assert rows["flipped_in_search"].any()
    flips = rows[rows["flipped_in_search"]]
    answered = oracle.logits(flips["adversarial"].tolist()).argmax(axis=1)
    assert (answered != flips["label"].to_numpy()).all()
