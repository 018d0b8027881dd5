"""The variants attack edits what a list of known variants holds, as a whole, and nothing else."""

import gzip
from itertools import combinations

import numpy as np
import pytest
from refusals import refusal
from searching import flat, rugged, run
from toy_models import apply, linear_score, random_sequence, substitutions

from genosiege.errors import InputError
from genosiege.sequence.attacks import known_variants, variants
from genosiege.sequence.attacks.variants import Options
from genosiege.sequence.constraints import Constraints

SEQUENCE = "ACGTACGTACGTACGTACGT"
ID = "test:0"


def never(candidates):
    return np.ones(len(candidates))


@pytest.fixture
def listed(tmp_path):
    """Write rows (position from 0, ref, alt) as a table, and give its path."""

    def write(*rows, name="variants.tsv"):
        lines = ["id\tposition\tref\talt", *(f"{ID}\t{p}\t{r}\t{a}" for p, r, a in rows)]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return str(tmp_path / name)

    return write


@pytest.fixture
def vcf(tmp_path):
    """Write the lines of a VCF, and give its path."""

    def write(*lines, name="variants.vcf", ending="\n"):
        text = ending.join(["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT", *lines, ""])
        opened = gzip.open if name.endswith(".gz") else open
        with opened(tmp_path / name, "wb") as handle:
            handle.write(text.encode())
        return str(tmp_path / name)

    return write


def attack(path, score=never, sequence=SEQUENCE, rules=None, asked=None, **options):
    return run({"kind": "variants", "path": path, **options}, sequence, score, rules, asked=asked)


def edits_in(path, identity=ID):
    return [variant.edits for variant in known_variants.read(path)[identity]]


# Reading ------------------------------------------------------------------------------


def test_a_vcf_counts_from_one_and_a_table_from_zero(vcf, listed):
    assert edits_in(vcf(f"{ID}\t3\trs1\tG\tA\t50\tPASS\tAF=0.1")) == [{2: "A"}]
    assert edits_in(listed((2, "G", "A"))) == [{2: "A"}]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["v.vcf", "v.vcf.gz", "V.VCF"])
def test_lines_of_real_vcfs_are_understood(vcf, ending, name):
    path = vcf(
        '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">',
        f"{ID}\t1\t.\ta\tg",  # lower case, nothing behind ALT
        "",
        f"{ID}\t2\t.\tC\tT,A\t.\t.\t.",  # two alternatives, missing values
        f"{ID}\t5\t.\tA\t.\t.\tPASS\t.\tGT\t0/0",  # no variant
        f"{ID}\t6\trs2;rs3\tCGT\tTGA\t99\tPASS\tAF=.01\tGT:DP\t0|1:30",
        f"{ID}\t6\trs2;rs3\tCGT\tTGA\t99\tPASS\tAF=.01\tGT:DP\t0|1:30",  # twice
        "other\t9\t.\tA\tC",
        name=name,
        ending=ending,
    )
    assert edits_in(path) == [{0: "G"}, {1: "A"}, {1: "T"}, {5: "T", 7: "A"}]
    assert edits_in(path, "other") == [{8: "C"}]


def test_columns_of_a_table_come_in_any_order_among_others(tmp_path):
    path = tmp_path / "v.tsv"
    path.write_bytes(b"alt\tclinic\tid\tref\tposition\r\ng,t\tx\ttest:0\ta\t4\r\n\r\n")
    assert edits_in(str(path)) == [{4: "G"}, {4: "T"}]


@pytest.mark.parametrize(
    ("name", "separator"), [("v.csv", ","), ("v.txt", ";"), ("v.tsv.gz", "\t")]
)
def test_tables_are_separated_by_any_mark(tmp_path, name, separator):
    lines = [["id", "position", "ref", "alt"], [ID, "2", "G", "A"], [ID, "3", "T", '"C,G"']]
    content = "\r".join(separator.join(line) for line in lines).encode("utf-16")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    assert edits_in(str(tmp_path / name)) == [{2: "A"}, {3: "C"}, {3: "G"}]


def test_a_list_is_written_as_its_entry_says(tmp_path):
    lines = [["id", "position", "ref", "alt", "Quelle;id"], [ID, "2", "G", "A", "Zürich"]]
    path = tmp_path / "v.csv"
    path.write_bytes("\n".join(",".join(line) for line in lines).encode("latin-1"))
    options = Options(str(path), separator="comma", encoding="latin-1")

    assert [variant.edits for variant in options.variants()[ID]] == [{2: "A"}]
    assert "line 2: this is not a text file in utf-8" in refusal(Options(str(path)).variants)


def test_a_file_is_read_once(listed, monkeypatch):
    path = listed((2, "G", "A"))
    first = known_variants.read(path)
    monkeypatch.setattr(known_variants, "_table_entries", None)
    assert known_variants.read(path) is first


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"{ID}\t3\t.\tG", "column ALT is missing"),
        (f"{ID} 3 . G A", "column POS is missing; columns are separated by tabs"),
        (f"{ID}\t0\t.\tG\tA", "position '0'"),
        (f"{ID}\t-3\t.\tG\tA", "position '-3'"),
        (f"{ID}\tthree\t.\tG\tA", "position 'three'"),
        (f"{ID}\t3\t.\tG\tGA", "insertions and deletions"),
        (f"{ID}\t3\t.\tGT\tG", "insertions and deletions"),
        (f"{ID}\t3\t.\tG\tA,GA", "insertions and deletions"),
        (f"{ID}\t3\t.\tG\t<DEL>", "symbolic"),
        (f"{ID}\t3\t.\tG\t*", "symbolic"),
        (f"{ID}\t3\t.\tG\tG]17:198982]", "symbolic"),
        (f"{ID}\t3\t.\tG\tR", "A, C, G and T"),
        (f"{ID}\t3\t.\tG\tU", "A, C, G and T"),
        (f"{ID}\t3\t.\tG\tA,", "A, C, G and T"),
        (f"{ID}\t3\t.\t\tA", "A, C, G and T"),
        (f"{ID}\t3\t.\tG\tg", "equal"),
        (f"{ID}\t3\t.\tG\tN", "N is neither"),
    ],
)
def test_a_wrong_line_is_an_error_with_file_and_line(vcf, line, told):
    path = vcf(f"{ID}\t1\t.\tA\tC", line)
    message = refusal(known_variants.read, path)
    assert message.startswith(f"{path}, line 4")
    assert told in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: the file is empty"),
        ("id\tposition\tref\n", "line 1, header 'id\\tposition\\tref': the column alt"),
        ("id,position,ref,alt\n", "line 2: there is a header but no row"),
        ("id\tposition\tref\talt\na\t3\tG\n", "line 2, row 'a\\t3\\tG': 3 fields"),
        ("id\tposition\tref\tid\talt\n", "line 1, columns 1 and 4: the column 'id' stands twice"),
        ("id\tposition\tref\talt\n\na\t1.5\tG\tA\n", "line 3, position '1.5'"),
        ("id\tposition\tref\talt\na\t-1\tG\tA\n", "line 2, position '-1'"),
    ],
)
def test_a_wrong_table_is_an_error_with_file_and_line(tmp_path, text, told):
    path = tmp_path / "v.tsv"
    path.write_text(text)
    assert f"{path}, {told}" in refusal(known_variants.read, str(path))


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "v.bed").write_text("")
    (tmp_path / "plain.vcf.gz").write_text("##fileformat=VCFv4.2\n")
    (tmp_path / "cut.vcf.gz").write_bytes(gzip.compress(b"##" + bytes(range(32, 127)) * 50)[:-20])
    (tmp_path / "binary.vcf").write_bytes(b"\xff\x00\x80")
    assert "give variants as" in refusal(known_variants.read, str(tmp_path / "v.bed"))
    assert "there is no such file" in refusal(known_variants.read, str(tmp_path / "none.vcf"))
    for name, told in [("plain.vcf.gz", "no"), ("cut.vcf.gz", "damaged"), ("binary.vcf", "text")]:
        assert told in refusal(known_variants.read, str(tmp_path / name))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ((2, "A", "C"), "line 3, ref 'A': the sequence has 'G' there"),
        # The base that does not fit is not even edited.
        ((2, "GA", "CA"), "line 3, ref 'GA': the sequence has 'GT' there"),
        ((20, "A", "C"), "line 3: the variant reaches to base 21 of the sequence, which has 20"),
        ((19, "TA", "TC"), "line 3: the variant reaches to base 21"),
    ],
)
def test_a_variant_that_does_not_fit_its_sequence_is_an_error(listed, row, told):
    path = listed((0, "A", "C"), row)
    assert told in refusal(attack, path)
    assert path in refusal(attack, path)


def test_a_list_is_held_against_all_sequences_of_a_sample(listed):
    path = listed((0, "A", "G"), (1, "G", "T"))
    told = refusal(variants.check, {"test:5": SEQUENCE, ID: SEQUENCE}, Options(path=path))
    assert "line 3" in told and "'C' there" in told
    variants.check({"test:5": SEQUENCE}, Options(path=path))


def test_a_list_about_chromosomes_is_refused(vcf):
    path = vcf("chr1\t1\t.\tA\tG", "chr2\t2\t.\tC\tT")
    told = refusal(known_variants.read, path)
    assert "'chr1'" in told and "test:17" in told


def test_variants_of_other_sequences_are_nobodys_business(tmp_path):
    path = tmp_path / "v.tsv"
    path.write_text("id\tposition\tref\talt\ntest:7\t500\tG\tA\n")
    asked = []
    assert attack(str(path), asked=asked) == ({}, 0, "exhausted", False, "")
    assert asked == []


# Searching ----------------------------------------------------------------------------


def brute_force(sequence, rows, max_edits):
    """All haplotypes of variants with disjoint spans, as (number of variants, edits)."""
    found = []
    for n in range(1, len(rows) + 1):
        for chosen in combinations(rows, n):
            spans = [range(p, p + len(ref)) for p, ref, _ in chosen]
            if len({i for span in spans for i in span}) < sum(map(len, spans)):
                continue
            edits = {
                p + i: new
                for p, ref, alt in chosen
                for i, (old, new) in enumerate(zip(ref, alt, strict=True))
                if old != new
            }
            if len(edits) <= max_edits:
                found.append((n, edits))
    return found


def random_rows(rng, sequence, n):
    """Variants of one to three bases; first and last base always change."""
    rows = set()
    while len(rows) < n:
        size = int(rng.integers(1, 4))
        start = int(rng.integers(len(sequence) - size + 1))
        ref = sequence[start : start + size]
        alt = [str(rng.choice(list("ACGT".replace(base, "")))) for base in ref]
        if size == 3 and rng.random() < 0.5:
            alt[1] = ref[1]
        rows.add((start, ref, "".join(alt)))
    return sorted(rows)


@pytest.mark.parametrize("seed", range(12))
def test_few_variants_are_all_tried_and_the_fewest_that_flip_are_found(listed, seed):
    rng = np.random.default_rng(seed)
    sequence = random_sequence(rng, 25)
    rows = random_rows(rng, sequence, 8)
    score = rugged(seed, [2.2, 1.6, 6.0][seed % 3])
    asked = []

    found = attack(listed(*rows), score, sequence, max_edits=5, asked=asked)

    possible = brute_force(sequence, rows, 5)
    everything = [apply(sequence, edits) for _, edits in possible]
    flips = [(n, len(e), score([apply(sequence, e)])[0], e) for n, e in possible]
    flips = [flip for flip in flips if flip[2] < 0]
    assert set(flat(asked)) <= set(everything)
    assert len(set(flat(asked))) == len(flat(asked))
    assert found.succeeded == bool(flips)
    if flips:
        assert found.edits == min(flips, key=lambda flip: flip[:3])[3]
        assert found.stop_reason == "success"
    else:
        assert set(flat(asked)) == set(everything)
        assert score([apply(sequence, found.edits)])[0] == score(everything).min()
        assert found.stop_reason == "exhausted"


def test_single_variants_come_first_and_fewest_edits_before_more(listed):
    asked = []
    path = listed((0, "ACG", "TGT"), (8, "A", "C"), (12, "AC", "GT"), (15, "T", "A"))
    attack(path, asked=asked, max_edits=4)
    sizes = [
        [sum(a != b for a, b in zip(SEQUENCE, c, strict=True)) for c in step] for step in asked
    ]
    assert sizes == [[1, 1, 2, 3], [2, 3, 3, 4, 4], [4]]


def test_overlapping_variants_never_come_together(listed):
    asked = []
    # The middle base of the first is not edited, but the first says that it is a C.
    attack(listed((0, "ACG", "TCT"), (1, "C", "G"), (1, "C", "T"), (3, "T", "A")), asked=asked)
    assert [len(step) for step in asked] == [4, 3]


def test_shared_ends_are_no_part_of_a_variant(listed):
    asked = []
    attack(listed((0, "ACG", "TCG"), (1, "C", "G"), (0, "A", "T")), asked=asked)
    assert asked == [
        [apply(SEQUENCE, {0: "T"}), apply(SEQUENCE, {1: "G"})],
        [apply(SEQUENCE, {0: "T", 1: "G"})],
    ]


def many_rows(sequence, n):
    return [(p, sequence[p], "ACGT".replace(sequence[p], "")[p % 3]) for p in range(n)]


def test_many_variants_are_extended_greedily(listed):
    sequence = random_sequence(np.random.default_rng(0), 60)
    rows = many_rows(sequence, 60)
    weights = np.random.default_rng(1).normal(size=(60, 4))
    score, asked = linear_score(weights, 500.0), []
    found = attack(listed(*rows), score, sequence, asked=asked, max_edits=6)
    assert [len(step) for step in asked] == [60, 59, 58, 57, 56, 55]
    losses = sorted(
        score([apply(sequence, {p: alt})])[0] - score([sequence])[0] for p, _, alt in rows
    )
    # On a linear model greedy is optimal.
    ends = score([apply(sequence, found.edits)])[0]
    assert ends == pytest.approx(score([sequence])[0] + sum(losses[:6]))
    assert found.stop_reason == "exhausted"


def test_greedy_flips_are_pruned_by_whole_variants(listed, monkeypatch):
    monkeypatch.setattr(variants, "_MOST_LISTED", 0)
    first, second, third = {0: "G"}, {4: "G", 5: "A"}, {8: "G"}
    margins = {
        apply(SEQUENCE, first): 0.1,
        apply(SEQUENCE, first | second): 0.2,
        apply(SEQUENCE, first | second | third): -1.0,
        apply(SEQUENCE, second | third): -0.5,
        apply(SEQUENCE, {4: "G"} | third): -9.0,  # half a variant: nobody may propose it
    }
    asked = []
    found = attack(
        listed((0, "A", "G"), (4, "AC", "GA"), (8, "A", "G")),
        lambda s: np.array([margins.get(x, 1.0) for x in s]),
        asked=asked,
    )
    assert found == (second | third, 4, "success", True, "complete")
    assert apply(SEQUENCE, {4: "G"} | third) not in flat(asked)


def test_a_variant_of_more_edits_than_allowed_is_left_out(listed):
    asked = []
    attack(listed((0, "ACG", "TGT"), (8, "A", "C")), asked=asked, max_edits=2)
    assert flat(asked) == [apply(SEQUENCE, {8: "C"})]


@pytest.mark.parametrize("most_listed", [0, 2_000])
def test_hard_rules_are_kept(listed, monkeypatch, most_listed):
    monkeypatch.setattr(variants, "_MOST_LISTED", most_listed)
    rules = Constraints(gc_shift="hard", gc_limit=1 / 20, edit_mask="hard", editable=((0, 10),))
    inside = [(0, "A", "G"), (1, "C", "T"), (2, "G", "C"), (4, "A", "C"), (7, "T", "A")]
    outside = [(9, "CG", "TA"), (12, "A", "T")]
    asked = []

    attack(listed(*inside, *outside), rules=rules, asked=asked)

    sizes = set()
    for candidate in flat(asked):
        edits = substitutions(SEQUENCE, candidate)
        assert max(edits) < 10
        assert abs(sum(map(candidate.count, "GC")) - 10) <= 1
        sizes.add(len(edits))
    # 0 and 4 together add two to the GC content, unless 1 takes one away.
    assert sizes == {1, 2, 3, 4, 5}


def test_sets_that_are_allowed_only_together_are_tried(listed):
    rules = Constraints(gc_shift="hard", gc_limit=0.0)
    asked = []
    attack(listed((0, "A", "G"), (1, "C", "T")), rules=rules, asked=asked)
    assert asked == [["GTGTACGTACGTACGTACGT"]]


def test_a_larger_budget_asks_the_same_and_then_more(listed):
    sequence = random_sequence(np.random.default_rng(0), 60)
    path, score = listed(*many_rows(sequence, 60)), rugged(0, 9.0)
    for budget in (10, 60, 61, 100):
        asked = []
        found = attack(path, score, sequence, asked=asked, query_budget=budget)
        answered = flat(asked)[:budget]
        assert apply(sequence, found.edits) == answered[score(answered).argmin()]
        assert found.stop_reason == "query_budget"


def test_a_flip_at_the_end_of_the_budget_stays_whole(listed, monkeypatch):
    monkeypatch.setattr(variants, "_MOST_LISTED", 0)
    margins = {apply(SEQUENCE, {0: "G", 8: "G"}): -1.0}
    path = listed((0, "A", "G"), (8, "A", "G"))
    found = attack(path, lambda s: np.array([margins.get(x, 1.0) for x in s]), query_budget=3)
    assert found == ({0: "G", 8: "G"}, 2, "success", True, "complete")


@pytest.mark.parametrize(("option", "value"), [("max_edits", 0), ("query_budget", 0), ("path", "")])
def test_an_option_out_of_range_is_refused_by_name(option, value):
    with pytest.raises(InputError, match=f"variants, {option}"):
        Options(**({"path": "v.vcf"} | {option: value}))
