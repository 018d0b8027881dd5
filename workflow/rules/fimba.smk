"""The expression arm: models, FIMBA, the VAE, poisoning, adversarial training, other attacks."""


rule train_expression_model:
    input:
        train=f"{DATASET}/train.parquet",
        dev=f"{DATASET}/dev.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        model=f"{EXPRESSION}/model.bin",
        description=f"{EXPRESSION}/model.json",
        metrics=f"{EXPRESSION}/metrics.json",
        predictions=f"{EXPRESSION}/predictions.parquet",
        out_of_fold=f"{EXPRESSION}/out_of_fold.parquet",
    log:
        "<logs>/train_expression_model/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/train_expression_model/{dataset}.{model}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=gpus_of_model,
        mem_mb=8000,
        runtime=240,
    params:
        model=setting("models/{model}"),
        folds=setting("fimba/folds"),
        whole_groups=keeps_groups_whole,
        code=with_model("train_expression_model"),
    script:
        "../scripts/train_expression_model.py"


rule rank_features:
    input:
        model=f"{EXPRESSION}/model.bin",
        description=f"{EXPRESSION}/model.json",
        train=f"{DATASET}/train.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        importance=f"{EXPRESSION}/importance.parquet",
        of_samples=f"{EXPRESSION}/sample_importance.safetensors",
    log:
        "<logs>/rank_features/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/rank_features/{dataset}.{model}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=gpus_of_model,
        mem_mb=8000,
        runtime=240,
    params:
        fimba=ranking_options,
        code=with_model("rank_features"),
    script:
        "../scripts/rank_features.py"


rule fimba:
    input:
        model=f"{EXPRESSION}/model.bin",
        description=f"{EXPRESSION}/model.json",
        predictions=f"{EXPRESSION}/predictions.parquet",
        out_of_fold=f"{EXPRESSION}/out_of_fold.parquet",
        importance=f"{EXPRESSION}/importance.parquet",
        of_samples=f"{EXPRESSION}/sample_importance.safetensors",
        train=f"{DATASET}/train.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        attacked=f"{EXPRESSION}/fimba.parquet",
        smallest_k=f"{EXPRESSION}/smallest_k.parquet",
    log:
        "<logs>/fimba/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/fimba/{dataset}.{model}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=gpus_of_model,
        mem_mb=8000,
        runtime=480,
    params:
        fimba=setting("fimba"),
        code=with_model("fimba"),
    script:
        "../scripts/fimba.py"


rule train_vae:
    input:
        train=f"{DATASET}/train.parquet",
        dev=f"{DATASET}/dev.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        model=f"{VAE}/model.safetensors",
        description=f"{VAE}/model.json",
    log:
        "<logs>/train_vae/{dataset}.seed{seed}.fraction{fraction}.log",
    benchmark:
        "<results>/benchmarks/train_vae/{dataset}.seed{seed}.fraction{fraction}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        vae=vae_training,
        code=code("train_vae"),
    script:
        "../scripts/train_vae.py"


rule evade:
    input:
        model=f"{EXPRESSION}/model.bin",
        description=f"{EXPRESSION}/model.json",
        out_of_fold=f"{EXPRESSION}/out_of_fold.parquet",
        predictions=f"{EXPRESSION}/predictions.parquet",
        importance=f"{EXPRESSION}/importance.parquet",
        of_samples=f"{EXPRESSION}/sample_importance.safetensors",
        vaes=of_vaes("model.safetensors"),
        vae_descriptions=of_vaes("model.json"),
        train=f"{DATASET}/train.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        table=f"{EXPRESSION}/evasion.parquet",
    log:
        "<logs>/evade/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/evade/{dataset}.{model}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=gpus_with_vaes,
        mem_mb=8000,
        runtime=240,
    params:
        fimba=evasion_options,
        fractions=setting("vae/fractions"),
        code=with_model("evade"),
    script:
        "../scripts/evade.py"


rule poison:
    input:
        model=f"{EXPRESSION}/model.bin",
        description=f"{EXPRESSION}/model.json",
        out_of_fold=f"{EXPRESSION}/out_of_fold.parquet",
        vaes=of_vaes("model.safetensors"),
        vae_descriptions=of_vaes("model.json"),
        train=f"{DATASET}/train.parquet",
        dev=f"{DATASET}/dev.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        table=f"{EXPRESSION}/poisoning.parquet",
    log:
        "<logs>/poison/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/poison/{dataset}.{model}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=gpus_with_vaes,
        mem_mb=8000,
        runtime=480,
    params:
        poisoning=section_options("poisoning"),
        fractions=setting("vae/fractions"),
        code=with_model("poison"),
    script:
        "../scripts/poison.py"


rule harden_expression_model:
    input:
        model=f"{EXPRESSION}/model.bin",
        description=f"{EXPRESSION}/model.json",
        train=f"{DATASET}/train.parquet",
        dev=f"{DATASET}/dev.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        table=f"{EXPRESSION}/hardening.parquet",
    log:
        "<logs>/harden_expression_model/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/harden_expression_model/{dataset}.{model}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=gpus_of_model,
        mem_mb=8000,
        runtime=480,
    params:
        hardening=section_options("expression_hardening"),
        code=with_model("harden_expression_model"),
    script:
        "../scripts/harden_expression_model.py"


rule compare_attacks:
    input:
        model=f"{EXPRESSION}/model.bin",
        description=f"{EXPRESSION}/model.json",
        importance=f"{EXPRESSION}/importance.parquet",
        train=f"{DATASET}/train.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        table=f"{EXPRESSION}/comparison.parquet",
    log:
        "<logs>/compare_attacks/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/compare_attacks/{dataset}.{model}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=gpus_of_model,
        mem_mb=8000,
        runtime=480,
    params:
        comparison=section_options("comparison"),
        code=with_model("compare_attacks"),
    script:
        "../scripts/compare_attacks.py"
