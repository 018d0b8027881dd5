"""From a prepared task to a trained and measured model."""

BASELINE = f"{SEQUENCE}/seed{{seed}}/baseline"


rule train_encoder:
    input:
        train="<results>/data/{task}/train.parquet",
        dev="<results>/data/{task}/dev.parquet",
    output:
        weights=f"{SEQUENCE}/encoder.safetensors",
        architecture=f"{SEQUENCE}/encoder.json",
        tokenizer=f"{SEQUENCE}/tokenizer.json",
    log:
        "<logs>/train_encoder/{task}.{encoder}.log",
    benchmark:
        "<results>/benchmarks/train_encoder/{task}.{encoder}.tsv"
    priority: FIRST
    conda:
        "../../envs/sequence.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=240,
    params:
        encoder=scratch_entry,
        n_classes=setting("tasks/{task}/n_classes"),
        code=code("train_encoder"),
    script:
        "../scripts/train_encoder.py"


rule tokenize_task:
    input:
        encoder=encoder_files,
        train="<results>/data/{task}/train.parquet",
        dev="<results>/data/{task}/dev.parquet",
        test="<results>/data/{task}/test.parquet",
    output:
        train=f"{SEQUENCE}/tokens/train.safetensors",
        dev=f"{SEQUENCE}/tokens/dev.safetensors",
        test=f"{SEQUENCE}/tokens/test.safetensors",
        check=f"{SEQUENCE}/input_check.json",
    log:
        "<logs>/tokenize_task/{task}.{encoder}.log",
    priority: FIRST
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        encoder=encoder_entry,
        n_classes=setting("tasks/{task}/n_classes"),
        code=code_with("tokenize_task", encoder=True),
    script:
        "../scripts/tokenize_task.py"


rule embed:
    input:
        encoder=encoder_files,
        train=f"{SEQUENCE}/tokens/train.safetensors",
        dev=f"{SEQUENCE}/tokens/dev.safetensors",
        test=f"{SEQUENCE}/tokens/test.safetensors",
        train_table="<results>/data/{task}/train.parquet",
        dev_table="<results>/data/{task}/dev.parquet",
        test_table="<results>/data/{task}/test.parquet",
    output:
        train=f"{SEQUENCE}/embeddings/train.safetensors",
        dev=f"{SEQUENCE}/embeddings/dev.safetensors",
        test=f"{SEQUENCE}/embeddings/test.safetensors",
    log:
        "<logs>/embed/{task}.{encoder}.log",
    benchmark:
        "<results>/benchmarks/embed/{task}.{encoder}.tsv"
    priority: FIRST
    conda:
        "../../envs/sequence.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=480,
    params:
        encoder=encoder_entry,
        n_classes=setting("tasks/{task}/n_classes"),
        batch_size=setting("compute/batch_size"),
        code=code_with("embed", encoder=True),
    script:
        "../scripts/embed.py"


rule fine_tune:
    input:
        unpack(baseline_data),
        check=input_check,
        encoder=encoder_files,
    output:
        model=f"{BASELINE}/model.safetensors",
        description=f"{BASELINE}/model.json",
    log:
        "<logs>/fine_tune/{task}.{encoder}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/fine_tune/{task}.{encoder}.seed{seed}.tsv"
    priority: FIRST
    conda:
        "../../envs/sequence.yaml"
    threads: 2
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=480,
    params:
        encoder=encoder_entry,
        training=setting("encoders/{encoder}/training", None),
        n_classes=setting("tasks/{task}/n_classes"),
        code=code_with("fine_tune", encoder=True),
    script:
        "../scripts/fine_tune.py"


rule evaluate:
    input:
        unpack(test_features),
        model=f"{BASELINE}/model.safetensors",
        description=f"{BASELINE}/model.json",
        encoder=encoder_files,
        test="<results>/data/{task}/test.parquet",
    output:
        metrics=f"{BASELINE}/metrics.json",
        predictions=f"{BASELINE}/predictions.parquet",
    log:
        "<logs>/evaluate/{task}.{encoder}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/evaluate/{task}.{encoder}.seed{seed}.tsv"
    priority: FIRST
    conda:
        "../../envs/sequence.yaml"
    threads: 2
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=60,
    params:
        encoder=encoder_entry,
        batch_size=setting("compute/batch_size"),
        code=code_with("evaluate", encoder=True),
    script:
        "../scripts/evaluate.py"
