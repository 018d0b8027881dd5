"""What the rules of the sequence arm read, and with which settings."""

# Inputs of many parts -----------------------------------------------------------------


def encoder_files(wildcards):
    """List the files an encoder is loaded from; none where `fine_tune` makes all its weights."""
    entry = config["encoders"][wildcards.encoder]
    if "source" in entry:
        return [f"resources/encoders/{wildcards.encoder}"]
    if "pretraining" not in entry:
        return []
    return expand(
        f"{SEQUENCE}/{{file}}",
        task=wildcards.task,
        encoder=wildcards.encoder,
        file=["encoder.safetensors", "encoder.json", "tokenizer.json"],
    )


def split_of(wildcards):
    """Name the split that a job is about; one of a rule without `{split}`, the test split."""
    return wildcards.get("split", "test")


def sample_size(wildcards):
    """Give how many sequences of `{split}` are attacked at most; those of train for hardening."""
    if split_of(wildcards) == "train":
        return config["hardening"]["train_attack_samples"]
    asked = config["sampling"]["attack_samples"]
    if is_truth(wildcards.encoder):
        return min(asked or TRUTH_SAMPLES, TRUTH_SAMPLES)
    return asked


def kept_apart(wildcards):
    """Name the split whose sequences are not drawn: what is trained on is not attacked later."""
    if wildcards.split == "train":
        return f"<results>/data/{wildcards.task}/test.parquet"
    return []


def sample_setting(wildcards):
    """Name the setting that says so, for an error."""
    if wildcards.split == "train":
        return "hardening.train_attack_samples"
    return "sampling.attack_samples"


def shards(wildcards):
    """Count the shards of `{split}`'s sample, from the configuration alone."""
    rows = config["tasks"][wildcards.task].get("rows") or {}
    split = split_of(wildcards)
    cap = "train_samples" if split == "train" else "eval_samples"
    return workflow_code.shard_count(
        [sample_size(wildcards), rows.get(split), config["sampling"][cap]],
        config["compute"]["shard_size"],
        config["compute"]["shards"],
    )


# Inputs of data.smk -------------------------------------------------------------------


def local_table(wildcards):
    """Name what of a local split exists, so that a changed one is read again.

    What is absent is left to the job, which says so in one line.
    """
    source = config["tasks"][wildcards.task]["source"]
    return named(download.local_inputs(source, wildcards.split))


def own_names(wildcards):
    """Map the splits of a local task to the user's own files, which errors name."""
    source = config["tasks"][wildcards.task]["source"]
    if source["kind"] != "path" or source["layout"] == "class_folders":
        return {}
    return {
        split: source["path"].replace("{split}", split)
        for split in ["train", "dev", "test"]
    }


def reading_options(wildcards):
    """Give how the files of a task are written."""
    names = ("ambiguous", "separator", "encoding", "labels", "rna")
    task = config["tasks"][wildcards.task]
    layout = task["source"].get("layout", "csv")
    return {name: task[name] for name in names} | {"layout": layout}


def fasta_encoding(wildcards):
    """Give how FASTA is written, of which a table is made as it is fetched; else None."""
    task = config["tasks"][wildcards.task]
    return task["encoding"] if task["source"].get("layout") == "fasta" else None


def local_encoder(wildcards):
    """List what a local folder has of an encoder's files; see `local_table`."""
    source = config["encoders"][wildcards.encoder]["source"]
    if source["kind"] != "path":
        return []
    paths = [os.path.join(source["path"], name) for name in download.ENCODER_FILES]
    return named([path for path in paths if os.path.isfile(path)])


def download_code(wildcards):
    """Name the code of a download; a change of another source's reader refetches nothing."""
    source = config["tasks"][wildcards.task]["source"]
    if source["kind"] == "simulate":
        return code("download_task", download.generator_module(source))
    if source.get("layout") == "class_folders":
        return code("download_task", download.CLASS_FOLDERS)
    if source.get("layout") == "fasta":
        return code("download_task", download.FASTA)
    return code("download_task")


# Inputs of classifier.smk -------------------------------------------------------------


def encoder_entry(wildcards):
    """Give what of an encoder's entry a model is read with: neither source nor training."""
    entry = config["encoders"][wildcards.encoder]
    apart = ("source", "training", "pretraining")
    truth = {"truth": known_truth(wildcards)} if is_truth(wildcards.encoder) else {}
    return {key: value for key, value in entry.items() if key not in apart} | truth


def scratch_entry(wildcards):
    """Give what an encoder is trained from scratch with."""
    entry = config["encoders"][wildcards.encoder]
    return {key: entry[key] for key in ("kind", "architecture", "pretraining")}


def caches_features(wildcards):
    """Tell whether a head of ours is trained on features that are made once."""
    entry = config["encoders"][wildcards.encoder]
    return entry.get("frozen", False) and entry.get("train") != "none"


def input_check(wildcards):
    """Name the report that the encoder can read the task; some read the bases themselves."""
    if config["encoders"][wildcards.encoder]["kind"] in ("cnn", "planted"):
        return []
    return f"{SEQUENCE}/input_check.json"


def baseline_data(wildcards):
    """Name the splits a baseline is trained on, with their features where those are cached."""
    if config["encoders"][wildcards.encoder].get("train") == "none":
        return {}
    data = {
        split: f"<results>/data/{wildcards.task}/{split}.parquet"
        for split in ("train", "dev")
    }
    if caches_features(wildcards):
        data |= {
            f"{split}_features": f"{SEQUENCE}/embeddings/{split}.safetensors".format(
                **wildcards
            )
            for split in ("train", "dev")
        }
    return data


def test_features(wildcards):
    """Name the cached features of the test split; none where the encoder is trained."""
    if not caches_features(wildcards):
        return {}
    return {
        "test_features": f"{SEQUENCE}/embeddings/test.safetensors".format(**wildcards)
    }


def gpus(wildcards):
    """Count the GPUs that work on a model is worth: none where its features are cached."""
    return 0 if caches_features(wildcards) else 1


# Inputs of attack.smk -----------------------------------------------------------------


def attack_shards(wildcards):
    """Name the shards of one attack on one split, in order; none where one job is enough."""
    n = shards(wildcards)
    if n == 1:
        return []
    place = (
        f"{SEQUENCE}/seed{{seed}}/{{stage}}/attacks/{{attack}}/{split_of(wildcards)}"
    )
    place = place.format(**wildcards)
    return [f"{place}/shard{shard}.parquet" for shard in range(n)]


def attack_seeds(wildcards):
    """Give the seeds of an attack on `{split}`; adversaries to train on take one."""
    seeds = config["sampling"]["attack_seeds"]
    return [min(seeds)] if split_of(wildcards) == "train" else seeds


# The files of further motifs; what is lost of them is counted in every mode.
MOTIFS = named(setting("constraints/motifs/jaspar"))


def variant_files(wildcards):
    """List the file of variants that an attack is restricted to."""
    entry = config["attacks"][wildcards.attack]
    return named([entry["path"]]) if entry["kind"] == "variants" else []


def tss_index(wildcards):
    """Give the position of a task's transcription start site, None where it has none."""
    return config["tasks"][wildcards.task].get("tss_index")


def oracle_options():
    """Give what the oracle of a search is made with."""
    names = ("precision", "batching", "batch_size")
    return {name: config["compute"][name] for name in names}


# Inputs of audit.smk ------------------------------------------------------------------


def exact_oracle_options():
    """Give what the oracle of a certificate is made with; its precision is always fp32."""
    names = ("batching", "batch_size")
    return {name: config["compute"][name] for name in names}


def transferred_attacks(wildcards):
    """Name the baseline attacks whose adversaries a model is asked about.

    Those on all encoders for its own task, itself included, and those on its own encoder
    for the other tasks of as many classes. The same rows divided otherwise are no other
    task: the model was trained on many of them. What flips the truth is no adversary.
    """
    own = config["tasks"][wildcards.task]
    pairs = [
        (wildcards.task, encoder) for encoder in configuration.trained_encoders(config)
    ]
    pairs += [
        (task, wildcards.encoder)
        for task in config["run"]["tasks"]
        if config["tasks"][task]["n_classes"] == own["n_classes"]
        and config["tasks"][task]["source"] != own["source"]
    ]
    attack = config["attacks"][wildcards.attack]["attack"]
    table = f"{SEQUENCE}/seed{wildcards.seed}/baseline/attacks/{attack}/test.parquet"
    return [table.format(task=task, encoder=encoder) for task, encoder in pairs]


def attacks_on_model(wildcards):
    """Name the tables of all attacks in DNA space on one model's test sequences."""
    return expand(
        f"{SEQUENCE}/seed{{seed}}/{{stage}}/attacks/{{attack}}/test.parquet",
        attack=attacks_of(*configuration.DNA_KINDS),
        **wildcards,
    )


def latent_tables(wildcards):
    """Name the tables of all attacks in embedding space on one model."""
    return expand(
        f"{SEQUENCE}/seed{{seed}}/{{stage}}/latent/{{attack}}.parquet",
        attack=attacks_of(*configuration.LATENT_KINDS),
        **wildcards,
    )
