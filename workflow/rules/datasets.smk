"""Where the files of a dataset lie, and which of them a job of the expression arm reads."""

DATASET = "<results>/data/{dataset}/seed{seed}"
EXPRESSION = "<results>/expression/{dataset}/{model}/seed{seed}"
VAE = "<results>/expression/{dataset}/vae/seed{seed}/fraction{fraction}"

SPLITS = ("train", "dev", "test")


def local_part(wildcards):
    """Name a local file of a dataset, so that a changed one is read again."""
    source = config["datasets"][wildcards.dataset][wildcards.part]
    return named(download.local_inputs(source, wildcards.part))


def part_code(wildcards):
    """Name the code of a download; a change of the simulation refetches nothing else."""
    source = config["datasets"][wildcards.dataset][wildcards.part]
    if source["kind"] == "simulate":
        return code("download_expression", "genosiege.data.simulate_expression")
    return code("download_expression")


def own_parts(wildcards):
    """Map the parts of a dataset that are a user's own to their files, which are read there."""
    entry = config["datasets"][wildcards.dataset]
    sources = {part: entry.get(part) for part in ("matrix", "samples")}
    return {
        part: source["path"]
        for part, source in sources.items()
        if source and source["kind"] == "path"
    }


def dataset_parts(wildcards):
    """Map the parts of a dataset to their files as a rule can name them."""
    entry = config["datasets"][wildcards.dataset]
    asked = [part for part in ("matrix", "samples") if entry.get(part)]
    found = {part: f"resources/datasets/{wildcards.dataset}/{part}" for part in asked}
    own = own_parts(wildcards)
    return found | dict(zip(own, named(own.values())))


def dataset_entry(wildcards):
    """Give what of a dataset's entry its preparation reads: not where its files come from."""
    entry = config["datasets"][wildcards.dataset]
    return {
        key: value for key, value in entry.items() if key not in ("matrix", "samples")
    }


def dataset_code(wildcards):
    """Name the code that prepares a dataset, with the reader of its format only."""
    kind = config["datasets"][wildcards.dataset]["format"]
    return code("prepare_expression", workflow_code.FORMAT_MODULES[kind])


def with_model(script, *modules):
    """Like `code`, as a function that adds the module of the model's kind."""

    def named_code(wildcards):
        kind = config["models"][wildcards.model]["kind"]
        return code(script, workflow_code.MODEL_MODULES[kind], *modules)

    return named_code


def gpus_of_model(wildcards):
    """Count the GPUs that work on a model is worth: none for a forest."""
    return int(config["models"][wildcards.model]["kind"] in ON_GPU)


def gpus_with_vaes(wildcards):
    """Count the GPUs that work on a model and on autoencoders is worth."""
    return 1 if config["vae"]["fractions"] else gpus_of_model(wildcards)


def of_vaes(path):
    """Make an input function that names one file of every VAE of a dataset and seed."""

    def files(wildcards):
        return expand(
            f"{VAE}/{path}",
            dataset=wildcards.dataset,
            seed=wildcards.seed,
            fraction=config["vae"]["fractions"],
        )

    return files


# Settings of a job --------------------------------------------------------------------


def keeps_groups_whole(wildcards):
    """Tell whether no donor, or no site, is in two splits: then none is in two folds either."""
    return config["datasets"][wildcards.dataset]["split"] in ("donor", "site")


def ranking_options(wildcards):
    """Give what features are ranked with; how far they are moved is no part of it."""
    names = (
        "features",
        "importance",
        "explain_samples",
        "background_samples",
        "permutation_repeats",
        "gradient_samples",
        "test_samples",
    )
    return {name: config["fimba"][name] for name in names}


def vae_training(wildcards):
    """Give what one VAE is trained with: neither the other fractions nor what it is used for."""
    apart = ("fractions", "targets", "k", "t")
    return {key: value for key, value in config["vae"].items() if key not in apart}


def evasion_options(wildcards):
    """Give the options of FIMBA, with the section `vae`'s own targets, k and t if it has any."""
    own = {key: config["vae"][key] for key in ("targets", "k", "t")}
    own = {key: value for key, value in own.items() if value is not None}
    # Evasion searches no smallest k.
    return config["fimba"] | own | {"smallest_k": None}


def section_options(section):
    """Make a function that gives a section without the list of models it is about."""

    def options(wildcards):
        return {key: value for key, value in config[section].items() if key != "models"}

    return options
