"""One picture of many temperature fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

SIDE, GAP, CAPTION = 260, 28, 26  # pixels: of a panel, between panels, below a panel
LEFT, TOP, BAR = 130, 130, 150  # pixels: room for the labels of rows, for the title, for the colour bar
WIDEST_TEXT = 680  # pixels: what the line below the title needs, with its margins
INK, GREY, PAPER, GOOD, WRONG = "#1c1c28", "#5d5d6c", "#ffffff", "#1a7f37", "#c62828"
LEVELS = (0.1, 0.25, 0.5, 0.75)  # of the contour lines: parts of a panel's hottest point
TICKS = (0, 0.1, 0.5, 1, 2, 5, 10, 20, 50)  # of the scale: temperatures
# From black over purple and orange to pale yellow: brighter is hotter, in grey and to colour-blind eyes as well.
COLOURS = np.array(
    [
        *[(0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85)],
        *[(227, 89, 51), (249, 140, 10), (249, 201, 50), (252, 255, 164)],
    ],
    dtype=float,
)

Field = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One field.

    Args:
        row: the label of the row that it stands in.
        column: the label of its column.
        caption: what is written below it.
        good: whether that is good news.
        field: the temperature that was computed; shape (y, x).
        exact: the temperature that it must be; same shape.
    """

    row: str
    column: str
    caption: str
    good: bool
    field: Field
    exact: Field


def draw(path: str, title: str, panels: Sequence[Panel]) -> None:
    """Write a PNG file with one panel per field, in rows and columns by their labels, on one scale of colours.

    Args:
        path: the file.
        title: what stands above.
        panels: at least one.
    """
    rows = list(dict.fromkeys(panel.row for panel in panels))
    columns = list(dict.fromkeys(panel.column for panel in panels))
    width = max(LEFT + len(columns) * (SIDE + GAP) + BAR, WIDEST_TEXT)
    height = TOP + len(rows) * (SIDE + CAPTION + GAP)
    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((LEFT, 28), title, INK, ImageFont.load_default(30))
    lines = ", ".join(f"{level:.0%}" for level in LEVELS)
    pen.text(
        (LEFT, 68), f"Colour: computed. Lines: exact, at {lines} of the maximum.", GREY, ImageFont.load_default(16)
    )
    hottest = max(float(panel.field.max()) for panel in panels)
    for panel in panels:
        x = LEFT + columns.index(panel.column) * (SIDE + GAP)
        y = TOP + rows.index(panel.row) * (SIDE + CAPTION + GAP)
        image.paste(render(panel, hottest), (x, y))
        colour = GOOD if panel.good else WRONG
        pen.text((x + SIDE / 2, y + SIDE + 8), panel.caption, colour, ImageFont.load_default(15), anchor="mt")
    for number, label in enumerate(columns):
        x = LEFT + number * (SIDE + GAP) + SIDE // 2
        pen.text((x, TOP - 8), label, INK, ImageFont.load_default(17), anchor="mb")
    for number, label in enumerate(rows):
        y = TOP + number * (SIDE + CAPTION + GAP) + SIDE // 2
        pen.text((LEFT - 14, y), label, INK, ImageFont.load_default(17), anchor="rm")
    corner = (LEFT + len(columns) * (SIDE + GAP) + 20, TOP)
    draw_scale(image, corner, height - TOP - CAPTION - GAP, hottest)
    image.save(path)


def render(panel: Panel, hottest: float) -> Image.Image:
    """Return a field in colours, with the contour lines of what it must be; y points up."""
    pixels = coloured(enlarged(panel.field) / hottest)
    exact = enlarged(panel.exact)
    slope = np.hypot(*np.gradient(exact)) + 1e-12 * hottest
    for level in LEVELS:
        distance = np.abs(exact - level * exact.max()) / slope  # from the line, in pixels
        alpha = 0.8 * np.clip(1.1 - distance, 0, 1)[..., np.newaxis]
        pixels = (1 - alpha) * pixels + alpha * 255
    return Image.fromarray(pixels[::-1].round().astype(np.uint8))


def enlarged(field: Field) -> Field:
    """Return a field with one value per pixel."""
    size = (SIDE, SIDE)
    return np.asarray(Image.fromarray(field.astype(np.float32)).resize(size, Image.Resampling.BICUBIC), dtype=float)


def coloured(values: Field) -> Field:
    """Return the colours of values between 0 and 1; one axis more, of length 3."""
    # The square root shows the faint as well as the hot.
    place = np.sqrt(np.clip(np.nan_to_num(values), 0, 1))
    stops = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(place, stops, COLOURS[:, channel]) for channel in range(3)], axis=-1)


def draw_scale(image: Image.Image, corner: tuple[int, int], height: int, hottest: float) -> None:
    """Draw the bar that says which colour is which temperature."""
    x, y = corner
    width = 22
    # Colours go with the square root of the temperature: even along the bar, so that round ticks are not.
    places = np.linspace(1, 0, height)[:, np.newaxis] ** 2
    bar = np.repeat(coloured(places), width, axis=1)
    image.paste(Image.fromarray(bar.round().astype(np.uint8)), corner)
    pen = ImageDraw.Draw(image)
    pen.text((x, y - 8), "temperature", INK, ImageFont.load_default(15), anchor="lb")
    for temperature in TICKS:
        if temperature <= hottest:
            tick = y + (1 - np.sqrt(temperature / hottest)) * (height - 1)
            pen.line([(x + width, tick), (x + width + 6, tick)], INK)
            pen.text((x + width + 10, tick), f"{temperature:g}", INK, ImageFont.load_default(15), anchor="lm")
