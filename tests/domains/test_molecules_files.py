"""Files in, files out, and drawings."""

import gzip
import xml.etree.ElementTree as ElementTree

import pytest
from rdkit import Chem

from seqtutor import UserError, load
from seqtutor_molecules import MoleculesDomain, Options
from seqtutor_molecules.pictures import parts

DOMAIN = MoleculesDomain()
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
TEXTS = [ASPIRIN, "C[C@H](N)C(=O)[O-]", "F/C=C/Cl"]


def reading(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(DOMAIN.read(path))


# --- reading


@pytest.mark.parametrize(
    ("name", "line"), [("bomb.smi.gz", b"C\n"), ("bomb.csv.gz", b"C,\n"), ("bomb.sdf.gz", b"$$$$\n")]
)
def test_a_packed_file_that_expands_without_bound_is_refused(tmp_path, name, line):
    """Of 0.9 MB came 200 MB of lines, and each was read."""
    content = gzip.compress(line * 10_000_000, 1, mtime=0)
    with pytest.raises(UserError, match=r"unpacked .* has more than [\d,]+ bytes, too many for what it is"):
        reading(tmp_path, name, content)


def test_a_text_that_would_take_rdkit_half_a_minute_is_refused_at_once(tmp_path):
    for text in ("C(" * 30_000, "C" * 60_000):
        long, good = reading(tmp_path, "long.smi", f"{text}\nCCO\n")
        assert "it has 60,000 characters; 5,000 is the most that is read" in long.problem
        assert len(long.problem) < 300
        assert good.text == "CCO"


def test_a_record_of_more_atoms_than_any_molecule_is_passed_over(tmp_path):
    n = 30_000  # a ring, which took a minute
    atoms = "".join(f"M  V30 {i + 1} C 0 0 0 0\n" for i in range(n))
    bonds = "".join(f"M  V30 {i + 1} 1 {i + 1} {(i + 1) % n + 1}\n" for i in range(n))
    head = f"\n\n\n  0  0  0  0  0  0            999 V3000\nM  V30 BEGIN CTAB\nM  V30 COUNTS {n} {n} 0 0 0\n"
    table = f"M  V30 BEGIN ATOM\n{atoms}M  V30 END ATOM\nM  V30 BEGIN BOND\n{bonds}M  V30 END BOND\nM  V30 END CTAB\n"
    (line,) = reading(tmp_path, "ring.sdf", f"{head}{table}M  END\n$$$$\n")
    assert line.problem == "it has more than 5,000 atoms, the most that is read"


@pytest.mark.parametrize("above", ["\n\n", "# from ChEMBL 33\n", '\r\n# SMILES, as "they" say\r\n,,\r\n', "\n#\n\n"])
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("a.csv", f"id,SMILES,pIC50\n1,{ASPIRIN},6\n2,CCO,5\n"),
        ("a.smi", f"ID SMILES\n1 {ASPIRIN}\n2 CCO\n"),
        ("a.smi", f"SMILES\tname of it\n{ASPIRIN}\t1\nCCO\t2\n"),
        ("a.csv", f"#smiles,id\n{ASPIRIN},1\nCCO,2\n"),
        ("a.tsv", f"Structure\tid\n{ASPIRIN}\t1\nCCO\t2\n"),
    ],
)
def test_a_header_behind_blank_lines_and_comments_is_one(tmp_path, above, name, rows):
    lines = reading(tmp_path, name, above + rows)
    plain = reading(tmp_path, name, rows)
    down = above.count("\n")
    assert [(line.text, line.name, line.problem) for line in lines] == [
        (line.text, line.name, line.problem) for line in plain
    ]
    assert [line.text for line in lines] == [ASPIRIN, "CCO"]
    assert lines[0].where.startswith(f"{name}:{2 + down}")


def test_lines_of_smiles_with_their_places(tmp_path):
    lines = reading(tmp_path, "mine.smi", f"OCC ethanol 1\n\nC1CC broken\n{ASPIRIN}\tx\n  CCl\nCCO.Cl\n")
    assert [(line.where, line.text) for line in lines] == [
        ("mine.smi:1", "CCO"),
        ("mine.smi:2", None),
        ("mine.smi:3", None),
        ("mine.smi:4", ASPIRIN),
        ("mine.smi:5", "CCl"),
        ("mine.smi:6", None),
    ]
    assert "no SMILES" in lines[1].problem
    assert lines[2].problem == "'C1CC' is no molecule: not well-formed SMILES"
    assert "more than one molecule" in lines[5].problem


def test_one_molecule_is_one_item_however_it_is_written_and_in_whichever_file(tmp_path):
    reading(tmp_path, "a.smi", "OCC\nCCO\nCCC\n")
    lines = [*reading(tmp_path, "b.smi", "C(O)C x\nCCN\n"), *DOMAIN.read(tmp_path)]
    assert [line.text for line in lines] == ["CCO", "CCN", "CCO", None, "CCC", None, "CCN"]
    assert lines[3].problem == "the same molecule as a.smi:1"


def test_a_csv_column_by_name_and_lines_by_number(tmp_path):
    content = '\ufeffSMILES,note,name\r\nOCC,"two\r\nlines",a\r\nC(,,b\r\n,c\r\nc1ccccc1\r\n'
    lines = reading(tmp_path, "mine.CSV", content)
    assert [(line.where, line.text) for line in lines] == [
        ("mine.CSV:2, column SMILES", "CCO"),
        ("mine.CSV:4, column SMILES", None),
        ("mine.CSV:5, column SMILES", None),
        ("mine.CSV:6, column SMILES", "c1ccccc1"),
    ]


ETHER, AMIDE, ACID = "CCOc1ccccc1", "CC(=O)Nc1ccc(O)cc1", "CN1CCCCC1C(=O)O"


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("semi.csv", f"ID;Smiles;pIC50\n0;{ETHER};7.1\n1;{AMIDE};7.1\n", "semi.csv:2, column Smiles"),
        (
            "quoted.csv",
            f'"Mol ID";"Canonical Smiles"\n"a";"{ETHER}"\n"b";"{AMIDE}"\n',
            "quoted.csv:2, column Canonical Smiles",
        ),
        ("canon.csv", f"canonical_smiles,name\n{ETHER},a\n{AMIDE},b\n", "canon.csv:2, column canonical_smiles"),
        ("bare.csv", f'"{ETHER}","WEHI-1"\n"{AMIDE}","WEHI-2"\n', "bare.csv:1, column 1"),
        ("tabs.tsv", f"name\tsmiles\na\t{ETHER}\nb\t{AMIDE}\n", "tabs.tsv:2, column smiles"),
        ("comma.smi", f"{ETHER},ethanol\n{AMIDE},b\n", "comma.smi:1"),
        ("names.smi", f"phenetole {ETHER}\nparacetamol {AMIDE}\n", "names.smi:1, column 2"),
        ("header.smi", f"SMILES name\n{ETHER} a\n{AMIDE} b\n", "header.smi:2"),
        ("latin.smi", f"{ETHER} ph\u00e9n\u00e9tole\n{AMIDE} b\n".encode("latin-1"), "latin.smi:1"),
        (
            "pubchem.csv",
            f"CID,Hit,CanonicalSMILES\n1,N,{ETHER}\n2,N,{AMIDE}\n",
            "pubchem.csv:2, column CanonicalSMILES",
        ),
        ("core.csv", f"core,structure\nc1ccccc1,{ETHER}\nc1ccccc1,{AMIDE}\n", "core.csv:2, column structure"),
        ("flag.csv", f"N,{ETHER}\nN,{AMIDE}\n", "flag.csv:1, column 2"),
        ("stereo.smi", f"smiles\tname\n{ETHER} |&1:1|\ta\n{AMIDE} |atomProp:0.x.1|\tb\n", "stereo.smi:2"),
        (
            "excel.csv",
            f"sep=;\r\nName;SMILES;pIC50\r\na;{ETHER};5,1\r\nb;{AMIDE};6,2\r\n",
            "excel.csv:3, column SMILES",
        ),
        ("packed.smi.gz", gzip.compress(f"{ETHER}\n{AMIDE}\n".encode(), mtime=0), "packed.smi.gz:1"),
    ],
)
def test_the_column_of_smiles_is_found_and_said(tmp_path, name, content, where):
    lines = reading(tmp_path, name, content)
    assert [line.text for line in lines] == [ETHER, AMIDE]
    assert lines[0].where == where


def test_a_byte_that_is_no_text_costs_its_own_line_alone(tmp_path):
    lines = reading(tmp_path, "odd.smi", b"CC\nC\x89C b\nCO\n")
    assert [line.text for line in lines] == ["CC", None, "CO"]
    assert lines[1].problem == "a byte of its SMILES is no UTF-8"


def test_a_packed_file_that_is_torn_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot unpack .*torn\.smi\.gz"):
        reading(tmp_path, "torn.smi.gz", gzip.compress(b"CCO\n" * 99, mtime=0)[:-9])
    with pytest.raises(UserError, match=r"cannot unpack .*plain\.smi\.gz"):
        reading(tmp_path, "plain.smi.gz", b"CCO\n")


@pytest.mark.parametrize(
    ("option", "smiles", "wanted"),
    [
        ("largest_fragment", "CN1CCC(CC1)c1ccccc1.Cl", "CN1CCC(c2ccccc2)CC1"),
        ("neutralise", "CC(=O)[O-]", "CC(=O)O"),
        ("strip_isotopes", "[2H]C([2H])([2H])[13CH2]O", "CCO"),
    ],
)
def test_what_is_read_is_prepared_as_asked(tmp_path, option, smiles, wanted):
    (tmp_path / "a.smi").write_text(f"{smiles}\nC1CC\n")
    plain, bad = load("molecules", {option: True}).read(tmp_path / "a.smi")
    assert plain.text == wanted
    assert bad.text is None


def test_records_of_an_sdf_that_write_made(tmp_path):
    _, sdf = DOMAIN.write(TEXTS, tmp_path)
    assert [line.text for line in DOMAIN.read(sdf)] == TEXTS
    broken = sdf.read_text().replace(" C ", " Qq", 1)
    lines = reading(tmp_path, "broken.sdf", broken)
    assert [line.where for line in lines] == [f"broken.sdf:record {i}" for i in (1, 2, 3)]
    assert [line.text for line in lines] == [None, *TEXTS[1:]]
    assert "cannot read" in lines[0].problem


def test_a_folder_is_all_its_files(tmp_path):
    (tmp_path / "b.smi").write_text("CC\n")
    (tmp_path / "a.txt").write_text("CO\n")
    (tmp_path / "notes.md").write_text("nothing\n")
    assert [(line.where, line.text) for line in DOMAIN.read(tmp_path)] == [("a.txt:1", "CO"), ("b.smi:1", "CC")]


def test_a_file_of_a_folder_that_cannot_be_read_is_left_out_with_the_reason(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"CC\n\0")
    (tmp_path / "b.smi").write_text("CC\n")
    bad, good = DOMAIN.read(tmp_path)
    assert (bad.where, bad.text, good.text) == ("a.csv", None, "CC")
    assert "not a text file" in bad.problem


def test_text_as_a_spreadsheet_writes_it_is_read(tmp_path):
    rows = "smiles\tname\nCCO\tethanol\n"
    for name, encoding in (("le.txt", "utf-16-le"), ("be.txt", "utf-16-be")):
        (tmp_path / name).write_bytes(("\ufeff" + rows).encode(encoding))
        (line,) = DOMAIN.read(tmp_path / name)
        assert (line.text, line.name) == ("CCO", "ethanol")


def test_an_empty_file_has_no_lines(tmp_path):
    assert reading(tmp_path, "empty.smi", "") == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("zeros.txt", b"CC\nCC\n\0\0", r"not a text file \(byte 0x00 in line 3\)"),
        ("mine.csv", "name,weight\na?,7.1\n", r"no column of SMILES, .* \(its first row: name, weight\)"),
        ("empty.csv", "", r"no column of SMILES, by name or by content \(its first row: nothing\)"),
        ("wide.csv", "smiles\n" + "C" * 200_000, r"wide\.csv:2 is longer than 131,072 characters"),
        ("mine.xlsx", b"PK", r"ends in one of \.smi, \.smiles, \.txt, \.csv, \.tsv, \.sdf"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        reading(tmp_path, name, content)


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.smi: No such file"):
        list(DOMAIN.read(tmp_path / "none.smi"))
    with pytest.raises(UserError, match="no molecules in the folder"):
        list(DOMAIN.read(tmp_path))


def test_reading_says_nothing_on_the_screen(tmp_path, capfd):
    reading(tmp_path, "bad.smi", "C(\nC1\nc1cc1\nC(C)(C)(C)(C)C\n")
    reading(tmp_path, "bad.sdf", "nonsense\n\n\nmore\n$$$$\n")
    assert capfd.readouterr() == ("", "")


# --- writing


def test_written_files_are_read_by_rdkit(tmp_path):
    figures = {"reward": [0.5, float("nan"), 0.25]}
    smi, sdf = DOMAIN.write(TEXTS, tmp_path / "run 7" / "hits", figures)
    names = ["run_7-1", "run_7-2", "run_7-3"]
    assert [line.split() for line in smi.read_text().splitlines()] == [
        [text, name] for text, name in zip(TEXTS, names, strict=True)
    ]
    mols = list(Chem.SDMolSupplier(str(sdf)))
    assert [Chem.MolToSmiles(mol) for mol in mols] == TEXTS
    assert [mol.GetProp("_Name") for mol in mols] == names
    assert [mol.GetPropsAsDict().get("reward") for mol in mols] == [0.5, None, 0.25]
    aspirin = mols[0].GetPropsAsDict()
    key = "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"
    assert aspirin == {
        "reward": 0.5,
        "InChIKey": key,
        "SMILES": ASPIRIN,
        "QED": 0.55,
        "SA": 1.58,
        "logP": 1.31,
        "MW": 180.16,
    }
    conformer = mols[0].GetConformer()
    assert not conformer.Is3D()
    assert len({tuple(conformer.GetAtomPosition(i)) for i in range(mols[0].GetNumAtoms())}) == mols[0].GetNumAtoms()


def test_the_key_of_a_molecule_states_no_geometry_that_its_smiles_leaves_open(tmp_path):
    """It was told of the drawing, which has one."""
    DOMAIN.write(["CC=CCN", "C/C=C/CN"], tmp_path)
    keys = [mol.GetProp("InChIKey") for mol in Chem.SDMolSupplier(str(tmp_path / "molecules.sdf"))]
    assert keys == ["QFUSOYKIDBRREL-UHFFFAOYSA-N", "QFUSOYKIDBRREL-NSCUHMNNSA-N"]


def test_nothing_to_write_is_two_empty_files(tmp_path):
    assert [path.read_text() for path in DOMAIN.write([], tmp_path)] == ["", ""]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*file"):
        DOMAIN.write(TEXTS, tmp_path / "file")


# --- drawings


@pytest.mark.parametrize("text", [*TEXTS, "C", "[NH3+]CC[P@@H](=O)c1cc(Br)c(I)cc1"])
def test_a_drawing_is_one_safe_svg_without_background(text):
    svg = DOMAIN.picture(text)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("aria-label") == text
    assert {child.tag for child in root} == {"{http://www.w3.org/2000/svg}path"}
    assert {name for child in root for name in child.attrib} <= {"d", "stroke", "fill", "style"}
    assert "currentColor" in svg or text == "F/C=C/Cl"
    assert "#010203" not in svg
    assert "#FFFFFF" not in svg
    assert len(svg) < 16_000


def test_an_atom_of_a_vocabulary_of_ones_own_is_an_atom():
    for smiles in ("C[Si](C)(C)CO", "[2H]C([2H])([2H])OC", "OB(O)c1ccccc1", "CC(=O)Nc1cc[nH]c1"):
        found = parts(smiles)
        assert len(found) == Chem.MolFromSmiles(smiles, Chem.SmilesParserParams()).GetNumAtoms() or "[2H]" in smiles
        assert "".join(name for name, _ in found) == smiles
    assert [name for name, _ in parts("[2H]C([2H])([2H])OC")] == ["[2H]", "C(", "[2H])(", "[2H])", "O", "C"]
    drawn = [DOMAIN.coloured("C[Si](C)(C)CO", [float(i == at) for i in range(10)]) for at in (0, 1)]
    assert drawn[0] != drawn[1]


def test_a_scaffold_may_have_tokens_of_a_prior_of_ones_own():
    options = Options(more_tokens="[Si] B", scaffold="C[Si](C)(C)[*:1]")
    found = MoleculesDomain(options).template()
    assert {"[Si]", "B", "C"} <= found.first
    assert "[Si]" in found.tokens
    with pytest.raises(UserError, match=r"has '\[Si\]', which is no token"):
        Options(scaffold="C[Si](C)(C)[*:1]")


def test_a_caption_has_the_figures_in_one_line():
    assert DOMAIN.caption(ASPIRIN) == "QED .55 · SA 1.6 · logP 1.3 · 180 Da"
    assert DOMAIN.caption("OCC(O)CO") == "QED .38 · SA 2.4 · logP -1.7 · 92 Da"


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("list.smi", f"{ASPIRIN} NSC 1\nCCO NSC-2\n", ["NSC 1", "NSC-2"]),
        ("before.smi", f"one {ASPIRIN}\ntwo CCO\n", ["one", "two"]),
        ("table.csv", f"Compound ID;Structure (SMILES);pIC50\na;{ASPIRIN};7\nb;CCO;6\n", ["a", "b"]),
        ("odd.csv", f"smi_canonical,pIC50,name\n{ASPIRIN},7,a\nCCO,6,b\nCCN,6,c\n", ["a", "b", "c"]),
        ("bare.csv", f"{ASPIRIN}\nCCO\n", ["", ""]),
        ("pairs.csv", f"{ASPIRIN},aspirin\nCCO,ethanol\n", ["aspirin", "ethanol"]),
        ("values.csv", f"{ASPIRIN},7.1\nCCO,6\n", ["", ""]),
        ("excel.csv", f"sep=;\nName;SMILES;pIC50\na;{ASPIRIN};5,1\nb;CCO;6,2\n", ["a", "b"]),
        ("own.csv", f"molecule,CID\n{ASPIRIN},1\nCCO,2\nCCN,3\n", ["", "", ""]),
        ("sources.csv", f"id,is smiles valid,smiles\n1,yes,{ASPIRIN}\n2,yes,CCO\n", ["1", "2"]),
        ("word.smi", f"{ASPIRIN} smiles-001\nCCO smiles-002\n", ["smiles-001", "smiles-002"]),
    ],
)
def test_what_a_file_calls_a_molecule_is_read_and_a_header_is_no_molecule(tmp_path, name, content, names):
    """A file that was scored could not be joined to its own rows again."""
    lines = reading(tmp_path, name, content)
    assert [line.problem for line in lines] == [""] * len(names)
    assert [line.name for line in lines] == names


def test_a_record_of_an_sdf_has_its_title_and_so_has_what_is_left_out(tmp_path):
    DOMAIN.write(["CCO", "CCN"], tmp_path / "mine")
    text = (tmp_path / "mine" / "molecules.sdf").read_text()
    lines = reading(tmp_path, "twice.sdf", text + text)
    assert [line.name for line in lines] == ["mine-1", "mine-2"] * 2
    assert [line.problem for line in lines[2:]] == [f"the same molecule as twice.sdf:record {n}" for n in (1, 2)]


@pytest.mark.parametrize("bad", ["C1CC(=O", "bad(", "CNX(bad", "XX"])
def test_a_first_molecule_that_is_none_is_no_header(tmp_path, bad):
    """It was passed over, with the names of all others."""
    first, *others = reading(tmp_path, "list.smi", f"{bad} mol-1\nCCO mol-2\nCCN mol-3\nCCC mol-4\n")
    assert (first.text, first.name) == (None, "mol-1")
    assert [line.name for line in others] == ["mol-2", "mol-3", "mol-4"]
