"""Kinds of models of expression: the module of each, and which a GPU makes faster."""

MODELS = {
    "random_forest": "genosiege.expression.forest",
    "xgboost": "genosiege.expression.boosting",
    "cnn": "genosiege.expression.networks",
    "resnet": "genosiege.expression.networks",
    "vit": "genosiege.expression.networks",
}

ON_GPU = ("xgboost", "cnn", "resnet", "vit")
