"""Colours stay apart for eyes without red or green cones, and text stands out."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from genosiege.figures import style

# Machado, Oliveira & Fernandes (2009), IEEE Trans. Vis. Comput. Graph. 15, 1291-1298, table 1,
# severity 1.0: linear RGB as a dichromat sees it.
SIGHT = {
    "full": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def seen(colour: str, sight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the Lab coordinates of a colour as a kind of sight has it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(sight @ linear, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(rgb[None, None])[0, 0]


def contrast(colour: str) -> float:
    return 1.05 / (style.luminance(np.array(to_rgb(colour))) + 0.05)


@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_colours_of_the_palette_are_told_apart(sight):
    palette = [*style.COLOURS, style.BLACK]

    close = {
        (one, other): difference
        for one, other in combinations(palette, 2)
        if (difference := deltaE_ciede2000(seen(one, SIGHT[sight]), seen(other, SIGHT[sight]))) < 10
    }

    assert close == {}


def test_twelve_attacks_differ_in_each_property_and_the_first_eight_are_as_ever() -> None:
    looks = list(style.looks([f"attack{number:02d}" for number in range(12)]).values())

    for property_of in zip(*looks, strict=True):
        assert len(set(property_of)) == 12
    assert style.BLACK not in {look.colour for look in looks}
    # Figures of fewer attacks stay as they were.
    assert [look.colour for look in looks[:8]] == [
        "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255", "#603000",
    ]  # fmt: skip
    assert "".join(look.marker for look in looks[:8]) == "os^DvPX<"


@pytest.mark.parametrize("colour", style.COLOURS)
def test_no_line_is_too_pale_on_white(colour: str) -> None:
    assert contrast(colour) > 2.2


def test_a_dichromat_confuses_what_the_palette_avoids():
    vermilion, olive = (seen(colour, SIGHT["protanopia"]) for colour in ("#D55E00", "#777711"))

    assert deltaE_ciede2000(vermilion, olive) < 1


@pytest.mark.parametrize("colour", [*style.COLOURS, style.GREY, style.BLACK])
def test_text_in_a_colour_of_the_palette_stands_out_from_white(colour):
    assert contrast(style.ink(colour)) >= 4.5


def test_text_that_is_dark_enough_keeps_its_colour():
    assert style.ink("#000000") == "#000000"
    assert contrast("#FFFFFF") == pytest.approx(1)
