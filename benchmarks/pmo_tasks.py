"""The twenty tasks of PMO that need RDKit alone: each a function from a canonical SMILES to a score, 0 to 1.

Brown et al., GuacaMol, J. Chem. Inf. Model. 59 (2019) 1096; Gao et al., PMO, NeurIPS 2022, with the oracles as they
were fixed since: fingerprints are sparse counts, and hydrogens count in a sum formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

from rdkit.Chem import Mol, MolFromSmarts

from seqtutor import SequenceTerm
from seqtutor_molecules.kinds import Formula, Similarity
from seqtutor_molecules.properties import aromatic_rings, complexity, logp, qed, ring_count, tpsa
from seqtutor_molecules.structures import molecule

Score = Callable[[str], float]

# Each with its sum formula, which the tests compare.
TARGETS: dict[str, tuple[str, str]] = {
    "albuterol": ("CC(C)(C)NCC(O)c1ccc(O)c(CO)c1", "C13H21NO3"),
    "amlodipine": ("CCOC(=O)C1=C(COCCN)NC(C)=C(C(=O)OC)C1c1ccccc1Cl", "C20H25ClN2O5"),
    "camphor": ("CC1(C)C2CCC1(C)C(=O)C2", "C10H16O"),
    "celecoxib": ("Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1", "C17H14F3N3O2S"),
    "fexofenadine": ("CC(C)(C(=O)O)c1ccc(C(O)CCCN2CCC(C(O)(c3ccccc3)c3ccccc3)CC2)cc1", "C32H39NO4"),
    "hop": ("CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C", "C22H24N4O3S2"),
    "menthol": ("CC(C)C1CCC(C)CC1O", "C10H20O"),
    "mestranol": ("COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1", "C21H26O2"),
    "osimertinib": ("COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc1nccc(-c2cn(C)c3ccccc23)n1", "C28H33N7O2"),
    "perindopril": ("CCCC(NC(C)C(=O)N1C(C(=O)O)CC2CCCCC21)C(=O)OCC", "C19H32N2O5"),
    "ranolazine": ("COc1ccccc1OCC(O)CN1CCN(CC(=O)Nc2c(C)cccc2C)CC1", "C24H33N3O4"),
    "sildenafil": ("CCCc1nn(C)c2c(=O)[nH]c(-c3cc(S(=O)(=O)N4CCN(C)CC4)ccc3OCC)nc12", "C22H30N6O4S"),
    "sitagliptin": ("NC(CC(=O)N1CCn2c(nnc2C(F)(F)F)C1)Cc1cc(F)c(F)cc1F", "C16H15F6N5O"),
    "tadalafil": ("CN1CC(=O)N2C(Cc3c([nH]c4ccccc34)C2c2ccc3c(c2)OCO3)C1=O", "C22H19N3O4"),
    "thiothixene": ("CN1CCN(CCC=C2c3ccccc3Sc3ccc(S(=O)(=O)N(C)C)cc32)CC1", "C23H29N3O2S2"),
    "troglitazone": ("Cc1c(C)c2c(c(C)c1O)CCC(C)(COc1ccc(CC3SC(=O)NC3=O)cc1)O2", "C24H27NO5S"),
    "zaleplon": ("CCN(C(C)=O)c1cccc(-c2ccnc3c(C#N)cnn23)c1", "C17H15N5O"),
}
CORE = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"
SULFONE, THIAZOLE = "CS([#6])(=O)=O", "[#7]-c1ccc2ncsc2c1"
CHAIN = f"[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-{THIAZOLE}"
BIPHENYL = "CN(C=O)Cc1ccc(c2ccccc2)cc1"


def clip(value: float, upper: float) -> float:
    """Value / upper, at most 1.

    >>> clip(0.3, 0.75), clip(0.9, 0.75)
    (0.4, 1.0)
    """
    return min(value / upper, 1.0)


def gauss(value: float, mean: float, width: float) -> float:
    """1 at the mean, less on both sides.

    >>> round(gauss(3, 2, 1), 4)
    0.6065
    """
    return math.exp(-0.5 * ((value - mean) / width) ** 2)


def at_most(value: float, mean: float, width: float) -> float:
    """1 up to the mean, less above: MinGauss.

    >>> at_most(1, 2, 1), round(at_most(3, 2, 1), 4)
    (1.0, 0.6065)
    """
    return gauss(max(value, mean), mean, width)


def at_least(value: float, mean: float, width: float) -> float:
    """1 from the mean on, less below: MaxGauss.

    >>> at_least(3, 2, 1), round(at_least(1, 2, 1), 4)
    (1.0, 0.6065)
    """
    return gauss(min(value, mean), mean, width)


def geometric(*scores: float) -> float:
    """The geometric mean.

    >>> geometric(0.25, 1.0)
    0.5
    """
    return math.prod(scores) ** (1 / len(scores))


@cache
def near(target: str, fingerprint: str) -> Score:
    """The similarity to a target, by counts."""
    return one(Similarity(smiles=[TARGETS[target][0]], fingerprint=fingerprint).term("near"))


@cache
def isomer(formula: str) -> Score:
    """The nearness to a sum formula."""
    return one(Formula(formula=formula).term("isomer"))


def one(term: SequenceTerm) -> Score:
    """A term of the domain as a function of one SMILES."""
    return lambda smiles: float(term.values([smiles])[0])


@cache
def pattern(smarts: str) -> Mol:
    return MolFromSmarts(smarts)


def holds(smiles: str, smarts: str) -> bool:
    return bool(molecule(smiles).HasSubstructMatch(pattern(smarts)))


def fluorines(smiles: str) -> int:
    return sum(atom.GetSymbol() == "F" for atom in molecule(smiles).GetAtoms())


def albuterol_similarity(smiles: str) -> float:
    return clip(near("albuterol", "fcfp4")(smiles), 0.75)


def amlodipine_mpo(smiles: str) -> float:
    return geometric(near("amlodipine", "ecfp4")(smiles), gauss(ring_count(smiles), 3, 0.5))


def celecoxib_rediscovery(smiles: str) -> float:
    return near("celecoxib", "ecfp4")(smiles)


def deco_hop(smiles: str) -> float:
    parts = (not holds(smiles, SULFONE), not holds(smiles, THIAZOLE), holds(smiles, CORE))
    return (clip(near("hop", "pharmacophore")(smiles), 0.85) + sum(parts)) / 4


def fexofenadine_mpo(smiles: str) -> float:
    like = clip(near("fexofenadine", "atom_pairs")(smiles), 0.8)
    return geometric(like, at_least(tpsa(smiles), 90, 10), at_most(logp(smiles), 4, 1))


def isomers_c7h8n2o2(smiles: str) -> float:
    return isomer("C7H8N2O2")(smiles)


def isomers_c9h10n2o2pf2cl(smiles: str) -> float:
    return isomer("C9H10N2O2PF2Cl")(smiles)


def median1(smiles: str) -> float:
    return geometric(near("camphor", "ecfp4")(smiles), near("menthol", "ecfp4")(smiles))


def median2(smiles: str) -> float:
    return geometric(near("tadalafil", "ecfp6")(smiles), near("sildenafil", "ecfp6")(smiles))


def mestranol_similarity(smiles: str) -> float:
    return clip(near("mestranol", "atom_pairs")(smiles), 0.75)


def osimertinib_mpo(smiles: str) -> float:
    like = clip(near("osimertinib", "fcfp4")(smiles), 0.8)
    other = at_most(near("osimertinib", "ecfp6")(smiles), 0.85, 0.1)
    return geometric(like, other, at_least(tpsa(smiles), 100, 10), at_most(logp(smiles), 1, 1))


def perindopril_mpo(smiles: str) -> float:
    return geometric(near("perindopril", "ecfp4")(smiles), gauss(aromatic_rings(smiles), 2, 0.5))


def ranolazine_mpo(smiles: str) -> float:
    like = clip(near("ranolazine", "atom_pairs")(smiles), 0.7)
    rest = (at_least(logp(smiles), 7, 1), at_least(tpsa(smiles), 95, 20), gauss(fluorines(smiles), 1, 1))
    return geometric(like, *rest)


def scaffold_hop(smiles: str) -> float:
    parts = (not holds(smiles, CORE), holds(smiles, CHAIN))
    return (clip(near("hop", "pharmacophore")(smiles), 0.75) + sum(parts)) / 3


def sitagliptin_mpo(smiles: str) -> float:
    unlike = gauss(near("sitagliptin", "ecfp4")(smiles), 0, 0.1)
    return geometric(unlike, *_as_sitagliptin(smiles), isomer("C16H15F6N5O")(smiles))


def thiothixene_rediscovery(smiles: str) -> float:
    return near("thiothixene", "ecfp4")(smiles)


def troglitazone_rediscovery(smiles: str) -> float:
    return near("troglitazone", "ecfp4")(smiles)


def valsartan_smarts(smiles: str) -> float:
    if not holds(smiles, BIPHENYL):
        return 0.0
    goal = complexity(TARGETS["sitagliptin"][0])
    return geometric(1.0, *_as_sitagliptin(smiles), gauss(complexity(smiles), goal, 30))


def zaleplon_mpo(smiles: str) -> float:
    return geometric(near("zaleplon", "ecfp4")(smiles), isomer("C19H17N3O2")(smiles))


def _as_sitagliptin(smiles: str) -> tuple[float, float]:
    """How near logP and TPSA are to those of sitagliptin."""
    target = TARGETS["sitagliptin"][0]
    return gauss(logp(smiles), logp(target), 0.2), gauss(tpsa(smiles), tpsa(target), 5)


TASKS: dict[str, Score] = {
    function.__name__: function
    for function in (
        albuterol_similarity,
        amlodipine_mpo,
        celecoxib_rediscovery,
        deco_hop,
        fexofenadine_mpo,
        isomers_c7h8n2o2,
        isomers_c9h10n2o2pf2cl,
        median1,
        median2,
        mestranol_similarity,
        osimertinib_mpo,
        perindopril_mpo,
        qed,
        ranolazine_mpo,
        scaffold_hop,
        sitagliptin_mpo,
        thiothixene_rediscovery,
        troglitazone_rediscovery,
        valsartan_smarts,
        zaleplon_mpo,
    )
}


def oracle(task: str) -> Callable[[Sequence[str]], list[float]]:
    """A task as a term of a run: a function of texts."""
    score = TASKS[task]
    return lambda texts: [score(text) for text in texts]
