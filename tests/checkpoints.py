"""Small checkpoints with random weights, as transformers saves them."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ENGLISH = ["the", "of", "and", "promoter", "##s", "##ing"]


def kmers(k: int, letters: str = "ACGT") -> list[str]:
    """List all words of k letters."""
    return ["".join(word) for word in product(letters, repeat=k)]


def write_vocabulary(folder: Path, words: Sequence[str]) -> None:
    """Write a vocabulary of whole words as BERT's tokenizer reads it, case and all."""
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *words]) + "\n")
    config = {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_bert(folder: Path, words: Sequence[str] | None, seed: int = 0, **sizes: Any) -> Path:
    """Make a classifier of two classes; without words no tokenizer is saved beside it."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    options = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    options |= {"intermediate_size": 16, "max_position_embeddings": 64}
    options["vocab_size"] = len(SPECIAL) + len(words or ENGLISH)
    config = transformers.BertConfig(**options | sizes, pad_token_id=0)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = transformers.BertForSequenceClassification(config)
    for parameter in network.parameters():
        # Larger weights than usual, so that sequences differ by more than rounding.
        parameter.data *= 5
    network.save_pretrained(folder)
    if words is not None:
        write_vocabulary(folder, words)
    return folder
