"""One colour and one mark per loss, the same in every figure. Imports no matplotlib.

The colours were searched for: each has a contrast of 3:1 or more with the page behind it, as WCAG asks of what a
graphic must be understood by, and any two stay apart for eyes without red, green or blue cones. Where colours fail, on
paper in black and white, the marks differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from rgan_bench.report.cells import Table

# Of the paper's losses, in its order: (on white, in the dark).
COLOURS = {
    "sgan": ("#635bef", "#babdfd"),
    "rsgan": ("#249cc5", "#bcfefe"),
    "rasgan": ("#cc120c", "#fd7602"),
    "lsgan": ("#297253", "#55b1a1"),
    "ralsgan": ("#763b9a", "#9d88fb"),
    "hinge": ("#30017a", "#8838f4"),
    "rahinge": ("#c98500", "#f3fc58"),
    "wgangp": ("#3e0f32", "#96568a"),
    "rsgan_gp": ("#612302", "#ca461d"),
    "rasgan_gp": ("#139674", "#77e0a1"),
}
BACKGROUNDS = ("#ffffff", "#16181c")
# Matplotlib's names of the marks, by slot.
MARKS = "os^DvPX<>*"
# The same losses in another form: their colour, dashed.
KIN = {"spectral_sgan": "sgan", "rasgan_v1": "rasgan", "ralsgan_v1": "ralsgan"}

INK = len(COLOURS)  # the slot of lines that are no loss's: in the colour of the text, on the page alone


@dataclass(frozen=True)
class Look:
    """
    Attributes:
        slot: of a colour and a mark.
        dashed: its lines; the slot is then another loss's too.
    """

    slot: int
    dashed: bool = False

    @property
    def light(self) -> str:
        return list(COLOURS.values())[self.slot][0]

    @property
    def mark(self) -> str:
        return MARKS[self.slot]


def looks(tables: Iterable[Table]) -> dict[str, Look]:
    """Row → its look in all figures of these tables.

    The paper's losses always have the same. Others take, in the order of their names, what no loss here has; once all
    are taken, they share, with dashed lines.
    """
    rows = dict.fromkeys(row for table in tables for row in table.rows if any(c.cells[row].runs for c in table.columns))
    slots = {name: slot for slot, name in enumerate(COLOURS)}
    found = {row: Look(slots[row]) for row in rows if row in slots}
    found |= {row: Look(slots[KIN[row]], dashed=True) for row in rows if row in KIN}
    free = [slot for slot in slots.values() if slot not in {look.slot for look in found.values()}]
    for index, row in enumerate(sorted(set(rows) - set(found))):
        found[row] = Look(free[index]) if index < len(free) else Look(index % len(slots), dashed=True)
    return found
