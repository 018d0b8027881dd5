import hashlib
import shutil
import socket

import pytest
from loopback import COMMIT, REPO
from refusals import refusal

from genosiege.data import download

HUB_PATH = f"/datasets/{REPO}/resolve/{COMMIT}/tasks/train.csv"
ROWS = 4000
CSV = b"sequence,label\n" + b"".join(b"%s,%d\n" % (b"ACGT" * 75, row % 2) for row in range(ROWS))


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Skip the waits between retries; the seconds that would have been waited."""
    seconds = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


@pytest.fixture
def target(tmp_path):
    return tmp_path / "tasks" / "train.csv"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def hub(**more):
    return {
        "kind": "huggingface", "repo": REPO, "revision": COMMIT, "path": "tasks/{split}.csv", **more
    }  # fmt: skip


def url(server, content=CSV, **more):
    server.files.setdefault("/files/train.csv", content)
    address = f"{server.address}/files/{{split}}.csv"
    return {"kind": "url", "url": address, "sha256": {"train": sha256(content)}, **more}


def unused_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def assert_nothing_left(target):
    assert list(target.parent.iterdir()) == []


# A plain address ----------------------------------------------------------------------


def test_a_url_is_fetched_whole_and_alone(server, target):
    download.fetch(url(server), "train", target)

    assert target.read_bytes() == CSV
    assert list(target.parent.iterdir()) == [target]
    assert [request.method for request in server.requests] == ["GET"]


def test_a_url_goes_on_where_the_connection_was_cut(server, target):
    source = url(server)
    server.faults["GET", "/files/train.csv"] = ["cut", "cut"]

    download.fetch(source, "train", target)

    first, second, third = (request.range for request in server.requests)
    assert first is None
    starts = [int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in (second, third)]
    assert len(CSV) // 3 < starts[0] <= len(CSV) // 2 < starts[1]
    assert target.read_bytes() == CSV


def test_a_url_goes_on_with_what_a_killed_job_left(server, target):
    target.parent.mkdir()
    (target.parent / ".train.csv.part").write_bytes(CSV[:1000])

    download.fetch(url(server), "train", target)

    assert [request.range for request in server.requests] == ["bytes=1000-"]
    assert target.read_bytes() == CSV
    assert list(target.parent.iterdir()) == [target]


def test_a_rest_is_not_trusted_where_no_digest_is_checked(server, target):
    target.parent.mkdir()
    (target.parent / ".train.csv.part").write_bytes(b"x" * 1000)

    download.fetch(url(server, sha256=None), "train", target)

    assert [request.range for request in server.requests] == [None]
    assert target.read_bytes() == CSV


def test_a_server_that_ignores_ranges_gives_the_same_bytes(server, target):
    source = url(server)
    server.faults["GET", "/files/train.csv"] = ["cut", "whole"]

    download.fetch(source, "train", target)

    assert server.requests[1].range is not None
    assert target.read_bytes() == CSV


def test_a_rest_longer_than_the_file_is_thrown_away(server, target):
    target.parent.mkdir()
    (target.parent / ".train.csv.part").write_bytes(b"x" * (len(CSV) + 5))

    download.fetch(url(server), "train", target)

    assert target.read_bytes() == CSV


def test_a_rest_that_another_process_writes_is_left_alone(server, target):
    import fcntl

    target.parent.mkdir()
    part = target.parent / ".train.csv.part"
    part.write_bytes(b"theirs")
    with open(part, "ab") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        download.fetch(url(server), "train", target)

    assert part.read_bytes() == b"theirs"
    assert target.read_bytes() == CSV


def test_a_url_is_retried_after_503_with_growing_waits(server, target, waits):
    source = url(server)
    server.faults["GET", "/files/train.csv"] = [503, 503, 429]

    download.fetch(source, "train", target)

    assert target.read_bytes() == CSV
    assert waits == [1, 2, 4]


def test_a_url_that_always_fails_is_given_up(server, target):
    source = url(server)
    server.faults["GET", "/files/train.csv"] = [503] * 50

    message = refusal(download.fetch, source, "train", target)

    assert len(server.requests) == 6
    for part in (f"{server.address}/files/train.csv", "503", "https_proxy", "rerun"):
        assert part in message
    assert not target.exists()


def test_a_url_with_a_wrong_digest_leaves_nothing(server, target):
    source = url(server, sha256={"train": "0" * 64})

    message = refusal(download.fetch, source, "train", target)

    for part in ("/files/train.csv", sha256(CSV), "0" * 64, "correct"):
        assert part in message
    assert_nothing_left(target)


def test_a_url_with_a_wrong_size_leaves_nothing(server, target):
    source = url(server, size={"train": 7})

    assert f"{len(CSV)} bytes, 7 are expected" in refusal(download.fetch, source, "train", target)
    assert_nothing_left(target)


def test_a_url_that_does_not_exist_is_named_and_not_retried(server, target):
    server.files["/files/train.csv"] = CSV

    message = refusal(download.fetch, url(server), "dev", target)

    assert "/files/dev.csv: the server answers 404" in message
    assert len(server.requests) == 1
    assert not target.exists()


def test_an_unreachable_url_ends_in_one_line(server, target):
    source = {"kind": "url", "url": f"{unused_address()}/x.csv"}

    message = refusal(download.fetch, source, "train", target)

    assert "/x.csv: the download failed" in message
    assert "Connection refused" in message
    assert "check the network" in message


def test_a_url_of_no_known_scheme_is_refused(target):
    message = refusal(download.fetch, {"kind": "url", "url": "train.csv"}, "train", target)

    assert "no http address" in message


# The hub ------------------------------------------------------------------------------


def test_the_hub_is_asked_for_the_pinned_revision(server, target):
    server.files[HUB_PATH] = CSV

    download.fetch(hub(), "train", target, rows=ROWS)

    assert target.read_bytes() == CSV
    assert list(target.parent.iterdir()) == [target]
    # The library asks the hub for a list of its own besides.
    asked = {request.path for request in server.requests if not request.path.startswith("/api/")}
    assert asked == {HUB_PATH}


def test_the_hub_goes_on_where_the_connection_was_cut(server, target):
    # The library saves in pieces of 10 MB: less than that is fetched anew.
    content = CSV * 20
    server.files[HUB_PATH] = content
    server.faults["GET", HUB_PATH] = ["cut"]

    download.fetch(hub(sha256={"train": sha256(content)}), "train", target)

    ranges = [request.range for request in server.asked("GET")]
    assert ranges[0] is None
    assert ranges[1:] == ["bytes=10485760-"]
    assert target.read_bytes() == content


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_the_hub_is_retried_after_503(server, target, method):
    server.files[HUB_PATH] = CSV
    server.faults[method, HUB_PATH] = [503, 503]

    download.fetch(hub(), "train", target)

    assert target.read_bytes() == CSV
    assert len(server.asked(method)) >= 3


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_hub_that_always_fails_is_given_up(server, target, method):
    server.files[HUB_PATH] = CSV
    server.faults[method, HUB_PATH] = [503] * 90

    message = refusal(download.fetch, hub(), "train", target)

    assert f"{REPO}/tasks/train.csv" in message
    assert "503" in message
    assert_nothing_left(target)


def test_a_hub_file_with_a_wrong_digest_leaves_nothing(server, target):
    server.files[HUB_PATH] = CSV

    message = refusal(download.fetch, hub(sha256={"train": "0" * 64}), "train", target)

    for part in (f"{REPO}/tasks/train.csv", sha256(CSV), "0" * 64):
        assert part in message
    assert_nothing_left(target)


def test_a_hub_file_with_wrong_rows_leaves_nothing(server, target):
    server.files[HUB_PATH] = CSV

    message = refusal(download.fetch, hub(), "train", target, rows=ROWS + 1)

    assert f"{REPO}/tasks/train.csv" in message
    assert f"has {ROWS} rows, {ROWS + 1} are expected" in message
    assert_nothing_left(target)


def test_rows_are_counted_beside_a_digest_that_is_right(server, target):
    server.files[HUB_PATH] = CSV
    source = hub(sha256={"train": sha256(CSV)})

    message = refusal(download.fetch, source, "train", target, rows=ROWS + 1)

    assert f"has {ROWS} rows, {ROWS + 1} are expected" in message
    assert_nothing_left(target)


def test_rows_are_counted_with_crlf_and_without_a_last_line_end(server, target):
    server.files[HUB_PATH] = CSV.replace(b"\n", b"\r\n").rstrip()

    download.fetch(hub(), "train", target, rows=ROWS)

    assert target.exists()


def test_a_file_that_the_hub_lacks_is_named(server, target):
    server.files[HUB_PATH] = CSV

    message = refusal(download.fetch, hub(), "dev", target)

    assert f"{REPO}/tasks/dev.csv" in message
    assert "no such file" in message
    assert_nothing_left(target)


def test_an_unreachable_hub_ends_in_one_line(server, target, monkeypatch):
    address = unused_address()
    monkeypatch.setenv("HF_ENDPOINT", address)

    message = refusal(download.fetch, hub(), "train", target)

    for part in (REPO, address, "cannot be reached", "Connection refused", "HF_ENDPOINT"):
        assert part in message
    assert_nothing_left(target)


def test_a_file_in_the_hubs_own_cache_needs_no_network(server, target, tmp_path, monkeypatch):
    snapshot = tmp_path / "cache" / "datasets--acme--genomes" / "snapshots" / COMMIT / "tasks"
    snapshot.mkdir(parents=True)
    (snapshot / "train.csv").write_bytes(CSV)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))

    download.fetch(hub(), "train", target, rows=ROWS)

    assert target.read_bytes() == CSV
    assert server.requests == []


# Local files and simulation -----------------------------------------------------------


def test_a_local_file_is_copied_and_checked(tmp_path, target):
    (tmp_path / "my_train.csv").write_bytes(CSV)
    source = {"kind": "path", "path": str(tmp_path / "my_{split}.csv")}

    download.fetch(source, "train", target, rows=ROWS)

    assert target.read_bytes() == CSV
    assert f"has {ROWS} rows" in refusal(download.fetch, source, "train", target, rows=3)
    message = refusal(download.fetch, source, "dev", target)
    assert message.startswith(f"{tmp_path}/my_dev.csv: there is no such file")


def enhancers(folder, n_train=40, n_test=10):
    """Two classes of files of varying lengths, as genomic_benchmarks keeps its sets."""
    for split, n in (("train", n_train), ("test", n_test)):
        for name, base in (("positive", "G"), ("negative", "A")):
            (folder / split / name).mkdir(parents=True)
            for number in range(n):
                text = "ACGT" + base * number + ("\n" if number % 2 else "")
                (folder / split / name / f"{number:03}.txt").write_text(text)
    return {"kind": "path", "path": str(folder), "layout": "class_folders"}


def read_rows(path):
    header, *rows = path.read_text().splitlines()
    assert header == "sequence,label,file"
    return [row.split(",") for row in rows]


def test_class_folders_become_one_table_per_split(tmp_path, target):
    source = enhancers(tmp_path / "cohn")
    found = {}
    for split in ("train", "dev", "test"):
        download.fetch(source, split, target)
        found[split] = read_rows(target)

    assert {split: len(rows) for split, rows in found.items()} == {
        "train": 72, "dev": 8, "test": 20,
    }  # fmt: skip
    for split, rows in found.items():
        assert [label for _, label, _ in rows] == ["0"] * (len(rows) // 2) + ["1"] * (
            len(rows) // 2
        )
        names = [name for _, _, name in rows]
        assert names == sorted(names)
        for sequence, label, name in rows:
            assert name.split("/")[:2] == [
                "test" if split == "test" else "train", ("negative", "positive")[int(label)],
            ]  # fmt: skip
            number = int(name.split("/")[2].removesuffix(".txt"))
            assert sequence == "ACGT" + "AG"[int(label)] * number
    # No file is in two splits, and none is lost.
    files_used = [name for rows in found.values() for _, _, name in rows]
    assert len(files_used) == len(set(files_used)) == 100


def test_class_folders_give_the_same_tables_again_and_are_checked(tmp_path, target):
    source = enhancers(tmp_path / "cohn")
    download.fetch(source, "dev", target, rows=8)
    before = target.read_bytes()

    download.fetch(source, "dev", target)

    assert target.read_bytes() == before
    assert "has 72 rows, 73 are expected" in refusal(
        download.fetch, source, "train", target, rows=73
    )


def test_three_class_folders_are_labels_in_alphabetical_order(tmp_path, target):
    for name in ("neither", "acceptor", "donor"):
        for split in ("train", "test"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(2):
                (tmp_path / split / name / f"{number}.txt").write_text("ACGT")

    download.fetch({"kind": "path", "path": tmp_path, "layout": "class_folders"}, "dev", target)

    assert [(label, name.split("/")[1]) for _, label, name in read_rows(target)] == [
        ("0", "acceptor"), ("1", "donor"), ("2", "neither"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.rename(f.with_name("elsewhere")), "cohn/train: there is no such folder;"),
        (lambda f: shutil.rmtree(f / "test"), "cohn/test: there is no such folder;"),
        (
            lambda f: [shutil.rmtree(f / "train" / n) for n in ("positive", "negative")],
            "cohn/train: there is no class in this folder;",
        ),
        (
            lambda f: [file.unlink() for file in (f / "test" / "positive").iterdir()],
            "cohn/test/positive: this class has no file *.txt;",
        ),
        (
            lambda f: (f / "test" / "positive").rename(f / "test" / "silencer"),
            "cohn, class 'positive': train has this class and test has not;",
        ),
        (
            lambda f: [file.unlink() for file in sorted((f / "train/negative").iterdir())[1:]],
            "cohn/train/negative: this class has one file, and dev is cut from train;",
        ),
        (
            lambda f: (f / "train/negative/001.txt").write_text(" \n"),
            "cohn/train/negative/001.txt: the file is empty;",
        ),
    ],
)
def test_class_folders_that_are_not_whole_are_refused(tmp_path, target, damage, message):
    source = enhancers(tmp_path / "cohn")
    damage(tmp_path / "cohn")

    assert refusal(download.fetch, source, "train", target).startswith(f"{tmp_path}/{message}")
    assert_nothing_left(target)


def test_the_inputs_of_a_local_split_are_its_file_or_its_class_folders(tmp_path):
    source = enhancers(tmp_path / "cohn")
    (tmp_path / "my_train.csv").touch()
    table = {"kind": "path", "path": str(tmp_path / "my_{split}.csv")}

    for split, place in (("train", "train"), ("dev", "train"), ("test", "test")):
        assert download.local_inputs(source, split) == [
            f"{tmp_path}/cohn/{place}/{name}" for name in ("negative", "positive")
        ]
    assert download.local_inputs(source | {"path": str(tmp_path / "absent")}, "train") == []
    assert download.local_inputs(table, "train") == [f"{tmp_path}/my_train.csv"]
    assert download.local_inputs(table, "test") == []
    assert download.local_inputs({"kind": "simulate"}, "test") == []


def test_a_simulated_split_is_written_and_its_parameters_are_checked(target):
    source = {"kind": "simulate", "seed": 3, "n_train": 20, "length": 120, "tss_index": 80}

    download.fetch(source, "train", target, rows=20)

    lines = target.read_text().splitlines()
    assert lines[0] == "sequence,label"
    assert {len(line) for line in lines[1:]} == {122}
    assert "rows_train" in refusal(download.fetch, {**source, "rows_train": 2}, "train", target)
    assert "tss_index 120" in refusal(download.fetch, {**source, "tss_index": 120}, "train", target)
