"""The bake-off end to end on short answers: every detector on windows, forged proofs, the tables, several pairs in one folder."""

import json
import math

import pytest

from conftest import assert_refused

CONFIG = "configs/bakeoff.yaml"
N_OUTPUT = 32
SHORT = ("--trials", 2, "--output-tokens", N_OUTPUT, "--calibration", "configs/calibrations/smollm2-135m.json")
STATES = ("paper", "reference", "calibrated")
PEERS = ("toploc", "toploc-deployed", "toploc-k8-b1", "toploc-k32-b1", "toploc-k128-b1", *(f"activation-difr-k{k}" for k in (1, 2, 4, 8, 16, 32)),
         *(f"residues-{n}-byte{'s' * (n > 1)}" for n in (1, 2, 4, 8, 16)), "residues-coarse", "token-difr", "grail")  # fmt: skip


@pytest.fixture(scope="module")
def results(run, variants, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bakeoff")
    done = run("experiment", "run", CONFIG, "--prover", variants[0], "--verifier", variants[1], "--out", folder, *SHORT,
               "--attack", "none,weights-q4_0,replayed-states", timeout=900)  # fmt: skip
    assert done.code == 0, done.err
    return folder, done


@pytest.fixture(scope="module")
def entry(run, results):
    """The report's bake-off of the one pair."""
    (only,) = json.loads(run("experiment", "report", results[0], "--json").out)["bakeoff"]
    return only


@pytest.fixture(scope="module")
def rows(entry):
    return {(row["attack"], row["detector"], row["positions"]): row for row in entry["rows"]}


def trials(folder, attack):
    loaded = [json.loads(path.read_text()) for path in folder.glob("*_trial*.json")]
    return [trial for trial in loaded if trial["attack"] == attack]


def test_every_detector_judges_windows_of_every_size(results):
    for trial in trials(results[0], "none"):
        windows = trial["verifiers"][0]["windows"]
        assert set(windows) == {*STATES, "sampling", *PEERS}
        for detector, sizes in windows.items():
            assert [size["positions"] for size in sizes] == ([32] if detector == "grail" else [1, 2, 4, 8, 16, 32])
            for size in sizes:
                assert len(size["scores"]) == N_OUTPUT // size["positions"]
                assert all(math.isfinite(score) for score in size["scores"])
                if size["rejected"] is not None:
                    assert set(size["rejected"]) <= {0, 1} and len(size["rejected"]) == len(size["scores"])
                assert (size["rejected"] is None) == ("difr" in detector or "residues" in detector)
        assert "windows" not in trial["baseline"]


def test_scores_are_those_of_the_whole_where_the_window_is(results):
    for trial in trials(results[0], "weights-q4_0"):
        verifier = trial["verifiers"][0]
        for detector in PEERS:
            (whole,) = verifier["windows"][detector][-1]["scores"]
            assert whole == pytest.approx(verifier["policies"][detector]["score"], rel=1e-5)
        elements = verifier["series"]["log_element_error"]
        assert verifier["windows"]["calibrated"][-1]["scores"][0] == pytest.approx(sum(elements) / len(elements), rel=1e-4)
        assert verifier["windows"]["calibrated"][0]["scores"] == pytest.approx(elements, rel=1e-5)


def test_bytes_are_what_is_sent(rows):
    sent = {detector: rows["none", detector, 32]["bytes_per_token"] for detector in (*STATES, "sampling", *PEERS)}
    assert {sent[detector] for detector in STATES} == {5 * 576 * 2}
    assert sent["sampling"] == sent["token-difr"] == 0
    assert sent["toploc"] == sent["toploc-deployed"] == pytest.approx(258 / 32, rel=1e-5)
    assert (sent["toploc-k8-b1"], sent["toploc-k128-b1"], sent["activation-difr-k16"], sent["grail"]) == (18, 258, 32, 4)


def test_quantised_weights_are_told_from_honest_runs_by_all_but_the_blind(rows):
    areas = {detector: rows["weights-q4_0", detector, 1]["auc"] for detector in (*STATES, *PEERS) if detector != "grail"}
    # Two-sided: a position of Q4_0 weights is some 30 deviations from honest states by their element errors, a token is not.
    assert areas["calibrated"] == 1
    for detector in ("toploc-k128-b1", "activation-difr-k32"):
        assert 0.95 < areas[detector] <= 1
    assert 0.4 < areas["token-difr"] < 0.98
    row = rows["weights-q4_0", "calibrated", 1]
    assert (row["n_windows"], row["n_honest_windows"], row["n_responses"]) == (64, 64, 2)
    assert row["confidence_95"] == [1, 1] and row["rejected"]["rate"] > 0.95
    assert row["detection"]["0.01"] is None  # of 64 honest windows
    assert rows["none", "calibrated", 1]["rejected"]["rate"] < 0.05
    assert rows["weights-q4_0", "grail", 32]["rejected"]["rate"] == 0


def test_forged_proofs_pass_where_nobody_looks(results, entry):
    for trial in trials(results[0], "none"):
        forgeries = trial["verifiers"][0]["forgeries"]
        # 32 positions make one published chunk, and a forger learns of the first.
        assert set(forgeries) == {"toploc-k8-b1", "toploc-k32-b1", "toploc-k128-b1", "grail"}
        for tallies in forgeries.values():
            own = tallies["own"]
            assert own["accepted_as_published"] == own["accepted_strictly"] == own["n"] > 0
    for attack in ("weights-q4_0", "replayed-states"):
        assert all("forgeries" not in trial["verifiers"][0] for trial in trials(results[0], attack))
    said = {(forgery["forgery"], forgery["detector"]): forgery for forgery in entry["forgeries"]}
    assert said["zero proof", "grail"]["accepted_strictly"]["rate"] == 1
    constant = said["constant proof", "toploc-k128-b1"]
    assert (constant["accepted_as_published"]["n"], constant["accepted_strictly"]["rate"]) == (62, 0)
    assert said["honest states", "paper"]["unit"] == "window of 32 positions"
    assert said["replayed-states", "calibrated"]["accepted_as_published"]["rate"] == 0


def test_tables_are_readable(results):
    out = results[1].out
    for words in ("Bake-off: smollm2-135m", "Area under the curve", "Positions needed", "Honest windows", "Who accepts forgeries"):
        assert words in out
    lines = out[out.index("Bake-off") :].split("\n\nPublished")[0].splitlines()
    assert max(len(line) for line in lines) <= 130
    headers = [line.split() for line in lines if line.startswith("attack ")]
    assert headers[0][1:5] == ["reference", "paper", "calibrated", "sampling"]
    assert {word for header in headers for word in header[1:]} == {*STATES, "sampling", *PEERS}


def test_other_pairs_in_the_folder_have_tables_of_their_own(run, results, variants, tmp_path):
    folder = results[0]
    done = run("experiment", "run", CONFIG, "--prover", variants[0], "--verifier", variants[0], "--out", folder, *SHORT, "--attack", "none")
    assert done.code == 0, done.err
    bakeoff = json.loads(run("experiment", "report", folder, "--json").out)["bakeoff"]
    pairs = [(entry["prover"], entry["verifier"]) for entry in bakeoff]
    assert len(pairs) == 3 and set(pairs) == {(None, None), (variants[0], variants[1]), (variants[0], variants[0])}
    (everything,) = (entry for entry in bakeoff if entry["prover"] is None)
    (row,) = (row for row in everything["rows"] if (row["attack"], row["detector"], row["positions"]) == ("weights-q4_0", "calibrated", 1))
    assert row["n_honest_windows"] == 128 and row["detection"]["0.01"]["rate"] > 0.95 and row["detection"]["0.001"] is None
    assert "all pairs of devices" in done.out


def test_other_sizes_do_not_mix_with_earlier_results(run, results, variants, tmp_path):
    config = tmp_path / "other.yaml"
    text = open(CONFIG).read().replace("positions: [1, 2, 4, 8, 16, 32]", "positions: [1, 2]")
    config.write_text(text.replace("calibration-prompts.yaml", str(results[0].parent / "prompts.yaml")))
    (results[0].parent / "prompts.yaml").write_text(open("configs/calibration-prompts.yaml").read())
    done = run("experiment", "run", config, "--prover", variants[0], "--verifier", variants[1], "--out", results[0], *SHORT, "--attack", "none")
    assert done.code == 2 and "other settings" in done.err
    config.write_text(text.replace("positions: [1, 2]", "positions: [2, 1]"))
    assert_refused(run("experiment", "run", config, "--out", tmp_path / "out"), "windows of 1 positions", "ascend")
