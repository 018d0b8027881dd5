"""Iterative adversarial training: attack, train, measure, attack afresh, round after round."""

DEFENCE = f"{SEQUENCE}/seed{{seed}}/{{defence}}"
ROUND = f"{DEFENCE}/round{{round}}"


# Its own small file, so that a threshold which changes trains nothing again.
checkpoint decide_round:
    input:
        attack=decision_attack,
        metrics=decision_metrics,
    output:
        decision=f"{ROUND}/decision.json",
    log:
        "<logs>/decide_round/{task}.{encoder}.seed{seed}.{defence}.round{round}.log",
    priority: FIRST
    localrule: True
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        convergence=convergence,
        code=code("decide_round"),
    script:
        "../scripts/decide_round.py"


rule harden:
    input:
        unpack(round_data),
        unpack(test_features),
        model=of_previous("model.safetensors"),
        description=of_previous("model.json"),
        encoder=encoder_files,
        sample=clean_sample,
        attacks=adversaries,
        motifs=MOTIFS,
        test="<results>/data/{task}/test.parquet",
    output:
        model=f"{ROUND}/model.safetensors",
        description=f"{ROUND}/model.json",
        metrics=f"{ROUND}/metrics.json",
        predictions=f"{ROUND}/predictions.parquet",
    log:
        "<logs>/harden/{task}.{encoder}.seed{seed}.{defence}.round{round}.log",
    benchmark:
        "<results>/benchmarks/harden/{task}.{encoder}.seed{seed}.{defence}.round{round}.tsv"
    priority: FIRST
    conda:
        "../../envs/sequence.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=60,
    params:
        encoder=encoder_entry,
        hardening=round_options,
        batch_size=setting("compute/batch_size"),
        constraints=setting("constraints"),
        tss_index=tss_index,
        code=code_with("harden", encoder=True),
    script:
        "../scripts/harden.py"


# The model of a round is asked about the baseline's adversaries in the same job.
use rule attack as attack_round with:
    input:
        model=f"{STAGE}/model.safetensors",
        description=f"{STAGE}/model.json",
        encoder=encoder_files,
        sample=f"{SEQUENCE}/samples/test.parquet",
        shards=attack_shards,
        motifs=MOTIFS,
        variants=variant_files,
        baseline=f"{BASELINE}/attacks/{{attack}}/test.parquet",
    output:
        table=f"{STAGE}/attacks/{{attack}}/test.parquet",
        replay=f"{STAGE}/replay/{{attack}}.parquet",
    log:
        "<logs>/attack/{task}.{encoder}.seed{seed}.{stage}.{attack}.test.log",
    benchmark:
        "<results>/benchmarks/attack/{task}.{encoder}.seed{seed}.{stage}.{attack}.test.tsv"
    wildcard_constraints:
        stage="[A-Za-z0-9_-]+/round[1-9][0-9]*",


# The other way round, so that no model is asked about more adversaries than the other.
rule reverse_replay:
    input:
        model=f"{SEQUENCE}/seed{{seed}}/baseline/model.safetensors",
        description=f"{SEQUENCE}/seed{{seed}}/baseline/model.json",
        encoder=encoder_files,
        attacks=[f"{ROUND}/attacks/{{attack}}/test.parquet"],
    output:
        table=f"{ROUND}/reverse_replay/{{attack}}.parquet",
    log:
        "<logs>/reverse_replay/{task}.{encoder}.seed{seed}.{defence}.round{round}.{attack}.log",
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=60,
    params:
        encoder=encoder_entry,
        batch_size=setting("compute/batch_size"),
        code=code_with("transfer", encoder=True),
    script:
        "../scripts/transfer.py"


rule gather_rounds:
    input:
        unpack(rounds_of_defence),
    output:
        rounds=f"{DEFENCE}/rounds.parquet",
        outcomes=f"{DEFENCE}/outcomes.parquet",
    log:
        "<logs>/gather_rounds/{task}.{encoder}.seed{seed}.{defence}.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        defence=defence_options,
        transfers_count=transfers_count,
        code=code("gather_rounds"),
    script:
        "../scripts/gather_rounds.py"
