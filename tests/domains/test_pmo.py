"""The benchmark of practical molecular optimisation: its tasks by hand, its AUC as it is defined, its table."""

import json
import math
import re
from collections import Counter
from dataclasses import asdict

import pmo
import pmo_tasks
import pytest
from click.testing import CliRunner
from pmo_tasks import TARGETS, TASKS, oracle
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.Chem.rdMolDescriptors import CalcMolFormula
from rdkit.DataStructs import TanimotoSimilarity

from seqtutor_molecules.structures import molecule


def smiles(name):
    return TARGETS[name][0]


def atoms(formula):
    return Counter({element: int(count or 1) for element, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula)})


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_has_its_formula(name):
    assert atoms(CalcMolFormula(molecule(smiles(name)))) == atoms(TARGETS[name][1])


@pytest.mark.parametrize(
    ("task", "target"),
    [
        ("albuterol_similarity", "albuterol"),
        ("celecoxib_rediscovery", "celecoxib"),
        ("mestranol_similarity", "mestranol"),
        ("thiothixene_rediscovery", "thiothixene"),
        ("troglitazone_rediscovery", "troglitazone"),
    ],
)
def test_a_target_is_perfectly_like_itself_and_another_drug_is_not(task, target):
    assert TASKS[task](smiles(target)) == 1.0
    assert TASKS[task](smiles("sitagliptin")) < 0.4


def test_similarity_is_of_sparse_counts():
    print_of = GetMorganGenerator(radius=2).GetSparseCountFingerprint
    a, b = (print_of(molecule(smiles(name))) for name in ("camphor", "menthol"))
    both = TanimotoSimilarity(a, b)
    assert TASKS["median1"](smiles("camphor")) == pytest.approx(math.sqrt(both))
    counts_a, counts_b = Counter(a.GetNonzeroElements()), Counter(b.GetNonzeroElements())
    assert both == pytest.approx((counts_a & counts_b).total() / (counts_a | counts_b).total())


def test_an_isomer_counts_its_hydrogens():
    """An isomer; then a carbon more and two hydrogens fewer, 18 atoms for 19, of which the total has a width of 2."""
    assert TASKS["isomers_c7h8n2o2"]("CC(=O)Nc1ccc(O)cn1") == pytest.approx(1.0)
    assert atoms(CalcMolFormula(molecule("O=C1C(=O)Nc2ncccc2C1"))) == atoms("C8H6N2O2")
    assert TASKS["isomers_c7h8n2o2"]("O=C1C(=O)Nc2ncccc2C1") == pytest.approx(math.exp(-(0.5 + 2 + 0 + 0 + 1 / 8) / 5))


def test_an_isomer_of_many_elements_and_one_that_is_small():
    assert TASKS["isomers_c9h10n2o2pf2cl"]("NN=C(OP(F)F)c1ccc(Cl)c(CO)c1C") == 1.0
    one_off = pmo_tasks.isomer("C2H6O")("CO")  # one carbon and two hydrogens fewer, 6 atoms for 9
    assert one_off == pytest.approx(math.exp(-(0.5 + 2 + 0 + 9 / 8) / 4))


def test_amlodipine_and_perindopril_are_like_themselves_by_the_number_of_their_rings():
    assert TASKS["amlodipine_mpo"](smiles("amlodipine")) == pytest.approx(math.sqrt(math.exp(-2)))  # two rings, not 3
    assert TASKS["perindopril_mpo"](smiles("perindopril")) == pytest.approx(math.sqrt(math.exp(-8)))  # none, not 2


def test_osimertinib_itself_is_too_like_and_too_greasy():
    """Clip 1; ECFP6 1 is .15 above .85 of width .1; TPSA 87.55 of 100; logP 4.51 of 1."""
    tpsa, logp = pmo_tasks.tpsa(smiles("osimertinib")), pmo_tasks.logp(smiles("osimertinib"))
    assert (tpsa, logp) == (pytest.approx(87.55, abs=0.01), pytest.approx(4.51, abs=0.01))
    wanted = math.exp(-0.5 * (1.5**2 + (12.45 / 10) ** 2 + 3.51**2) / 4)
    assert TASKS["osimertinib_mpo"](smiles("osimertinib")) == pytest.approx(wanted, abs=2e-3)


def test_fexofenadine_and_ranolazine_lack_polar_surface_and_fat_of_their_own():
    tpsa, logp = pmo_tasks.tpsa(smiles("fexofenadine")), pmo_tasks.logp(smiles("fexofenadine"))
    wanted = math.exp(-0.5 * (((90 - tpsa) / 10) ** 2 + (logp - 4) ** 2) / 3)
    assert tpsa < 90
    assert logp > 4
    assert TASKS["fexofenadine_mpo"](smiles("fexofenadine")) == pytest.approx(wanted)
    tpsa, logp = pmo_tasks.tpsa(smiles("ranolazine")), pmo_tasks.logp(smiles("ranolazine"))
    wanted = math.exp(-0.5 * (((95 - tpsa) / 20) ** 2 + (7 - logp) ** 2 + 1) / 4)  # no fluorine, not one
    assert TASKS["ranolazine_mpo"](smiles("ranolazine")) == pytest.approx(wanted)


def test_sitagliptin_must_be_unlike_itself():
    assert TASKS["sitagliptin_mpo"](smiles("sitagliptin")) == pytest.approx(math.exp(-50) ** 0.25)


def test_valsartan_wants_its_biphenyl_and_the_figures_of_sitagliptin():
    assert TASKS["valsartan_smarts"](smiles("sitagliptin")) == 0.0
    holding = "CN(C=O)Cc1ccc(-c2ccccc2)cc1"
    logp, tpsa, complexity = (f(holding) for f in (pmo_tasks.logp, pmo_tasks.tpsa, pmo_tasks.complexity))
    wanted = math.exp(
        -0.5 * (((logp - 2.0165) / 0.2) ** 2 + ((tpsa - 77.04) / 5) ** 2 + ((complexity - 896.38) / 30) ** 2) / 4
    )
    assert TASKS["valsartan_smarts"](holding) == pytest.approx(wanted, rel=0.01)


def test_zaleplon_is_another_isomer():
    """C17H15N5O beside C19H17N3O2: C 2, H 2, N 2, O 1 off, 38 atoms for 41."""
    wanted = math.sqrt(math.exp(-(2 + 2 + 2 + 0.5 + 9 / 8) / 5))
    assert TASKS["zaleplon_mpo"](smiles("zaleplon")) == pytest.approx(wanted)


def test_the_hops_count_their_parts():
    assert TASKS["deco_hop"](smiles("hop")) == pytest.approx((1 + 0 + 0 + 1) / 4)
    assert TASKS["scaffold_hop"](smiles("hop")) == pytest.approx((1 + 0 + 1) / 3)
    assert TASKS["scaffold_hop"]("CC") == pytest.approx(1 / 3, abs=0.01)  # no scaffold of the old


def test_median2_and_qed_are_what_they_are_called():
    assert 0.3 < TASKS["median2"](smiles("sildenafil")) < 0.5
    assert TASKS["qed"]("CC(=O)Oc1ccccc1C(=O)O") == pytest.approx(0.55, abs=0.01)


def test_there_are_twenty_tasks_each_with_published_figures():
    assert list(TASKS) == sorted(TASKS, key=list(pmo.OTHERS).index)
    assert set(TASKS) == set(pmo.OTHERS)
    sums = [round(sum(row[k] for row in pmo.OTHERS.values()), 2) for k in range(4)]
    assert sums == [11.59, 11.44, 13.59, 13.91]


def test_an_oracle_answers_text_by_text():
    assert oracle("isomers_c7h8n2o2")(["CC(=O)Nc1ccc(O)cn1", "CC(=O)Nc1ccc(O)cn1"]) == pytest.approx([1.0, 1.0])


# The AUC


def test_the_area_is_by_trapezoids_from_zero():
    """Marks at 2 and 4 of a budget of 4, best one: means 1 and 3; 2 (0 + 1)/2 + 2 (1 + 3)/2 = 5."""
    assert pmo.auc_top([0.5, 1.0, 3.0, 2.0], 4, top=1, every=2) == 5 / 4


def test_the_mean_is_of_the_best_so_far():
    """Best two: after 2 calls (4 + 2)/2 = 3, after 4 (4 + 3)/2 = 3.5."""
    assert pmo.auc_top([4.0, 2.0, 3.0, 0.0], 4, top=2, every=2) == (3.0 + (3.0 + 3.5)) / 4


def test_a_run_that_ends_early_is_extended_flat():
    """Ends after 3 of 6: marks at 2 and 3, then 3 calls at the last mean."""
    assert pmo.auc_top([1.0, 1.0, 2.0], 6, top=1, every=2) == (1.0 + 1.5 + 3 * 2.0) / 6
    assert pmo.auc_top([], 6) == 0.0


def test_calls_beyond_the_budget_are_none():
    assert pmo.auc_top([1.0] * 4 + [9.0], 4, top=1, every=2) == pmo.auc_top([1.0] * 4, 4, top=1, every=2) == 3 / 4


def test_a_perfect_run_comes_to_the_ceiling():
    assert pmo.auc_top([1.0] * 10_000, 10_000) == pytest.approx(0.995)


# The table


PLAIN, ALERT = "CC(C)Cc1ccc(C(C)C(=O)O)cc1", "O=[N+]([O-])c1ccccc1C=O"


def test_what_fails_the_filter_counts_nothing_there():
    assert pmo.passes(PLAIN)
    assert not pmo.passes(ALERT)
    assert not pmo.passes("C" * 30)  # too greasy
    result = pmo.result_of("qed", 0, 200, {}, [(ALERT, 1.0)] * 100 + [(PLAIN, 0.5)] * 100, 1.0)
    assert (result.auc, result.filtered) == (0.75, 0.125)
    assert (result.top, result.passing, result.calls) == (1.0, 0.0, 200)


def a_result(task, seed, auc):
    return pmo.Result(task, seed, 100, {}, 100, auc, auc / 2, auc, 0.5, 3.0, 0.6, 9.0)


def test_the_table_has_means_over_seeds_and_sums_with_and_without_the_tasks_of_development():
    seeds = enumerate((0.91, 0.96, 0.98))
    results = [a_result("qed", seed, auc) for seed, auc in seeds] + [a_result("median1", 0, 0.3)]
    lines = pmo.table(results).splitlines()
    assert lines[2].startswith("| median1 (development) | 1 | 0.300 | 0.150 | 0.356 | 0.294 |")
    assert lines[3].startswith("| qed | 3 | **0.950** (0.910, 0.960, 0.980) | 0.475 | 0.941 |")
    assert lines[4].startswith("| **sum of 2, all of these** | | 1.250 | 0.625 | 1.297 |")
    assert lines[5].startswith("| **sum of 1, test tasks** | | 0.950 | 0.475 | 0.941 |")


def test_a_task_runs_once_and_its_result_is_kept(tmp_path):
    small = [word for name in ("learning_steps=1", "samples=20", "best_of=2") for word in ("--set", name)]
    arguments = ["isomers_c7h8n2o2", "--calls", "40", *small, "--output", str(tmp_path)]
    ran = CliRunner().invoke(pmo.main, arguments, catch_exceptions=False)
    kept = json.loads((tmp_path / "isomers_c7h8n2o2-0.json").read_text())
    assert "isomers_c7h8n2o2, seed 0: AUC" in ran.output
    assert (kept["calls"], kept["settings"]["learning_steps"]) == (40, 1)
    assert asdict(pmo.finished(tmp_path)[0]) == kept
    again = CliRunner().invoke(pmo.main, arguments, catch_exceptions=False)
    assert again.output == ran.output.partition("\n")[2]
    other = CliRunner().invoke(pmo.main, ["isomers_c7h8n2o2", "--calls", "41", "--output", str(tmp_path)])
    assert other.exit_code == 2
    assert "name another folder with --output" in other.output


def test_a_run_that_was_stopped_goes_on_in_its_folder(tmp_path):
    settings = {"learning_steps": 1, "samples": 20, "best_of": 2, "priority": "reward", "vary": 0.5}
    pmo.run_one("median1", 0, 30, settings, tmp_path / "run")
    first = (tmp_path / "run" / "ledger.csv").read_text()
    result = pmo.run_one("median1", 0, 90, settings, tmp_path / "run")
    assert result.calls == 90
    assert (tmp_path / "run" / "ledger.csv").read_text().startswith(first)
