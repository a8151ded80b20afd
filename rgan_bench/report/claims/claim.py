"""What a claim is, and what was found on it."""

from dataclasses import dataclass, field
from typing import Any

from rgan_bench.report.writers import markdown_escape

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


@dataclass(frozen=True)
class Finding:
    """One comparison.

    Attributes:
        text: what was compared, and the numbers.
        missing: what would decide it; empty where it is decided.
    """

    state: str
    text: str
    missing: str = ""


@dataclass(frozen=True)
class Claim:
    name: str
    statement: str
    findings: list[Finding] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """Of a claim about every case: one against it contradicts it, and only all of them support it."""
        states = [finding.state for finding in self.findings]
        if CONTRADICTED in states:
            return CONTRADICTED
        return SUPPORTED if states and UNDECIDED not in states else UNDECIDED

    @property
    def count(self) -> str:
        states = [finding.state for finding in self.findings]
        return ", ".join(f"{kind} in {states.count(kind)}" for kind in (SUPPORTED, CONTRADICTED, UNDECIDED))


def claims_text(claims: list[Claim]) -> str:
    """Markdown. Claims on which the runs say nothing come last, in short, unless there is no other."""
    touched = [claim for claim in claims if claim.findings] or claims
    parts = []
    for claim in touched:
        lines = [f"### {claim.state}: {claim.statement}", ""]
        if len(claim.findings) > 1:
            lines += [f"{len(claim.findings)} comparisons: {claim.count}.", ""]
        lines += [
            f"- {each.state}: {each.text}" + (f". Missing: {each.missing}" if each.missing else "")
            for each in claim.findings
        ]
        lines += [f"- missing: {text}" for text in claim.missing]
        parts.append("\n".join(map(markdown_escape, lines)) + "\n")
    rest = [f"- {claim.statement}. Missing: {'; '.join(claim.missing)}" for claim in claims if claim not in touched]
    if rest:
        parts.append("\n".join(map(markdown_escape, ["### nothing at hand on:", "", *rest])) + "\n")
    return "\n".join(parts)


def claims_data(claims: list[Claim]) -> list[dict[str, Any]]:
    """For JSON."""
    return [
        {
            "claim": claim.name,
            "statement": claim.statement,
            "state": claim.state,
            "findings": [vars(each) for each in claim.findings],
            "missing": claim.missing,
        }
        for claim in claims
    ]
