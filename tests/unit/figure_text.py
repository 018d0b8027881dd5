"""What can be read in a figure."""

import re
from pathlib import Path

from matplotlib.figure import Figure

from genosiege.figures import style


def text_of(figure: Figure, path: Path) -> str:
    """Save a figure and give its words."""
    style.save(figure, path)
    svg = path.read_text()
    assert "<text" in svg, "letters must stay text, not outlines"
    return " | ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
