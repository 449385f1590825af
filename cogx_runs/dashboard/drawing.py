"""Pages of an overview as animated pictures: clips in rows and columns, with heads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from cogx_runs.dashboard.matrix import Matrix, Page

WIDTH_PX = 960
"""Most width of a page."""
MOST_SIDE_PX, LEAST_SIDE_PX = 240, 72
"""Longer side of a clip."""
GAP_PX = 6
LINE_PX = 21
TEXT_PX = 17
MARGIN_PX = 12
MOST_HEAD_PX = 150
"""Most width of the heads of rows."""
PAPER, INK, FAINT, EMPTY, WRONG = "#ffffff", "#1f2328", "#667078", "#eef0f2", "#b3261e"
"""The colours of a page; it has its own paper, so that it reads the same on MLflow's light and dark one."""

FONT = ImageFont.load_default(TEXT_PX)
Clip = Sequence[Image.Image]
"""Frames of one clip, as many as the page has moments."""


@dataclass(frozen=True)
class Shown:
    """What is drawn in the place of a cell."""

    clip: Clip = ()
    said: str = ""
    """In the place of a clip that is not there: why."""
    is_wrong: bool = False
    """Whether the cell has failed, or its video is degenerate."""
    below: str = ""
    """The line below it: its score."""


def draw_page(page: Page, cells: Mapping[str, Shown], moments: int) -> list[Image.Image]:
    """Draws the frames of a page, `moments` of them; `cells` are by run id. Clips keep their shape."""
    blocks = [_Block(matrix, cells) for matrix in page]
    width = max(2 * MARGIN_PX + 260, *(block.width for block in blocks))
    # At least a square: MLflow shows pictures in squares, and centres wider ones below the fold.
    height = max(width, MARGIN_PX + sum(block.height for block in blocks) + MARGIN_PX)
    still = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(still)
    placed: list[tuple[tuple[int, int], Clip]] = []
    top = MARGIN_PX
    for block in blocks:
        placed += block.draw(draw, top)
        top += block.height
    frames = []
    for moment in range(moments):
        frame = still.copy()
        for place, clip in placed:
            frame.paste(clip[moment], place)
        frames.append(frame)
    return frames


class _Block:
    """One matrix on a page."""

    def __init__(self, matrix: Matrix, cells: Mapping[str, Shown]) -> None:
        self._matrix, self._cells = matrix, cells
        heads = max(FONT.getlength(part) for row in matrix.rows for part in row.head.split(", "))
        self._left = MARGIN_PX + (min(MOST_HEAD_PX, int(heads) + 2 * GAP_PX) if any(r.head for r in matrix.rows) else 0)
        clips = [cells[cell.run_id].clip for cell in matrix.cells]
        shapes = [clip[0].size for clip in clips if clip] or [(4, 3)]
        ratio = max(height / width for width, height in shapes)
        room = (WIDTH_PX - self._left - MARGIN_PX) // matrix.width - GAP_PX
        self.clip_width = max(LEAST_SIDE_PX, min(MOST_SIDE_PX, room, int(MOST_SIDE_PX / ratio)))
        self._clip_height = round(self.clip_width * ratio)
        self._captions = LINE_PX * max(
            (len(_lines(c, self.clip_width)) for r in matrix.rows for c in r.captions), default=0
        )
        self._row = self._captions + self._clip_height + LINE_PX + GAP_PX
        self._head = LINE_PX * (1 + bool(matrix.columns))
        self.width = self._left + matrix.width * (self.clip_width + GAP_PX) - GAP_PX + MARGIN_PX
        self.height = self._head + GAP_PX + len(matrix.rows) * self._row

    def draw(self, draw: ImageDraw.ImageDraw, top: int) -> list[tuple[tuple[int, int], Clip]]:
        """Draws all that stands still; returns the places of the clips."""
        draw.text((MARGIN_PX, top), fitted(self._matrix.title, self.width - 2 * MARGIN_PX), FAINT, FONT)
        for column, head in enumerate(self._matrix.columns):
            x = self._left + column * (self.clip_width + GAP_PX)
            draw.text((x, top + LINE_PX), fitted(head, self.clip_width), INK, FONT)
        placed = []
        for number, row in enumerate(self._matrix.rows):
            y = top + self._head + GAP_PX + number * self._row
            lines = _lines(row.head, self._left - MARGIN_PX - GAP_PX)
            for line, text in enumerate(lines[: max(1, self._row // LINE_PX)]):
                draw.text((MARGIN_PX, y + line * LINE_PX), text, INK if line == 0 else FAINT, FONT)
            for column, cell in enumerate(row.cells):
                x = self._left + column * (self.clip_width + GAP_PX)
                if row.captions:
                    for line, text in enumerate(_lines(row.captions[column], self.clip_width)):
                        draw.text((x, y + line * LINE_PX), text, INK, FONT)
                if cell is None:
                    continue
                shown = self._cells[cell.run_id]
                place = (x, y + self._captions)
                if shown.clip:
                    placed.append((place, self._scaled(shown.clip)))
                else:
                    self._draw_text(draw, place, shown)
                below = (x, place[1] + self._clip_height + 1)
                draw.text(below, fitted(shown.below, self.clip_width), WRONG if shown.is_wrong else FAINT, FONT)
        return placed

    def _draw_text(self, draw: ImageDraw.ImageDraw, place: tuple[int, int], shown: Shown) -> None:
        x, y = place
        draw.rectangle((x, y, x + self.clip_width - 1, y + self._clip_height - 1), EMPTY)
        most = max(1, (self._clip_height - GAP_PX) // LINE_PX)
        for line, text in enumerate(_lines(shown.said, self.clip_width - 2 * GAP_PX)[:most]):
            colour = WRONG if shown.is_wrong else FAINT
            draw.text((x + GAP_PX, y + GAP_PX + line * LINE_PX), text, colour, FONT)

    def _scaled(self, clip: Clip) -> Clip:
        width, height = clip[0].size
        scale = min(self.clip_width / width, self._clip_height / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return clip if clip[0].size == size else [frame.resize(size, Image.Resampling.BILINEAR) for frame in clip]


def _lines(text: str, width_px: int) -> list[str]:
    """Breaks a text at its blanks into lines of this width."""
    lines: list[str] = []
    for word in text.split():
        if lines and FONT.getlength(f"{lines[-1]} {word}") <= width_px:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [fitted(line, width_px) for line in lines]


def fitted(text: str, width_px: float) -> str:
    """Cuts a text that is wider."""
    if FONT.getlength(text) <= width_px:
        return text
    while text and FONT.getlength(f"{text}…") > width_px:
        text = text[:-1]
    return f"{text}…"
