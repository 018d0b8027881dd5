"""What an encoder cannot read is refused: in one line, with the remedy, and what it can is not."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from checkpoints import ENGLISH, SPECIAL, kmers, write_bert, write_vocabulary
from test_kmers import of_words
from test_position_limits import SIZES, checkpoint
from toy_models import random_sequence

from genosiege.errors import InputError
from genosiege.sequence import encoders, input_check
from genosiege.sequence.input_check import Reader, n_lost, unknown_bases
from genosiege.sequence.kmer_tokenizer import KmerTokenizer
from genosiege.sequence.tokenizer import BpeTokenizer, CharacterTokenizer, Tokens

pytestmark = pytest.mark.usefixtures("one_thread")

HF = {"kind": "hf", "train": "none"}
LETTERS = ["ACGT", "##A", "##C", "##G", "##T", *"ACGTN"]


def splits(*sequences, n=20, length=30):
    """The three splits of a task: random rows, and these at the end of test."""
    rng = np.random.default_rng(0)
    tables = {
        name: [random_sequence(rng, length) for _ in range(n)] for name in ("train", "dev", "test")
    }
    tables["test"] += sequences
    return {
        name: pd.DataFrame({"id": [f"{name}:{i}" for i in range(len(rows))], "sequence": rows})
        for name, rows in tables.items()
    }


def read(folder, tables=None, n_classes=2, **entry):
    reader = Reader("mine", "promoters", HF | entry, [str(folder)], n_classes)
    return input_check.read(reader, tables or splits())


def refusal(*arguments, **entry):
    with pytest.raises(InputError) as caught:
        read(*arguments, **entry)
    message = str(caught.value)
    assert message.startswith("encoder mine, task promoters: ")
    assert "\n" not in message and message.endswith(".")
    return message


# Tokenizers that know no DNA --------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (kmers(6), "add tokens: {kmer: 6} to encoders/mine (and stride: 6 if"),
        ([*kmers(3), *kmers(2)], "add tokens: {kmer: 3} to encoders/mine"),
        ([*"acgt", *(f"##{base}" for base in "acgt")], "add tokens: {case: lower} to encoders/mi"),
        (kmers(4, "acgt"), "add tokens: {kmer: 4, case: lower} to encoders/mine"),
        (ENGLISH, "its vocabulary is not one of DNA; use a model of the genome"),
    ],
    ids=["6-mers", "3-mers", "lower case", "4-mers in lower case", "English"],
)
def test_a_vocabulary_without_bases_is_refused_with_what_would_help(tmp_path, words, advice):
    message = refusal(write_bert(tmp_path, words))

    assert "A, C, G and T are unknown to its tokenizer" in message
    assert advice in message


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (kmers(6), "add tokens: {kmer: 6} to encoders/mine, and save it with do_lower_case: false"),
        (LETTERS, "does not keep: save it with do_lower_case: false"),
    ],
    ids=["6-mers", "bases"],
)
def test_a_tokenizer_that_writes_an_upper_case_vocabulary_in_lower_case(tmp_path, words, advice):
    folder = write_bert(tmp_path, words)
    (folder / "tokenizer_config.json").unlink()

    assert advice in refusal(folder)


def test_english_with_all_letters_does_not_read_long_words(tmp_path):
    letters = "abcdefghijklmnopqrstuvwxyz"
    folder = write_bert(tmp_path, [*ENGLISH, *letters, *(f"##{one}" for one in letters)])
    (folder / "tokenizer_config.json").unlink()

    message = refusal(folder, splits(length=120))

    assert "100.0% of the bases of split train" in message
    assert "use a model of the genome" in message


@pytest.mark.parametrize("model_type", ["bert", "roberta", "gpt2", "esm", "llama", "t5"])
def test_a_checkpoint_without_a_tokenizer_is_refused(tmp_path, model_type):
    config = transformers.AutoConfig.for_model(
        model_type, vocab_size=20, num_hidden_layers=1, hidden_size=12, num_attention_heads=12,
        intermediate_size=8,
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()

    assert "save the tokenizer that the model was trained with" in refusal(tmp_path)


def test_one_unknown_base_is_named(tmp_path):
    words = [word for word in LETTERS if "T" not in word]

    assert "T is unknown to its tokenizer" in refusal(write_bert(tmp_path, words))


def test_letters_that_are_known_alone_but_not_in_a_word(tmp_path):
    message = refusal(write_bert(tmp_path, [*"ACGTN", *kmers(6)], max_position_embeddings=40))

    assert "100.0% of the bases of split train are in tokens" in message
    assert "add tokens: {kmer: 6}" in message


def test_tokens_that_do_not_help_are_told_to_go(tmp_path):
    folder = write_bert(tmp_path, LETTERS)
    read(folder)

    assert "leave tokens out of encoders/mine" in refusal(folder, tokens={"kmer": 6})
    assert "leave tokens out of encoders/mine" in refusal(folder, tokens={"case": "lower"})


@pytest.mark.parametrize("in_one_file", [False, True])
def test_what_is_advised_helps(tmp_path, in_one_file):
    folder = write_bert(tmp_path, kmers(6))
    if in_one_file:
        transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
        assert (folder / "tokenizer.json").exists()
        (folder / "vocab.txt").unlink()
    assert "add tokens: {kmer: 6}" in refusal(folder)

    report = read(folder, tokens={"kmer": 6}).report

    assert report["position_limit"] == 64
    assert report["splits"]["test"] == {"n": 20, "unknown_share": 0.0, "most_tokens": 27}
    assert json.dumps(report)


def test_bases_in_k_mers_are_known_by_the_k_mers():
    assert unknown_bases(KmerTokenizer(of_words(kmers(3)), 3)) == ""
    without = [word for word in kmers(3) if "G" not in word]
    assert unknown_bases(KmerTokenizer(of_words(without), 3)) == "G"
    assert unknown_bases(CharacterTokenizer()) == ""
    assert unknown_bases(BpeTokenizer.train([], 9)) == ""


# One in a hundred -------------------------------------------------------------------------


def lost(tokenizer, *sequences):
    tokens, spans = tokenizer.encode_spans(sequences)
    return n_lost(tokens, spans, sequences, tokenizer.unknown_id)


def lost_by_hand(tokenizer, sequence):
    """For each base that is no N, in words: the share of unknown ones, if one word is known."""
    tokens, spans = tokenizer.encode_spans([sequence])
    total = 0.0
    for place, base in enumerate(sequence):
        if base == "N":
            continue
        over = [
            (identity == tokenizer.unknown_id, "N" in sequence[start:end])
            for identity, (start, end) in zip(tokens.ids, spans, strict=True)
            if start <= place < end
        ]
        if all(unknown for unknown, _ in over):
            total += 1
        else:
            clear = [unknown for unknown, has_n in over if not has_n]
            total += sum(clear) / max(len(clear), 1)
    return total


@pytest.mark.parametrize(("k", "stride"), [(3, 1), (4, 1), (3, 3)])
@pytest.mark.parametrize("n_share", [0.0, 0.1])
def test_lost_bases_are_those_counted_by_hand(k, stride, n_share):
    rng = np.random.default_rng(1)
    words = [word for n in range(1, k + 1) for word in kmers(n) if rng.random() < 0.8]
    tokenizer = KmerTokenizer(of_words(words), k, stride)
    sequences = [random_sequence(rng, n, n_share) for n in (30, 8, 21)]

    expected = sum(lost_by_hand(tokenizer, sequence) for sequence in sequences)

    assert expected > 5
    assert lost(tokenizer, *sequences) == pytest.approx(expected)


def test_an_n_takes_no_base_with_it_where_words_overlap():
    tokenizer = KmerTokenizer(of_words(kmers(3)), 3)

    assert lost(tokenizer, "ACGTNACGT") == 0
    assert lost(tokenizer, "ACGTNANACGT") == 1  # the A between


def test_bases_that_a_tokenizer_leaves_out_are_lost():
    tokens = Tokens(np.array([1, 7, 2], np.int32), np.array([0, 3]))
    spans = np.array([[0, 0], [0, 2], [0, 0]])

    assert n_lost(tokens, spans, ["ACGN"], unknown_id=None) == 1


@pytest.mark.parametrize(("n_unknown", "refused"), [(1, False), (2, True)])
def test_one_base_in_a_hundred_may_be_lost(tmp_path, n_unknown, refused):
    folder = write_bert(tmp_path, [word for word in kmers(3) if word != "TTT"])
    rows = ["ACG" * 10] * 9 + ["TTT" * n_unknown + "ACG" * (10 - n_unknown)]
    table = pd.DataFrame({"id": [f"dev:{i}" for i in range(10)], "sequence": rows})
    tables, tokens = splits() | {"dev": table}, {"kmer": 3, "stride": 3}
    for name in ("train", "test"):
        tables[name]["sequence"] = tables[name]["sequence"].str.replace("TTT", "TTA")

    if refused:
        assert "2.0% of the bases of split dev" in refusal(folder, tables, tokens=tokens)
    else:
        assert read(folder, tables, tokens=tokens).report["splits"]["dev"]["unknown_share"] == 0.01


# Rows -------------------------------------------------------------------------------------


def test_rows_of_other_bases_and_equal_ids_are_refused_across_splits(tmp_path):
    words = [word for word in kmers(3) if word not in ("AAC", "AAG")]
    folder = write_bert(tmp_path, words)
    start = random_sequence(np.random.default_rng(5), 50).replace("AAC", "T").replace("AAG", "T")
    tables = splits(start + "TAAC", n=60, length=len(start) + 4)
    tables["train"].loc[7, "sequence"] = start + "TAAG"
    for table in tables.values():
        fixed = table["sequence"].str.replace("AA[CG]", "ACT", regex=True)
        keep = table["sequence"].str.startswith(start)
        table["sequence"] = table["sequence"].where(keep, fixed)

    message = refusal(folder, tables, tokens={"kmer": 3})

    assert "rows train:7 and test:60 have different bases, and the same tokens" in message


def test_rows_that_differ_in_an_n_alone_may_be_one(tmp_path):
    folder = write_bert(tmp_path, kmers(3))
    row = random_sequence(np.random.default_rng(5), 30)

    read(folder, splits(row + "NNA", row + "NNN", row + "NNNN", n=30), tokens={"kmer": 3})


def test_a_row_beyond_the_positions_is_named_with_both_numbers(tmp_path):
    folder = write_bert(tmp_path, LETTERS, max_position_embeddings=50)
    longest = random_sequence(np.random.default_rng(0), 48)

    assert read(folder, splits(longest)).report["splits"]["test"]["most_tokens"] == 50
    message = refusal(folder, splits(longest, longest + "A"))
    assert "row test:21 has 51 tokens, the model takes at most 50" in message


def test_a_row_without_a_whole_word_is_named(tmp_path):
    folder = write_bert(tmp_path, kmers(6))

    message = refusal(folder, splits("ACGTA"), tokens={"kmer": 6})

    assert "row test:20, a sequence of 5 bases has no 6-mer" in message


def test_a_shorter_word_at_the_end_is_known_or_its_row_is_refused(tmp_path):
    tokens = {"kmer": 4, "stride": 4}
    folder = write_bert(tmp_path, [*kmers(4), "AC"])

    read(folder, splits("GATTACANAC", "GATTACAGAN", length=32, n=60), tokens=tokens)

    message = refusal(folder, splits("GATTACAAAG", length=32, n=60), tokens=tokens)
    assert "row test:60: its last bases, AG, are no whole k-mer" in message


def test_a_tokenizer_in_plain_python_is_checked(tmp_path):
    """As the Nucleotide Transformer has it: 6-mers, and single bases beside an N."""
    config = transformers.EsmConfig(vocab_size=4107, max_position_embeddings=20, pad_token_id=1)
    config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()
    names = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
    (tmp_path / "vocab.txt").write_text("\n".join([*names, *kmers(6), *"ATCGN"]) + "\n")

    report = read(tmp_path, splits("ACGTANACGT"), train="head").report

    assert report["splits"]["test"] == {"n": 21, "unknown_share": 0.0, "most_tokens": 12}


# Models -----------------------------------------------------------------------------------


ELECTRA = {**SIZES, "embedding_size": 16, "pad_token_id": 3}


def test_a_model_that_is_not_known_is_tried_out_on_the_longest_row(tmp_path):
    paths = checkpoint(tmp_path, "electra", ELECTRA)
    longest = random_sequence(np.random.default_rng(0), 38)

    report = read(paths[0], splits(longest), train="head").report

    assert report["tried_out"] == "test:20"
    message = refusal(paths[0], splits(longest, longest + "A"), train="head")
    assert "the model fails on row test:21, the longest (a sequence of 41 tokens" in message


def test_a_model_that_is_not_known_and_gives_no_numbers_is_refused(tmp_path):
    paths = checkpoint(tmp_path, "electra", ELECTRA)
    network = transformers.AutoModel.from_pretrained(tmp_path)
    network.embeddings.LayerNorm.weight.data[0] = torch.nan
    network.save_pretrained(tmp_path)

    assert "no finite numbers for row" in refusal(paths[0], train="head")


def test_files_that_are_not_there_are_named_themselves(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}/model.safetensors: there is no such"):
        read(tmp_path)


# What stays as it is ----------------------------------------------------------------------


def test_tokens_are_those_of_the_tokenizer(tmp_path):
    folder = write_bert(tmp_path, LETTERS)
    tables = splits()

    reading = read(folder, tables)

    tokenizer = encoders.make_tokenizer(HF, [str(folder)])
    assert reading.pad_id == tokenizer.pad_id == SPECIAL.index("[PAD]")
    for name, table in tables.items():
        expected = tokenizer.encode(table["sequence"].tolist())
        np.testing.assert_array_equal(reading.tokens[name].ids, expected.ids)
        np.testing.assert_array_equal(reading.tokens[name].offsets, expected.offsets)


def test_a_vocabulary_file_alone_is_a_tokenizer(tmp_path):
    folder = write_bert(tmp_path, None, vocab_size=20)
    write_vocabulary(folder, LETTERS)

    read(folder)
