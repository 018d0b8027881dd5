"""Attacks in DNA space: a fixed sample, shards of it, and the final word on each adversary."""

STAGE = f"{SEQUENCE}/seed{{seed}}/{{stage}}"
ATTACK = f"{STAGE}/attacks/{{attack}}/{{split}}"
ATTACK_PARTS = [
    f"genosiege.sequence.{part}" for part in ("search_part", "rescoring_part")
]


rule draw_sample:
    input:
        split="<results>/data/{task}/{split}.parquet",
        apart=kept_apart,
    output:
        sample=f"{SEQUENCE}/samples/{{split}}.parquet",
    log:
        "<logs>/draw_sample/{task}.{encoder}.{split}.log",
    priority: FIRST
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        attack_samples=sample_size,
        setting=sample_setting,
        tss_index=tss_index,
        code=code("draw_sample"),
    script:
        "../scripts/draw_sample.py"


# Where a sample is cut into shards; else the search is a part of the attack.
rule attack_shard:
    input:
        model=f"{STAGE}/model.safetensors",
        description=f"{STAGE}/model.json",
        encoder=encoder_files,
        sample=f"{SEQUENCE}/samples/{{split}}.parquet",
        motifs=MOTIFS,
        variants=variant_files,
    output:
        shard=f"{ATTACK}/shard{{shard}}.parquet",
    log:
        "<logs>/attack/{task}.{encoder}.seed{seed}.{stage}.{attack}.{split}.shard{shard}.log",
    benchmark:
        "<results>/benchmarks/attack/{task}.{encoder}.seed{seed}.{stage}.{attack}.{split}.shard{shard}.tsv"
    # One thread: a search works on small batches, and shards run side by side.
    priority: FIRST
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=1440,
    params:
        encoder=encoder_entry,
        attack=attack_options,
        constraints=setting("constraints"),
        tss_index=tss_index,
        attack_seeds=attack_seeds,
        compute=oracle_options(),
        n_shards=shards,
        code=code_with("attack_shard", encoder=True, attack=True),
    script:
        "../scripts/attack_shard.py"


rule attack:
    input:
        model=f"{STAGE}/model.safetensors",
        description=f"{STAGE}/model.json",
        encoder=encoder_files,
        sample=f"{SEQUENCE}/samples/{{split}}.parquet",
        shards=attack_shards,
        motifs=MOTIFS,
        variants=variant_files,
    output:
        table=f"{ATTACK}.parquet",
    log:
        "<logs>/attack/{task}.{encoder}.seed{seed}.{stage}.{attack}.{split}.log",
    benchmark:
        "<results>/benchmarks/attack/{task}.{encoder}.seed{seed}.{stage}.{attack}.{split}.tsv"
    # Test sequences of a round: `attack_round`.
    wildcard_constraints:
        stage="baseline|[A-Za-z0-9_-]+/round[1-9][0-9]*(?=/attacks/[^/]+/train[.])",
    priority: FIRST
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=1440,
    params:
        encoder=encoder_entry,
        truth=known_truth,
        attack=attack_options,
        constraints=setting("constraints"),
        tss_index=tss_index,
        attack_seeds=attack_seeds,
        compute=oracle_options(),
        batch_size=setting("compute/batch_size"),
        search_code=code_with("attack_shard", encoder=True, attack=True),
        code=code_with("attack", *ATTACK_PARTS, encoder=True, attack=True, truth=True),
    script:
        "../scripts/attack.py"
