"""The frame of a page that stands alone: one look, and nothing from the network."""

import html

_FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 1rem; }}
h1 {{ font-size: 1.1rem; margin: 0 0 .2rem; }}
p {{ margin: 0 0 .8rem; color: #555; }}
{style}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{note}</p>
{content}
</body>
</html>
"""


def render(title: str, note: str, style: str, content: str) -> str:
    """Give a whole page.

    Parameters
    ----------
    title, note : str
        Heading, and what to know of the page; plain text.
    style, content : str
        Further CSS, and the HTML below the note; both go in as they are.
    """
    return _FRAME.format(
        title=html.escape(title), note=html.escape(note), style=style, content=content
    )
