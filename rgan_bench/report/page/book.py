"""What all parts of a page share: looks, the places of runs, and how much may be embedded."""

import base64
import contextlib
import io
from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from rgan_bench.report.cells import Table
from rgan_bench.report.figures.palette import Look, looks
from rgan_bench.report.runs import Run

SIDE = 640  # pixels of a picture that is made smaller
AS_THEY_ARE = 250_000  # bytes of one that need not be; at half the side a quarter of them
MOST_PIXELS = 30_000_000  # of one that is unpacked at all


@dataclass
class Book:
    """
    Attributes:
        room: bytes of pictures that may still be embedded.
        left_out: how many pictures there was no room for.
    """

    tables: list[Table]
    room: int = 8_000_000
    left_out: int = 0

    @cached_property
    def looks(self) -> dict[str, Look]:
        return looks(self.tables)

    @cached_property
    def ids(self) -> dict[str, str]:
        """Run's folder → its place on the page."""
        folders = dict.fromkeys(str(run.folder) for table in self.tables for run in table.runs)
        return {folder: f"run-{number}" for number, folder in enumerate(folders, 1)}

    def id_of(self, run: Run) -> str:
        return self.ids[str(run.folder)]

    def picture(self, content: bytes, side: int = SIDE) -> str | None:
        """A PNG as a data: URL, made smaller if it is large; None: there is no room, or it is no picture.

        Args:
            side: pixels that a picture which is made smaller has at most.
        """
        with contextlib.suppress(Exception):  # Pillow raises almost anything
            kind = "png"
            if len(content) > AS_THEY_ARE * (side / SIDE) ** 2:
                content, kind = smaller(content, side), "jpeg"
            if len(content) > self.room:
                self.left_out += 1
                return None
            self.room -= len(content)
            return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        return None


def smaller(content: bytes, side: int) -> bytes:
    """
    Raises:
        ValueError: it is too large to be unpacked.
    """
    found = Image.open(io.BytesIO(content), formats=["PNG"])
    if found.width * found.height > MOST_PIXELS:
        raise ValueError("too large")
    picture = found.convert("RGB")
    picture.thumbnail((side, side))
    made = io.BytesIO()
    picture.save(made, "JPEG", quality=88)
    return made.getvalue()
