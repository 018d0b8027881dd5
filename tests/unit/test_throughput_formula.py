import importlib.util
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from genosiege.sequence.dnabert2 import DnaBert2


@pytest.mark.parametrize("n_tokens", [1, 37, 70])
def test_the_benchmark_counts_the_operations_that_pytorch_counts(repository, n_tokens, monkeypatch):
    path = repository / "tests" / "bench" / "oracle_throughput.py"
    monkeypatch.syspath_prepend(path.parent)
    specification = importlib.util.spec_from_file_location(path.stem, path)
    bench = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(bench)
    architecture = replace(bench.DNABERT2, num_hidden_layers=2)
    with torch.device("meta"):
        model = DnaBert2(architecture)
        ids = torch.zeros(1, n_tokens, dtype=torch.long)
        model._alibi = torch.zeros(1, 12, n_tokens, n_tokens)

        with FlopCounterMode(display=False) as counter:
            model.eval()(ids)

    assert bench.operations(architecture, n_tokens) == counter.get_total_flops()
