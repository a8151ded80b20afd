"""Tables as a LaTeX document, or as what goes into one."""

import unicodedata

from rgan_bench.report.answers import warning
from rgan_bench.report.cells import Table
from rgan_bench.report.formats import header, line
from rgan_bench.report.verdict import verdict

ESCAPES = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    # In OT1, the encoding of fonts that every installation has, these come out as other characters.
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\ttfamily\char34}",
    # At the start of a row these would be arguments of \\ and \midrule.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "`": "{`}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "→": r"$\to$",
    "—": "---",
    "–": "--",
    "…": r"\dots{}",
}
LIGATURES = ("--", "''", ",,")
ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r", "\u0327": "c"}
ACCENTS |= {"\u030c": "v", "\u0304": "=", "\u0306": "u", "\u0307": ".", "\u030b": "H"}


def latex_escape(text: str) -> str:
    """Any text as LaTeX that prints it and does nothing else, in ASCII."""
    before, parts = "", []
    for character in text:
        # A pair that TeX would make one character of is parted.
        parts.append("{}" * (before + character in LIGATURES) + latex_character(character))
        before = character
    return "".join(parts)


def latex_character(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isspace():
        return " "
    if character.isascii() and character.isprintable():
        return character
    base, *marks = list(unicodedata.normalize("NFD", character))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in ACCENTS:
        return rf"\{ACCENTS[marks[0]]}{{{base}}}"
    return f"U+{ord(character):04X}"  # pdflatex stops at characters that its fonts do not have


def latex(tables: list[Table]) -> str:
    """A document that compiles as it is."""
    lines = [r"\documentclass{article}", r"\usepackage{booktabs,graphicx}"]
    lines += [r"\begin{document}"]
    for table in tables:
        found = verdict(table)
        # For whoever writes the caption: escaped, to be copied into the text.
        lines += [f"% {latex_escape(text)}" for text in (*map(warning, found.warnings), *found.sentences)]
        lines += [r"\begin{table}[ht]", r"\centering", rf"\caption{{{latex_escape(table.title)}}}"]
        lines += [r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"]
        *tabular_lines, end = tabular(table)
        lines += [*tabular_lines, end + "}"]
        lines += [rf"\par\smallskip\footnotesize {latex_escape(note)}" for note in table.notes]
        lines += [r"\end{table}"]
    return "\n".join([*lines, r"\end{document}", ""])


def tabulars(tables: list[Table]) -> str:
    """What goes into a document of one's own, which needs booktabs."""
    return "\n".join("\n".join([f"% {latex_escape(table.title)}", *tabular(table), ""]) for table in tables)


def tabular(table: Table) -> list[str]:
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(header(table)) - 1)}}}", r"\toprule"]
    lines += [" & ".join(map(latex_escape, header(table))) + r" \\", r"\midrule"]
    for row in table.rows:
        texts = map(latex_escape, line(table, row))
        bold = [False] * (1 + len(table.own_keys)) + best_flags(table, row)
        lines += [" & ".join(rf"\textbf{{{t}}}" if b else t for t, b in zip(texts, bold, strict=True)) + r" \\"]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def best_flags(table: Table, row: str) -> list[bool]:
    flags = []
    for column in table.columns:
        flags += [column.cells[row].best] + [False, False] * table.beside_paper
    return flags
