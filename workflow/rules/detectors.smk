"""What detection reads, and with which settings."""

# Files --------------------------------------------------------------------------------


def detector_vae(wildcards):
    """Name the autoencoder of the largest share of train, where the run has any."""
    fractions = config["vae"]["fractions"]
    if not fractions:
        return {}
    folder = VAE.format(**wildcards, fraction=max(fractions))
    return {
        "vae": f"{folder}/model.safetensors",
        "vae_description": f"{folder}/model.json",
    }


def natural_features(wildcards):
    """Name the cached features of natural sequences; none where the encoder is trained."""
    if not caches_features(wildcards):
        return {}
    folder = f"{SEQUENCE}/embeddings".format(**wildcards)
    return {
        f"{split}_features": f"{folder}/{split}.safetensors"
        for split in ("train", "dev")
    }


def detected_attacks(wildcards):
    """Name the tables of the attacks whose adversaries are looked at."""
    asked = config["detection"]["attacks"]
    names = attacks_of(*configuration.DNA_KINDS) if asked is None else asked
    return expand(f"{STAGE}/attacks/{{attack}}/test.parquet", attack=names, **wildcards)


def detected_models(file):
    """Name one file of every expression model that is looked at, where it is made."""
    made = {
        "detection.parquet": detectors_of("expression"),
        "adaptive.parquet": evaded("expression"),
    }
    if not made.get(file, True):
        return []
    return of_models(file, among_models("detection"))


def detected_baselines(file):
    """Name one file of every baseline whose adversaries are looked at, where it is made."""
    asked = config["detection"]["sequence"]
    if file == "adaptive.parquet":
        asked = evaded("sequence")
    return of_trained(file) if asked else []


def anything_detected():
    """Tell whether the run asks any detector, or looks at any spectrum."""
    return bool(
        detected_models("ssim.parquet") or detected_baselines("spectra.parquet")
    )


def detection_results(wildcards):
    """Name what the report says of detection, where anything is looked at."""
    if not anything_detected():
        return []
    return [*rules.make_detection_tables.output, *rules.draw_detection.output]


# Settings -----------------------------------------------------------------------------


def moving_options(*more):
    """Make a function that gives the options which decide how FIMBA moves samples, and more."""
    names = ("features", "importance", "targets", "random_sets", "test_samples", *more)

    def options(wildcards):
        return {name: config["fimba"][name] for name in names} | {"smallest_k": None}

    return options


def decoding_options(wildcards):
    """Give the options that decide how an autoencoder's values are moved to."""
    names = moving_options("values", "k", "t")(wildcards)
    return {name: evasion_options(wildcards)[name] for name in names}


def largest_fraction(wildcards):
    """Give the per cent of train that the detectors' autoencoder saw; 0 where there is none."""
    return max(config["vae"]["fractions"], default=0)


def detectors_of(arm):
    """List the detectors of an arm; the autoencoder's where there is one."""
    asked = config["detection"][arm]
    return [name for name in asked if name != "vae" or config["vae"]["fractions"]]


def evaded(arm):
    """List the detectors of an arm that an attacker evades, if there is such an attacker."""
    options = config["detection"]["adaptive"]
    if not options["penalties"]:
        return []
    asked = options["detectors"]
    return [name for name in detectors_of(arm) if asked is None or name in asked]


def detector_modules(arm):
    """Name the modules that make the detectors of an arm."""
    modules = getattr(detector_kinds, arm.upper())
    names = {modules[name] for name in detectors_of(arm)}
    return [f"genosiege.detection.{name}" for name in sorted(names)]


def expression_detectors(wildcards):
    """Give what detectors of expression are made with."""
    names = ("fit_samples", "neighbours", "trees")
    options = {name: config["detection"][name] for name in names}
    return options | {"expression": detectors_of("expression")}


def adaptive_expression(wildcards):
    """Give what an attacker of detectors of expression is made with, too."""
    options = {
        key: value
        for key, value in config["detection"]["adaptive"].items()
        if key != "query_budget"
    }
    options["detectors"] = evaded("expression")
    return expression_detectors(wildcards) | {
        "adaptive": options,
        "tails": config["detection"]["tails"],
    }


def sequence_detectors(wildcards):
    """Give what detectors of DNA are made with."""
    names = ("fit_samples", "neighbours", "kmer", "mutants")
    options = {name: config["detection"][name] for name in names}
    return options | {"sequence": detectors_of("sequence")}


def adaptive_sequence(wildcards):
    """Give what an attacker of detectors of DNA is made with, too."""
    names = ("samples", "penalties", "query_budget")
    options = {name: config["detection"]["adaptive"][name] for name in names}
    options["detectors"] = evaded("sequence")
    return sequence_detectors(wildcards) | {
        "adaptive": options,
        "tails": config["detection"]["tails"],
    }
