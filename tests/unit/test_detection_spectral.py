"""Power spectra, SSIM and the spectral detector, on signals whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal

from genosiege.detection import spectral


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, shape)


def by_loops(signal: np.ndarray) -> tuple[list[float], list[float]]:
    """The definition, one frequency after the other."""
    n = len(signal)
    mean = sum(signal) / n
    powers = []
    for k in range(1, n // 2 + 1):
        found = sum((x - mean) * np.exp(-2j * np.pi * k * i / n) for i, x in enumerate(signal))
        powers.append(abs(found) ** 2 / n)
    return [k / n for k in range(1, n // 2 + 1)], powers


# Spectra ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 8, 31])
def test_a_spectrum_is_that_of_the_definition(n: int) -> None:
    signal = noise(n) + 5

    found = spectral.power_spectrum(signal)

    frequency, power = by_loops(signal)
    np.testing.assert_allclose(found.frequency, frequency, rtol=1e-12)
    np.testing.assert_allclose(found.power, power, rtol=1e-9, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 300), seed=st.integers(0, 10**6), shift=st.floats(-3, 3))
def test_powers_sum_to_the_energy_of_the_signal(n: int, seed: int, shift: float) -> None:
    signal = noise(n, seed=seed) + shift

    power = spectral.power_spectrum(signal).power

    doubled = 2 * power.sum() - (power[-1] if n % 2 == 0 else 0.0)
    assert doubled == pytest.approx(((signal - signal.mean()) ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize("k", [1, 17, 63, 128])
def test_an_added_sine_is_found_at_its_frequency(k: int) -> None:
    natural = noise(400, 256)
    attacked = natural + 0.2 * np.cos(2 * np.pi * k / 256 * np.arange(256) + 0.4)

    joined = [spectral.power_spectrum(values.ravel()) for values in (natural, attacked)]
    rows = [spectral.row_spectra(values).mean(axis=0) for values in (natural, attacked)]

    assert joined[0].frequency[(joined[1].power - joined[0].power).argmax()] == k / 256
    assert spectral.frequencies(256)[(rows[1] - rows[0]).argmax()] == k / 256


def test_float32_is_transformed_in_float64_and_left_as_it_was() -> None:
    values = noise(30, 100).astype(np.float32)
    kept = values.copy()

    np.testing.assert_array_equal(
        spectral.row_spectra(values), spectral.row_spectra(values.astype(np.float64))
    )
    np.testing.assert_array_equal(values, kept)


def test_rows_have_the_spectra_of_single_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    values = noise(7, 21)
    monkeypatch.setattr(spectral, "_CELLS", 50)

    rows = spectral.row_spectra(values)

    assert rows.shape == (7, 10)
    for row, power in zip(values, rows, strict=True):
        np.testing.assert_allclose(spectral.power_spectrum(row).power, power, rtol=1e-12)


def test_the_logarithm_of_no_power_is_that_of_the_floor() -> None:
    assert spectral.log_power(spectral.row_spectra(np.ones((1, 4)))).tolist() == [[-12.0, -12.0]]
    assert spectral.log_power(np.array([100.0])) == pytest.approx(2.0)


def test_too_short_signals_are_refused() -> None:
    assert "two" in refusal(spectral.power_spectrum, np.ones(1))
    assert "one value after the other" in refusal(spectral.power_spectrum, np.ones((2, 2)))


# SSIM -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(7,), (500,), (3, 40), (6, 5), (40, 60)])
def test_ssim_is_that_of_scikit_image(shape: tuple[int, ...]) -> None:
    from skimage.metrics import structural_similarity

    natural, others = noise(*shape), noise(3, *shape, seed=1) + 0.2
    size = {3: 3, 5: 5}.get(min(shape), 7)
    expected = [
        structural_similarity(
            natural, other, win_size=size, data_range=natural.max() - natural.min()
        )
        for other in others
    ]

    assert [spectral.similarity(natural, other) for other in others] == expected
    many = spectral.Reference(natural).similarity(others)
    np.testing.assert_allclose(many, expected, rtol=1e-10)
    assert len(set(expected)) == 3


def test_the_range_is_that_of_the_natural_spectrum() -> None:
    from skimage.metrics import structural_similarity

    natural, attacked = noise(200), 10 * noise(200, seed=1)

    expected = structural_similarity(
        natural, attacked, win_size=7, data_range=natural.max() - natural.min()
    )
    assert spectral.similarity(natural, attacked) == expected
    assert spectral.similarity(attacked, natural) != expected


@pytest.mark.parametrize("shape", [(3000,), (60, 60)])
def test_ssim_of_the_same_is_one_and_of_independent_noise_near_zero(
    shape: tuple[int, ...],
) -> None:
    natural, other = noise(*shape), noise(*shape, seed=1)

    assert spectral.similarity(natural, natural.copy()) == pytest.approx(1.0, abs=1e-12)
    assert abs(spectral.similarity(natural, other)) < 0.1
    np.testing.assert_allclose(
        spectral.Reference(natural).similarity(np.stack([natural, other])),
        [1.0, spectral.similarity(natural, other)],
        rtol=1e-9,
    )


def test_ssim_of_the_spectra_of_independent_noise_is_near_zero() -> None:
    first, second = (
        spectral.log_power(spectral.power_spectrum(noise(8000, seed=seed)).power) for seed in (0, 1)
    )

    assert abs(spectral.similarity(first, second)) < 0.1
    assert spectral.similarity(first, first) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((100,), 7), ((6,), 5), ((5,), 5), ((4,), 3), ((2,), 0), ((8, 3), 3), ((2, 90), 0)],
)
def test_the_window_is_the_largest_odd_one_up_to_seven(shape: tuple[int, ...], size: int) -> None:
    assert spectral.window(shape) == size


def test_a_constant_spectrum_equals_itself_alone() -> None:
    constant = np.ones(20)
    reference = spectral.Reference(constant)

    assert spectral.similarity(constant, constant.copy()) == 1.0
    assert reference.similarity(np.ones((2, 20))).tolist() == [1.0, 1.0]
    assert "constant" in refusal(spectral.similarity, constant, noise(20))
    assert "constant" in refusal(reference.similarity, noise(2, 20))


def test_unequal_shapes_and_too_small_ones_are_refused() -> None:
    assert "differ" in refusal(spectral.similarity, noise(20), noise(21))
    assert "differ" in refusal(spectral.Reference(noise(20)).similarity, noise(2, 21))
    assert "at least" in refusal(spectral.similarity, noise(2, 20), noise(2, 20))
    assert "empty" in refusal(spectral.similarity, np.empty(0), np.empty(0))


# Detector ---------------------------------------------------------------------------


def test_the_score_is_the_mean_squared_z_of_the_log_spectrum() -> None:
    train, rows = noise(50, 20), noise(4, 20, seed=1)
    of_train = spectral.log_power(spectral.row_spectra(train))
    expected = [
        np.mean(
            [
                ((value - np.mean(column)) / np.std(column)) ** 2
                for value, column in zip(log, of_train.T, strict=True)
            ]
        )
        for log in spectral.log_power(spectral.row_spectra(rows))
    ]

    detector = spectral.SpectralDistance().fit(train.astype(np.float64), np.zeros(50, dtype=int))

    np.testing.assert_allclose(detector.score(rows), expected, rtol=1e-10)


def test_a_row_at_a_known_z_has_it_squared() -> None:
    # Two rows of one power each: half the difference of their logarithms is the deviation.
    alternating = np.array([1.0, -1.0, 1.0, -1.0])
    train = np.stack([alternating, 10 * alternating])
    detector = spectral.SpectralDistance().fit(train, np.array([0, 1]))

    # log10 of the power at ½ is 0.6 and 2.6, mean 1.6, deviation 1; that at ¼ is always none.
    scores = detector.score(np.stack([1000 * alternating, alternating]))
    assert scores == pytest.approx([5**2 / 2, 1 / 2], rel=1e-9)


def test_rows_that_do_not_differ_are_a_reference_in_decades() -> None:
    row = np.array([1.0, -1.0, 1.0, -1.0])
    detector = spectral.SpectralDistance().fit(np.stack([row, row, row]), np.zeros(3, dtype=int))

    assert detector.score(row[None])[0] == pytest.approx(0, abs=1e-12)
    assert detector.score(10 * row[None])[0] == pytest.approx((2**2 + 0) / 2, rel=1e-6)
    assert np.isfinite(detector.score(np.zeros((1, 4)))).all()


def test_natural_rows_score_one_and_unlike_ones_more() -> None:
    labels = np.zeros(2000, dtype=int)
    detector = spectral.SpectralDistance().fit(noise(2000, 40), labels)

    fresh = detector.score(noise(2000, 40, seed=1))
    loud = detector.score(5 * noise(2000, 40, seed=2))
    assert fresh.mean() == pytest.approx(1.0, abs=0.05)
    assert (loud > np.quantile(fresh, 0.95)).mean() > 0.95


def test_the_detector_refuses_what_it_cannot_score() -> None:
    detector = spectral.SpectralDistance()
    assert "fit" in refusal(detector.score, noise(2, 6))
    assert "no natural row" in refusal(detector.fit, np.empty((0, 6)), np.empty(0, dtype=int))
    detector.fit(noise(9, 6), np.zeros(9, dtype=int))
    assert "same genes" in refusal(detector.score, noise(2, 7))
