"""Kinds of encoders: the module of `genosiege.sequence` of each."""

ENCODERS = {
    "dnabert2": "dnabert2_encoder",
    "hf": "huggingface",
    "planted": "planted_encoder",
    "cnn": "cnn",
}
