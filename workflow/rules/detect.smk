"""Detection: whether attacked data can be told from natural data, and by whom it is evaded."""


rule compare_spectra:
    input:
        model=f"{EXPRESSION}/model.bin",
        description=f"{EXPRESSION}/model.json",
        out_of_fold=f"{EXPRESSION}/out_of_fold.parquet",
        predictions=f"{EXPRESSION}/predictions.parquet",
        importance=f"{EXPRESSION}/importance.parquet",
        of_samples=f"{EXPRESSION}/sample_importance.safetensors",
        train=f"{DATASET}/train.parquet",
        dev=f"{DATASET}/dev.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        ssim=f"{EXPRESSION}/ssim.parquet",
        spectra=f"{EXPRESSION}/spectra.parquet",
    log:
        "<logs>/compare_spectra/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/compare_spectra/{dataset}.{model}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=gpus_of_model,
        mem_mb=8000,
        runtime=240,
    params:
        fimba=moving_options("values", "k", "t"),
        ssim=setting("detection/ssim"),
        code=with_model("compare_spectra"),
    script:
        "../scripts/compare_spectra.py"


rule detect_expression:
    input:
        unpack(detector_vae),
        model=f"{EXPRESSION}/model.bin",
        description=f"{EXPRESSION}/model.json",
        out_of_fold=f"{EXPRESSION}/out_of_fold.parquet",
        predictions=f"{EXPRESSION}/predictions.parquet",
        importance=f"{EXPRESSION}/importance.parquet",
        of_samples=f"{EXPRESSION}/sample_importance.safetensors",
        train=f"{DATASET}/train.parquet",
        dev=f"{DATASET}/dev.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        table=f"{EXPRESSION}/detection.parquet",
    log:
        "<logs>/detect_expression/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/detect_expression/{dataset}.{model}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=gpus_with_vaes,
        mem_mb=8000,
        runtime=480,
    params:
        fimba=moving_options("values", "k", "t"),
        evasion=decoding_options,
        detection=expression_detectors,
        fraction=largest_fraction,
        code=with_model("detect_expression", *detector_modules("expression")),
    script:
        "../scripts/detect_expression.py"


rule evade_expression_detectors:
    input:
        unpack(detector_vae),
        model=f"{EXPRESSION}/model.bin",
        description=f"{EXPRESSION}/model.json",
        out_of_fold=f"{EXPRESSION}/out_of_fold.parquet",
        importance=f"{EXPRESSION}/importance.parquet",
        of_samples=f"{EXPRESSION}/sample_importance.safetensors",
        train=f"{DATASET}/train.parquet",
        dev=f"{DATASET}/dev.parquet",
        test=f"{DATASET}/test.parquet",
    output:
        table=f"{EXPRESSION}/adaptive.parquet",
    log:
        "<logs>/evade_expression_detectors/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "<results>/benchmarks/evade_expression_detectors/{dataset}.{model}.seed{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    threads: 1
    resources:
        gpu=gpus_with_vaes,
        mem_mb=8000,
        runtime=480,
    params:
        fimba=moving_options("neighbours"),
        detection=adaptive_expression,
        code=with_model("evade_expression_detectors", *detector_modules("expression")),
    script:
        "../scripts/evade_expression_detectors.py"


rule detect_sequence:
    input:
        unpack(natural_features),
        model=f"{STAGE}/model.safetensors",
        description=f"{STAGE}/model.json",
        encoder=encoder_files,
        train="<results>/data/{task}/train.parquet",
        dev="<results>/data/{task}/dev.parquet",
        sample=f"{SEQUENCE}/samples/test.parquet",
        attacks=detected_attacks,
        motifs=MOTIFS,
    output:
        table=f"{STAGE}/detection.parquet",
        spectra=f"{STAGE}/spectra.parquet",
    log:
        "<logs>/detect_sequence/{task}.{encoder}.seed{seed}.{stage}.log",
    benchmark:
        "<results>/benchmarks/detect_sequence/{task}.{encoder}.seed{seed}.{stage}.tsv"
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        encoder=encoder_entry,
        detection=sequence_detectors,
        constraints=setting("constraints"),
        tss_index=tss_index,
        batch_size=setting("compute/batch_size"),
        code=code_with("detect_sequence", *detector_modules("sequence"), encoder=True),
    script:
        "../scripts/detect_sequence.py"


rule evade_sequence_detectors:
    input:
        unpack(natural_features),
        model=f"{STAGE}/model.safetensors",
        description=f"{STAGE}/model.json",
        encoder=encoder_files,
        train="<results>/data/{task}/train.parquet",
        dev="<results>/data/{task}/dev.parquet",
        sample=f"{SEQUENCE}/samples/test.parquet",
        motifs=MOTIFS,
    output:
        table=f"{STAGE}/adaptive.parquet",
    log:
        "<logs>/evade_sequence_detectors/{task}.{encoder}.seed{seed}.{stage}.log",
    benchmark:
        "<results>/benchmarks/evade_sequence_detectors/{task}.{encoder}.seed{seed}.{stage}.tsv"
    conda:
        "../../envs/sequence.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=1440,
    params:
        encoder=encoder_entry,
        detection=adaptive_sequence,
        constraints=setting("constraints"),
        tss_index=tss_index,
        compute=oracle_options(),
        batch_size=setting("compute/batch_size"),
        code=code_with(
            "evade_sequence_detectors", *detector_modules("sequence"), encoder=True
        ),
    script:
        "../scripts/evade_sequence_detectors.py"


rule make_detection_tables:
    input:
        cards=of_datasets("card.json"),
        expression=detected_models("detection.parquet"),
        expression_adaptive=detected_models("adaptive.parquet"),
        ssim=detected_models("ssim.parquet"),
        expression_spectra=detected_models("spectra.parquet"),
        sequence=detected_baselines("detection.parquet"),
        sequence_adaptive=detected_baselines("adaptive.parquet"),
        sequence_spectra=detected_baselines("spectra.parquet"),
    output:
        # Thousands of rows each: for programs, not for pages.
        detection=csv_file("detection", "Detection", "Detectors"),
        roc=csv_file("roc", "Detection", "ROC"),
        spectra=csv_file("spectra", "Detection", "Spectra"),
        best_detector=csv_file("best_detector", "Detection", "Best detector"),
        best_detector_page=page("best_detector", "Detection", "Best detector"),
        adaptive=csv_file("adaptive", "Detection", "Adaptive attacker"),
        adaptive_page=page("adaptive", "Detection", "Adaptive attacker"),
        ssim=csv_file("ssim", "Detection", "SSIM against its nulls"),
        ssim_page=page("ssim", "Detection", "SSIM against its nulls"),
    log:
        "<logs>/make_detection_tables.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        tails=setting("detection/tails"),
        code=code("make_detection_tables"),
    script:
        "../scripts/make_detection_tables.py"


rule draw_detection:
    input:
        detection="<results>/tables/detection.csv",
        roc="<results>/tables/roc.csv",
        adaptive="<results>/tables/adaptive.csv",
        ssim="<results>/tables/ssim.csv",
        spectra="<results>/tables/spectra.csv",
    output:
        spectra=detection_figure("spectra", "Spectra", "spectra_figure"),
        ssim=detection_figure("ssim", "SSIM against its nulls", "ssim_figure"),
        roc=detection_figure("roc", "ROC", "roc_figure"),
        undetected=detection_figure(
            "undetected", "Undetected success", "undetected_figure"
        ),
        detectability=detection_figure(
            "detectability", "Detectors", "detectability_figure"
        ),
        tradeoff=detection_figure("tradeoff", "Adaptive attacker", "tradeoff_figure"),
    log:
        "<logs>/draw_detection.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        code=code("draw_detection"),
    script:
        "../scripts/draw_detection.py"
