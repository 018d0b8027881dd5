"""Kinds of encoders: the module of `genosiege.sequence` of each."""

ENCODERS = {
    "dnabert2": "dnabert2_encoder",
    "hf": "huggingface",
    "cnn": "cnn",
    "planted": "planted_encoder",
}
