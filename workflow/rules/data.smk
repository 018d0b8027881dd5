"""From a source to checked files: tasks and encoders."""


rule download_task:
    input:
        local=local_table,
    output:
        table="resources/tasks/{task}/{split}.csv",
    log:
        "<logs>/download_task/{task}.{split}.log",
    priority: FIRST
    localrule: True
    conda:
        "../../envs/download.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        source=setting("tasks/{task}/source"),
        rows=setting("tasks/{task}/rows/{split}", None),
        encoding=fasta_encoding,
        code=download_code,
    script:
        "../scripts/download_task.py"


rule prepare_task:
    input:
        train="resources/tasks/{task}/train.csv",
        dev="resources/tasks/{task}/dev.csv",
        test="resources/tasks/{task}/test.csv",
    output:
        train="<results>/data/{task}/train.parquet",
        dev="<results>/data/{task}/dev.parquet",
        test="<results>/data/{task}/test.parquet",
        card="<results>/data/{task}/card.json",
    log:
        "<logs>/prepare_task/{task}.log",
    benchmark:
        "<results>/benchmarks/prepare_task/{task}.tsv"
    priority: FIRST
    conda:
        "../../envs/download.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        n_classes=setting("tasks/{task}/n_classes"),
        reading=reading_options,
        split=setting("tasks/{task}/split"),
        leakage=setting("tasks/{task}/leakage"),
        # Together: Snakemake would not see two parameters change places.
        samples={
            "train_samples": setting("sampling/train_samples"),
            "eval_samples": setting("sampling/eval_samples"),
        },
        names=own_names,
        code=code("prepare_task"),
    script:
        "../scripts/prepare_task.py"


rule fetch_encoder:
    input:
        local=local_encoder,
    output:
        folder=directory("resources/encoders/{encoder}"),
    log:
        "<logs>/fetch_encoder/{encoder}.log",
    localrule: True
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        source=setting("encoders/{encoder}/source"),
        code=code("fetch_encoder"),
    script:
        "../scripts/fetch_encoder.py"


rule download_expression:
    input:
        local=local_part,
    output:
        file="resources/datasets/{dataset}/{part}",
    log:
        "<logs>/download_expression/{dataset}.{part}.log",
    localrule: True
    conda:
        "../../envs/download.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        source=setting("datasets/{dataset}/{part}"),
        code=part_code,
    script:
        "../scripts/download_expression.py"


rule prepare_expression:
    input:
        unpack(dataset_parts),
    output:
        train=f"{DATASET}/train.parquet",
        dev=f"{DATASET}/dev.parquet",
        test=f"{DATASET}/test.parquet",
        genes=f"{DATASET}/genes.parquet",
        card=f"{DATASET}/card.json",
    log:
        "<logs>/prepare_expression/{dataset}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/prepare_expression/{dataset}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=240,
    params:
        dataset=dataset_entry,
        own=own_parts,
        code=dataset_code,
    script:
        "../scripts/prepare_expression.py"
