"""What each network was compared with, and the largest difference: `models/proofs.json`.

`make proofs` writes the file from the comparisons that its tests made; `cnnzoo info` and
`docs/networks.md` show it. A proof holds for the graph that it was made with: each row
has that graph's digest, and a test fails where a network has changed since.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from cnnzoo.system import files

PROOFS = Path(__file__).with_name("proofs.json")


@dataclass(frozen=True, order=True)
class Proof:
    """One comparison of a network with an independent definition of it.

    Both had the same random weights, BN statistics included, and the same images.

    Attributes:
        network: Catalog name.
        against: Name of the reference.
        what: Outputs, or parts of a training step, options and image size.
        difference: Largest difference, divided by the largest output, or by the largest
            value of the tensor that it is in.
        bound: Largest difference that the test allows.
    """

    network: str
    against: str
    what: str
    difference: float
    bound: float


@dataclass(frozen=True)
class ProofList:
    """All proofs, and the digest of each network's graph when they were made.

    Attributes:
        graphs: Digest of each network's graph, by catalog name.
        proofs: Every comparison.
    """

    graphs: Mapping[str, str]
    proofs: tuple[Proof, ...]

    def of(self, network: str) -> tuple[Proof, ...]:
        return tuple(proof for proof in self.proofs if proof.network == network)


@cache
def load_proofs() -> ProofList:
    """The proofs that came with this version."""
    content = json.loads(PROOFS.read_text(encoding="utf-8"))
    return ProofList(content["graphs"], tuple(Proof(**row) for row in content["proofs"]))


def summary(network: str) -> str:
    """The references of a network, and the largest difference from each."""
    largest: dict[str, float] = {}
    for proof in load_proofs().of(network):
        largest[proof.against] = max(proof.difference, largest.get(proof.against, 0.0))
    parts = [f"{against}: {difference:.1e}" for against, difference in largest.items()]
    return "; ".join(parts) or "no public reference"


def write(proofs: Iterable[Proof], graphs: Mapping[str, str]) -> None:
    """Replaces the file: one line per proof."""
    lines = ",\n".join(json.dumps(asdict(proof)) for proof in sorted(proofs))
    digests = json.dumps(dict(sorted(graphs.items())), indent=0)
    files.write_text(PROOFS, f'{{"graphs": {digests},\n"proofs": [\n{lines}\n]}}\n')
