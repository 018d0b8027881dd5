"""Options of detection: defaults, nested sections, and what is refused."""

from typing import Any

import pytest
from refusals import refusal

from genosiege.detection.options import EXPRESSION, SEQUENCE, Adaptive, Detection, Ssim


def test_nothing_given_is_the_default() -> None:
    assert Detection.from_mapping(None) == Detection.from_mapping({}) == Detection()
    assert Detection().expression == EXPRESSION
    assert Detection().sequence == SEQUENCE
    assert Detection().adaptive == Adaptive()
    assert Detection().ssim == Ssim()


def test_sections_are_taken_and_lists_become_tuples() -> None:
    found = Detection.from_mapping(
        {
            "expression": ["vae", "margin"],
            "fit_samples": None,
            "ssim": {"draws": 7},
            "adaptive": {"samples": None, "detectors": ["vae"], "k": [3, "all"], "penalties": []},
        }
    )

    assert found.expression == ("vae", "margin")
    assert found.fit_samples is None
    assert found.ssim == Ssim(draws=7)
    assert found.adaptive == Adaptive(samples=None, detectors=("vae",), k=(3, "all"), penalties=())


def test_an_arm_can_be_left_out() -> None:
    assert Detection.from_mapping({"expression": [], "sequence": []}).expression == ()


def test_the_evaded_detectors_keep_the_order_of_the_arm() -> None:
    assert Adaptive(detectors=("margin", "kmer", "vae")).chosen(EXPRESSION) == ("vae", "margin")
    assert Adaptive().chosen(SEQUENCE) == SEQUENCE


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"expresion": []}, "detection, expresion"),
        ({"expression": ["kmer"]}, 'detection, expression "kmer"'),
        ({"expression": ["vae", "vae"]}, "detection, expression"),
        ({"sequence": ["vae"]}, 'detection, sequence "vae"'),
        ({"sequence": "kmer"}, "detection, sequence"),
        ({"fit_samples": 0}, "detection, fit_samples 0"),
        ({"neighbours": 0}, "detection, neighbours 0"),
        ({"trees": 1.5}, "detection, trees 1.5"),
        ({"kmer": True}, "detection, kmer True"),
        ({"mutants": 0}, "detection, mutants 0"),
        ({"ssim": {"draw": 1}}, "detection, ssim, draw"),
        ({"ssim": {"draws": 0}}, "detection, ssim, draws 0"),
        ({"ssim": {"max_samples": 1}}, "detection, ssim, max_samples 1"),
        ({"adaptive": {"samples": 0}}, "detection, adaptive, samples 0"),
        ({"adaptive": {"detectors": ["fft"]}}, 'detection, adaptive, detectors "fft"'),
        ({"adaptive": {"penalties": [-1]}}, "detection, adaptive, penalties -1"),
        ({"adaptive": {"penalties": [float("nan")]}}, "detection, adaptive, penalties nan"),
        ({"adaptive": {"k": [0]}}, "detection, adaptive, k 0"),
        ({"adaptive": {"k": []}}, "detection, adaptive, k"),
        ({"adaptive": {"k": ["most"]}}, "detection, adaptive, k 'most'"),
        ({"adaptive": {"t": [0]}}, "detection, adaptive, t 0"),
        ({"adaptive": {"t": [1.1]}}, "detection, adaptive, t 1.1"),
        ({"adaptive": {"nearest": 0}}, "detection, adaptive, nearest 0"),
        ({"adaptive": {"query_budget": 0}}, "detection, adaptive, query_budget 0"),
    ],
)
def test_what_is_out_of_range_is_named(given: dict[str, Any], named: str) -> None:
    assert refusal(Detection.from_mapping, given).startswith(named)
