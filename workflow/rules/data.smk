"""From a source to checked files: tasks and encoders."""

from genosiege.data import download


localrules:
    download_task,
    fetch_encoder,


def local_table(wildcards):
    """Name the local file of a split, so that a changed file is read again.

    One that is absent is left to the job, which says so in one line.
    """
    source = config["tasks"][wildcards.task]["source"]
    if source["kind"] != "path":
        return []
    path = source["path"].replace("{split}", wildcards.split)
    return [path] if os.path.isfile(path) else []


def own_names(wildcards):
    """Map the splits of a local task to the user's own files, which errors name."""
    source = config["tasks"][wildcards.task]["source"]
    if source["kind"] != "path":
        return {}
    return {
        split: source["path"].replace("{split}", split)
        for split in ["train", "dev", "test"]
    }


def local_encoder(wildcards):
    """List what a local folder has of an encoder's files; see `local_table`."""
    source = config["encoders"][wildcards.encoder]["source"]
    if source["kind"] != "path":
        return []
    paths = [os.path.join(source["path"], name) for name in download.ENCODER_FILES]
    return [path for path in paths if os.path.isfile(path)]


def download_code(wildcards):
    """List the code of a download; a change of the simulation refetches nothing else."""
    kind = config["tasks"][wildcards.task]["source"]["kind"]
    return code("download_task", *["genosiege.data.simulate"] * (kind == "simulate"))


rule download_task:
    input:
        local=local_table,
        code=download_code,
    output:
        table="resources/tasks/{task}/{split}.csv",
    log:
        "<logs>/download_task/{task}.{split}.log",
    conda:
        "../../envs/download.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        source=lookup("tasks/{task}/source", within=config),
        rows=lookup("tasks/{task}/rows/{split}", within=config, default=None),
    script:
        "../scripts/download_task.py"


rule prepare_task:
    input:
        train="resources/tasks/{task}/train.csv",
        dev="resources/tasks/{task}/dev.csv",
        test="resources/tasks/{task}/test.csv",
        code=code("prepare_task"),
    output:
        train="<results>/data/{task}/train.parquet",
        dev="<results>/data/{task}/dev.parquet",
        test="<results>/data/{task}/test.parquet",
        card="<results>/data/{task}/card.json",
    log:
        "<logs>/prepare_task/{task}.log",
    benchmark:
        "<results>/benchmarks/prepare_task/{task}.tsv"
    conda:
        "../../envs/download.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        n_classes=lookup("tasks/{task}/n_classes", within=config),
        ambiguous=lookup("tasks/{task}/ambiguous", within=config),
        train_samples=lookup("sampling/train_samples", within=config),
        eval_samples=lookup("sampling/eval_samples", within=config),
        names=own_names,
    script:
        "../scripts/prepare_task.py"


rule fetch_encoder:
    input:
        local=local_encoder,
        code=code("fetch_encoder"),
    output:
        folder=directory("resources/encoders/{encoder}"),
    log:
        "<logs>/fetch_encoder/{encoder}.log",
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        source=lookup("encoders/{encoder}/source", within=config),
    script:
        "../scripts/fetch_encoder.py"
