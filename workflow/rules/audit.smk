"""What makes an attack's numbers trustworthy: exact answers, transfer, attacks outside DNA."""


rule certify:
    input:
        model=f"{STAGE}/model.safetensors",
        description=f"{STAGE}/model.json",
        encoder=encoder_files,
        sample=f"{SEQUENCE}/samples/test.parquet",
        motifs=MOTIFS,
    output:
        table=f"{STAGE}/certify.parquet",
    log:
        "<logs>/certify/{task}.{encoder}.seed{seed}.{stage}.log",
    benchmark:
        "<results>/benchmarks/certify/{task}.{encoder}.seed{seed}.{stage}.tsv"
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=1440,
    params:
        encoder=encoder_entry,
        certify=setting("certify"),
        constraints=setting("constraints"),
        tss_index=tss_index,
        compute=exact_oracle_options(),
        code=code_with("certify", encoder=True),
    script:
        "../scripts/certify.py"


rule transfer:
    input:
        model=f"{STAGE}/model.safetensors",
        description=f"{STAGE}/model.json",
        encoder=encoder_files,
        attacks=transferred_attacks,
    output:
        table=f"{STAGE}/transfer/{{attack}}.parquet",
    log:
        "<logs>/transfer/{task}.{encoder}.seed{seed}.{stage}.{attack}.log",
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


rule scan_examples:
    input:
        model=f"{STAGE}/model.safetensors",
        description=f"{STAGE}/model.json",
        encoder=encoder_files,
        attacks=attacks_on_model,
    output:
        scan=f"{STAGE}/mutagenesis.parquet",
        examples=f"{STAGE}/examples.parquet",
    log:
        "<logs>/scan_examples/{task}.{encoder}.seed{seed}.{stage}.log",
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=30,
    params:
        encoder=encoder_entry,
        compute=exact_oracle_options(),
        code=code_with("scan_examples", encoder=True),
    script:
        "../scripts/scan_examples.py"


rule latent_attack:
    input:
        model=f"{STAGE}/model.safetensors",
        description=f"{STAGE}/model.json",
        encoder=encoder_files,
        sample=f"{SEQUENCE}/samples/test.parquet",
    output:
        table=f"{STAGE}/latent/{{attack}}.parquet",
    log:
        "<logs>/latent_attack/{task}.{encoder}.seed{seed}.{stage}.{attack}.log",
    benchmark:
        "<results>/benchmarks/latent_attack/{task}.{encoder}.seed{seed}.{stage}.{attack}.tsv"
    conda:
        "../../envs/sequence.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        encoder=encoder_entry,
        attack=setting("attacks/{attack}"),
        batch_size=setting("compute/batch_size"),
        code=code_with("latent_attack", encoder=True),
    script:
        "../scripts/latent_attack.py"


rule gather_latent:
    input:
        tables=latent_tables,
    output:
        table=f"{STAGE}/latent.parquet",
    log:
        "<logs>/gather_latent/{task}.{encoder}.seed{seed}.{stage}.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("gather_latent"),
    script:
        "../scripts/gather_latent.py"
