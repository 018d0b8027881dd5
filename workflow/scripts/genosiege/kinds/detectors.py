"""Detectors of both arms: the module of `genosiege.detection` that makes each."""

EXPRESSION = {
    "spectral": "detectors",
    "mahalanobis": "detectors",
    "nearest_neighbours": "detectors",
    "isolation_forest": "detectors",
    "vae": "detectors",
    "margin": "detectors",
}

SEQUENCE = {
    "spectral": "sequence_detectors",
    "period3": "sequence_detectors",
    "kmer": "sequence_detectors",
    "mahalanobis": "sequence_detectors",
    "nearest_neighbours": "sequence_detectors",
    "margin": "sequence_detectors",
}
