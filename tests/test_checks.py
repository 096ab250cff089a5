"""What a verifier can choose: which checks, how much of the answer, by which policy, and calibrations that it learned itself."""

import json
import shutil

import pytest

import safetensors_edit
from conftest import INCONCLUSIVE, REJECTED, ROOT, assert_refused, assert_usage

CALIBRATION = ROOT / "configs" / "calibrations" / "smollm2-135m.json"
PROMPT = "Explain in a few sentences how a tidal mill grinds grain, and why it stands still twice a day."
N_OUTPUT = 64
POINTS = ["0", "8", "16", "24", "final"]
VERDICTS = {"accept": 0, "reject": REJECTED, "inconclusive": INCONCLUSIVE}


@pytest.fixture(scope="module")
def infer(run, model, variants, tmp_path_factory):
    """Records an answer on the first variant and gives its folder."""

    def call(*options, output_tokens=N_OUTPUT):
        folder = tmp_path_factory.mktemp("recording")
        arguments = ("--model", model, "--prompt", PROMPT, "--output-tokens", output_tokens, "--ignore-end", "--device", variants[0])
        done = run("infer", *arguments, "--out", folder, *options)
        assert done.code == 0, done.err
        return folder

    return call


@pytest.fixture(scope="module")
def honest(infer):
    return infer()


@pytest.fixture(scope="module")
def verify(run, model, variants):
    """Verifies on the second variant, or another device, and gives what is printed as JSON."""

    def call(folder, *options, device=variants[1], talk=""):
        done = run("verify", folder, "--model", model, "--device", device, "--json", *options)
        assert done.code in VERDICTS.values(), done.err
        assert done.err == talk
        result = json.loads(done.out)
        assert done.code == VERDICTS[result["verdict"]]
        return result

    return call


@pytest.fixture(scope="module")
def everything(honest, verify):
    """The honest answer with all checks."""
    return verify(honest)


@pytest.fixture
def copied(honest, tmp_path):
    """A copy of the honest answer, to edit."""
    folder = tmp_path / "copied"
    shutil.copytree(honest, folder)
    return folder


def metadata_of(folder, key):
    metadata, _ = safetensors_edit.load(folder / "trace.safetensors")
    return json.loads(metadata[key])


# States, sampling, or both


def test_both_are_checked_unless_told_otherwise(everything, verify, honest):
    assert everything["verdict"] == "accept", everything["reason"]
    assert list(everything["per_capture_point"]) == POINTS
    assert len(everything["margins"]) == everything["n_checked"] == N_OUTPUT
    # An honest prover's choices are right up to rounding: most to the last bit, none far off.
    assert sum(margin == 0 for margin in everything["margins"]) > 0.9 * N_OUTPUT
    assert 0 <= max(everything["margins"]) < 0.2
    again = verify(honest, "--check", "all")
    assert again["margins"] == everything["margins"] and again["per_capture_point"] == everything["per_capture_point"]


def test_states_alone_give_no_margins(everything, verify, honest):
    result = verify(honest, "--check", "states")
    assert result["verdict"] == "accept" and "margins" not in result
    assert list(result["per_capture_point"]) == POINTS
    assert result["per_capture_point"]["0"] == everything["per_capture_point"]["0"]
    assert 0.5 < result["per_capture_point"]["24"]["relative_error"] / everything["per_capture_point"]["24"]["relative_error"] < 2


def test_sampling_alone_compares_no_states_and_accepts_an_honest_answer(everything, verify, honest):
    result = verify(honest, "--check", "sampling")
    assert result["verdict"] == "accept" and "tokens chosen as asked" in result["reason"]
    assert result["per_capture_point"] == {} and result["total_count"] == 0
    assert len(result["margins"]) == result["n_checked"] == N_OUTPUT
    for margin, before in zip(result["margins"], everything["margins"]):
        assert margin == pytest.approx(before, abs=0.05)


def test_another_seed_than_claimed_is_rejected_by_the_sampling_check_alone(verify, copied):
    safetensors_edit.change_metadata(copied / "trace.safetensors", "sampling", seed=2)
    result = verify(copied, "--check", "sampling")
    assert result["verdict"] == "reject" and "not chosen as asked" in result["reason"]
    assert max(result["margins"]) > 2.5
    assert verify(copied)["verdict"] == "reject"
    assert verify(copied, "--check", "states")["verdict"] == "accept"


def test_unknown_check_is_refused(run, model, honest):
    assert_usage(run("verify", honest, "--model", model, "--check", "nonsense"), "--check", "nonsense", "sampling")


# How much of the answer


def test_depth_demands_nothing_above_it(everything, verify, honest):
    result = verify(honest, "--depth", 16)
    assert result["verdict"] == "accept" and list(result["per_capture_point"]) == ["0", "8", "16"]
    assert result["total_count"] == 3 * N_OUTPUT
    for name, point in result["per_capture_point"].items():
        assert point == everything["per_capture_point"][name]


def test_depth_between_two_capture_points_ends_at_the_lower_one(verify, honest):
    assert list(verify(honest, "--depth", 23, "--check", "states")["per_capture_point"]) == ["0", "8", "16"]
    assert list(verify(honest, "--depth", 0, "--check", "states")["per_capture_point"]) == ["0"]


def test_prefix_checks_so_many_positions(run, model, variants, everything, verify, honest):
    result = verify(honest, "--prefix", 8)
    assert result["verdict"] == "accept"
    assert (result["n_checked"], result["n_output"], result["total_count"]) == (8, N_OUTPUT, 8 * len(POINTS))
    for margin, before in zip(result["margins"], everything["margins"][:8], strict=True):
        assert margin == pytest.approx(before, abs=0.05)
    done = run("verify", honest, "--model", model, "--device", variants[1], "--prefix", 8)
    assert done.code == 0 and "only the first 8 output tokens were checked" in done.out


def test_prefix_does_not_see_what_comes_after_it(verify, copied):
    metadata, tensors = safetensors_edit.load(copied / "trace.safetensors")
    states = bytearray(tensors["hidden_states.16"].data)
    states[20 * 576 * 2 :] = bytes(len(states) - 20 * 576 * 2)
    tensors["hidden_states.16"].data = bytes(states)
    safetensors_edit.save(copied / "trace.safetensors", metadata, tensors)
    assert verify(copied, "--prefix", 20)["verdict"] == "accept"
    assert verify(copied)["verdict"] == "reject"


def test_random_depth_and_prefix_stay_within_bounds(verify, honest):
    drawn = set()
    for _ in range(4):
        result = verify(honest, "--depth", "random", "--prefix", "random", "--check", "states")
        points = list(result["per_capture_point"])
        assert result["verdict"] == "accept", result["reason"]
        assert points == POINTS[: len(points)] and len(points) >= 2
        assert 1 <= result["n_checked"] <= N_OUTPUT
        drawn.add((len(points), result["n_checked"]))
    assert len(drawn) > 1  # all four alike: 1 in 4 million


@pytest.mark.parametrize(
    "option, value, most",
    [
        ("--depth", "99", "0 to 30"),
        ("--depth", "-1", "0 to 30"),
        ("--depth", "deep", "0 to 30"),
        ("--depth", "8.5", "0 to 30"),
        ("--prefix", "0", f"1 to {N_OUTPUT}"),
        ("--prefix", "100000", f"1 to {N_OUTPUT}"),
        ("--prefix", "all", f"1 to {N_OUTPUT}"),
    ],
)
def test_part_that_is_not_there_is_refused(run, model, honest, option, value, most):
    assert_refused(run("verify", honest, "--model", model, f"{option}={value}"), option, f'"{value}"', most)


def test_kept_states_are_those_that_were_compared(run, everything, verify, honest, variants, tmp_path):
    kept = tmp_path / "kept.safetensors"
    result = verify(honest, "--keep", kept)
    assert result["per_capture_point"] == everything["per_capture_point"]
    done = run("compare", honest / "trace.safetensors", kept, "--json")
    assert done.code == 0, done.err
    compared = json.loads(done.out)["per_capture_point"]
    assert list(compared) == POINTS
    for name, point in compared.items():
        assert point["relative_error"] == everything["per_capture_point"][name]["relative_error"]
    metadata, _ = safetensors_edit.load(kept)
    assert json.loads(metadata["device"])["name"] == variants[1]


# The prover's own steps


def test_match_across_variants_is_closer_than_a_prefill(everything, verify, honest):
    result = verify(honest, "--match")
    assert result["verdict"] == "accept" and len(result["margins"]) == N_OUTPUT
    for name in ("16", "24", "final"):
        plain, matched = (each["per_capture_point"][name]["median_relative_error"] for each in (everything, result))
        # Not to nothing: the variants still differ.
        assert 0.1 * plain < matched < 0.99 * plain


def test_replay_on_the_provers_device_gives_the_same_bits(verify, honest, variants):
    result = verify(honest, "--replay", device=variants[0])
    assert result["verdict"] == "accept", result["reason"]
    assert [point["exact_share"] for point in result["per_capture_point"].values()] == [1] * len(POINTS)
    assert result["margins"] == [0] * N_OUTPUT
    assert result["schedule"] == metadata_of(honest, "schedule")


def test_replay_rejects_a_single_changed_bit(verify, copied, variants):
    metadata, tensors = safetensors_edit.load(copied / "trace.safetensors")
    states = bytearray(tensors["hidden_states.16"].data)
    states[2 * (30 * 576 + 100)] ^= 1
    tensors["hidden_states.16"].data = bytes(states)
    safetensors_edit.save(copied / "trace.safetensors", metadata, tensors)
    result = verify(copied, "--replay", device=variants[0])
    assert result["verdict"] == "reject"
    assert f"capture point 16, position {result['n_prompt'] + 30}: 575 of 576 elements" in result["reason"]
    assert verify(copied, device=variants[0])["verdict"] == "accept"


def test_replay_on_another_device_is_refused_with_both(run, model, honest, variants):
    done = run("verify", honest, "--model", model, "--device", variants[1], "--replay")
    assert_refused(done, f"replay needs the prover's device and build: {variants[0]} (", f"not {variants[1]} (", "--match")


@pytest.mark.parametrize(
    "option, value, field, recorded, default",
    [
        ("--sequences", 4, "sequences", 4, 1),
        ("--shared-prefix", 8, "shared_prefix", 8, 0),
        ("--cache", "f32", "cache", "f32", "f16"),
        ("--flash-attention", "off", "flash_attention", "off", "auto"),
    ],
)
def test_way_of_computing_is_recorded_and_still_accepted(infer, verify, variants, option, value, field, recorded, default):
    folder = infer(option, value, output_tokens=24)
    schedule = metadata_of(folder, "schedule")
    assert schedule[field] == recorded
    plain = {"flash_attention": "auto", "cache": "f16", "sequences": 1, "shared_prefix": 0}
    assert {key: schedule[key] for key in plain} == plain | {field: recorded}
    result = verify(folder)
    assert result["verdict"] == "accept", result["reason"]
    # It is what was computed: the same bits come of it again, and other bits of the default, where the two round differently.
    assert verify(folder, "--replay", device=variants[0])["verdict"] == "accept"
    if field in ("cache", "shared_prefix"):
        return
    safetensors_edit.change_metadata(folder / "trace.safetensors", "schedule", **{field: default})
    assert verify(folder, "--replay", device=variants[0])["verdict"] == "reject"


# The policy `calibrated`


@pytest.fixture(scope="module")
def shipped(variants):
    """The calibration that comes with the project, where it has learned this machine's variants."""
    pairs = [(pair["prover"], pair["verifier"]) for pair in json.loads(CALIBRATION.read_text())["pairs"]]
    if variants not in pairs:
        pytest.skip(f"the shipped calibration has not learned {variants[0]} to {variants[1]}")
    return CALIBRATION


def test_shipped_calibration_accepts_an_honest_answer(verify, honest, shipped):
    result = verify(honest, "--policy", shipped)
    assert (result["policy"], result["verdict"]) == ("calibrated", "accept"), result["reason"]
    assert 7 <= result["decided_after"] <= N_OUTPUT


def test_shipped_calibration_cannot_decide_on_four_tokens(infer, verify, shipped):
    result = verify(infer(output_tokens=4), "--policy", shipped)
    assert result["verdict"] == "inconclusive" and "too few" in result["reason"]
    assert result["n_checked"] == 4


def test_calibrated_policy_judges_states_or_sampling_alone(verify, honest, shipped):
    states = verify(honest, "--policy", shipped, "--check", "states")
    assert states["verdict"] == "accept" and 7 <= states["decided_after"] <= N_OUTPUT
    sampling = verify(honest, "--policy", shipped, "--check", "sampling")
    assert sampling["verdict"] == "accept" and 49 <= sampling["decided_after"] <= N_OUTPUT


@pytest.fixture
def edited(tmp_path):
    """Writes a copy of the shipped calibration that `change` has changed in place."""

    def call(change):
        calibration = json.loads(CALIBRATION.read_text())
        change(calibration)
        file = tmp_path / "edited.json"
        file.write_text(json.dumps(calibration))
        return file

    return call


def test_pair_of_devices_that_was_not_learned_is_warned_of(verify, honest, edited, variants):
    file = edited(lambda calibration: [pair.update(verifier="cpu:abacus") for pair in calibration["pairs"]])
    warning = f"warning: the calibration has not learned {variants[0]} to {variants[1]}: its rates do not hold here\n"
    assert verify(honest, "--policy", file, talk=warning)["policy"] == "calibrated"


def test_calibration_of_another_engine_is_warned_of(verify, honest, edited, shipped):
    file = edited(lambda calibration: [pair.update(engine="llama.cpp 0.0.1") for pair in calibration["pairs"]])
    engine = metadata_of(honest, "device")["engine"]
    verify(honest, "--policy", file, talk=f"warning: the calibration was learned with llama.cpp 0.0.1, not {engine}\n")


def test_calibration_of_another_model_is_refused_with_both_digests(run, model, honest, edited):
    digest = "0123456789abcdef" * 4
    file = edited(lambda calibration: calibration["model"].update(digest=digest))
    done = run("verify", honest, "--model", model, "--policy", file)
    assert_refused(done, digest, metadata_of(honest, "model")["digest"], "verillm calibrate")


def test_calibration_of_other_states_is_refused(run, model, honest, edited):
    file = edited(lambda calibration: calibration.update(states="f16"))
    assert_refused(run("verify", honest, "--model", model, "--policy", file), "f16", "bf16")


def test_capture_point_that_was_not_learned_is_refused(run, model, honest, edited):
    file = edited(lambda calibration: calibration["points"].pop("16"))
    assert_refused(run("verify", honest, "--model", model, "--policy", file), "capture point 16")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda c: c.update(author="me"), ['unknown field "author"']),
        (lambda c: c["points"]["8"].update(skew=1), ["point 8", '"skew"']),
        (lambda c: c.pop("prompts_digest"), ['"prompts_digest"', "missing"]),
        (lambda c: c["limits"].pop("scale error"), ['"scale error"', "missing"]),
        (lambda c: c["pairs"][0].pop("engine"), ['"engine"', "missing"]),
        (lambda c: c.update(format_version=1), ["version 1", "version 2"]),
        (lambda c: c.update(format="verillm-trace"), ['"verillm-trace"', '"verillm-calibration"']),
        (lambda c: c.update(false_positive_rate=0), ["rates of 0"]),
        (lambda c: c.update(exceedance_rate=0.5), ["0.5"]),
        (lambda c: c.update(states="f8"), ['"f8"']),
        (lambda c: c.update(points={}), ["points"]),
        (lambda c: c["points"].update({"08": c["points"]["8"]}), ['"08"']),
        (lambda c: c["points"]["8"].update(scale_deviation=0), ["point 8", "not positive"]),
        (lambda c: c["points"]["8"].update(element_mean="low"), ["point 8", '"element_mean"']),
        (lambda c: c["limits"]["sampling margin"].update(extreme=-1), ["sampling margin", "below the threshold"]),
        (lambda c: c["pairs"][0].update(n_positions=-1), ['"n_positions"']),
    ],
)
def test_edited_calibration_is_refused(run, model, honest, edited, change, words):
    file = edited(change)
    assert_refused(run("verify", honest, "--model", model, "--policy", file), file, *words)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_truncated_calibration_is_refused(run, model, honest, tmp_path, share):
    text = CALIBRATION.read_text().rstrip()
    file = tmp_path / "cut.json"
    file.write_text(text[: int(share * len(text))])
    assert_refused(run("verify", honest, "--model", model, "--policy", file), file, "not JSON")


def test_calibration_with_a_doubled_key_is_refused(run, model, honest, tmp_path):
    file = tmp_path / "doubled.json"
    file.write_text(CALIBRATION.read_text().rstrip()[:-1] + ', "states": "bf16"}')
    assert_refused(run("verify", honest, "--model", model, "--policy", file), file, '"states"', "twice")


def test_missing_calibration_is_refused(run, model, honest, tmp_path):
    missing = tmp_path / "missing.json"
    assert_refused(run("verify", honest, "--model", model, "--policy", missing), missing)
    assert_refused(run("experiment", "run", "configs/exp2.yaml", "--out", tmp_path / "out", "--calibration", missing), missing, "No such file")


# Calibrating


@pytest.fixture
def calibrate(run, tmp_path):
    """Calibrates by the text of a configuration, which has to be refused without a file being written."""
    (tmp_path / "prompts.yaml").write_text("prompts:\n  few:\n    - Hello\n    - Good morning\n")

    def call(text, *options):
        (tmp_path / "config.yaml").write_text(text)
        done = run("calibrate", "--config", tmp_path / "config.yaml", "--out", tmp_path / "out.json", *options)
        assert not (tmp_path / "out.json").exists()
        return done

    return call


PLAIN = "provers: [cpu]\nverifiers: [cpu]\nprompts: prompts.yaml\nprompt_list: few\nconditions: {default: {}}\n"


@pytest.mark.parametrize(
    "options, given, rate, needed, tokens",
    [
        # 3 positions beyond the threshold of each of 4 scores that 3 in 1000 exceed,
        ((), "2 responses of 40 tokens", "0.05", 4000, 2000),
        (("--prompts", 1), "1 responses of 40 tokens", "0.05", 4000, 4000),
        (("--output-tokens", 999), "2 responses of 999 tokens", "0.05", 4000, 2000),
        # or 4 scores of 100 positions extrapolated by a factor of 1000 at most.
        (("--false-positive-rate", 1e-5), "2 responses of 40 tokens", "1e-05", 40000, 20000),
    ],
)
def test_too_few_honest_runs_are_refused_with_how_many_are_needed(calibrate, options, given, rate, needed, tokens):
    text = PLAIN + "output_tokens: 40\nfalse_positive_rate: 0.05\n"
    assert_refused(calibrate(text, *options), given, f"rate of {rate}", f"{needed} positions are needed", f"{tokens} output tokens")


def test_devices_of_the_command_replace_those_of_the_configuration(calibrate):
    text = PLAIN + "output_tokens: 3000\n"
    done = calibrate(text, "--devices", "warp:9,cpu")
    assert_refused(done, "warp:9")


def test_other_conditions_double_the_honest_runs(calibrate):
    text = PLAIN.replace("{default: {}}", "{default: {}, one thread: {threads: 1}, chunks: {chunk: 16}}") + "false_positive_rate: 0.05\noutput_tokens: 499\n"
    assert_refused(calibrate(text), "4 responses of 499 tokens", "4000 positions", "1000 output tokens")


@pytest.mark.parametrize(
    "text, line, words",
    [
        (PLAIN + "output: 40\n", 6, ["unknown key", '"output"']),
        (PLAIN + "sampling: {top: 1}\n", 6, ["unknown key", '"top"']),
        (PLAIN.replace("{default: {}}", "\n  default: {}\n  other: {cach: f32}"), 7, ["unknown key", '"cach"']),
        (PLAIN + "provers: [blas]\n", 6, ['"provers"', "twice"]),
        (PLAIN.replace("{default: {}}", "\n  default: {}\n  default: {chunk: 64}"), 7, ['"default"', "twice"]),
        (PLAIN.replace("conditions: {default: {}}\n", ""), 1, ['"conditions" is missing']),
        (PLAIN.replace("provers: [cpu]\n", ""), 1, ['"provers" is missing']),
        (PLAIN.replace("{default: {}}", ""), 6, ["no map"]),
        (PLAIN.replace("{default: {}}", "[default]"), 5, ["no map"]),
        (PLAIN.replace("{default: {}}", "{default: plain}"), 5, ["no map"]),
        (PLAIN + "output_tokens: many\n", 6, ['"output_tokens"', "wrong type"]),
        (PLAIN.replace("verifiers: [cpu]", "verifiers: []"), 2, ["no list of words"]),
        (PLAIN + "workers: [a, b\n", 7, ["no YAML"]),
    ],
)
def test_configuration_is_refused_with_its_line(calibrate, tmp_path, text, line, words):
    assert_refused(calibrate(text), f"{tmp_path / 'config.yaml'}:{line}:", *words)


@pytest.mark.parametrize(
    "text, words",
    [
        (PLAIN.replace("{default: {}}", "{}"), ["no condition"]),
        (PLAIN.replace("{default: {}}", "{default: {cache: q2_k}}"), ['"q2_k"', "q8_0"]),
        (PLAIN.replace("{default: {}}", "{default: {sequences: 65}}"), ["65 sequences"]),
        (PLAIN + "output_tokens: 0\n", ["0 output tokens"]),
        (PLAIN + "states: f8\n", ['"f8"']),
        (PLAIN + "sampling: {temperature: -1}\n", ["temperature of -1"]),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(calibrate, tmp_path, text, words):
    assert_refused(calibrate(text), tmp_path / "config.yaml", *words)


def test_missing_configuration_and_prompts_are_refused(run, calibrate, tmp_path):
    missing = tmp_path / "missing.yaml"
    assert_refused(run("calibrate", "--config", missing, "--out", tmp_path / "out.json"), missing, "No such file")
    assert_refused(calibrate(PLAIN.replace("prompts.yaml", "missing.yaml")), missing, "No such file")
    assert_refused(calibrate(PLAIN.replace("few", "many")), tmp_path / "prompts.yaml", '"many"')


@pytest.mark.parametrize("rate", ["0", "1", "2", "-0.1", "nan"])
def test_false_positive_rate_that_makes_no_sense_is_refused_before_anything_is_run(calibrate, rate):
    text = PLAIN.replace("[cpu]", "[warp:9]") + "output_tokens: 2000\n"
    assert_refused(calibrate(text, f"--false-positive-rate={rate}"), "false-positive rate of", "makes no sense")


@pytest.fixture(scope="module")
def learned(run, model, variants, tmp_path_factory):
    """A calibration of one pair of variants from eight short prompts, and what was said while it was made."""
    folder = tmp_path_factory.mktemp("calibration")
    places = ["a lighthouse", "a salt works", "a night train", "a bell foundry", "a seed bank", "a canal lock", "a chess club", "a weather ship"]
    prompts = "".join(f"    - Describe a working day at {place}.\n" for place in places)
    (folder / "prompts.yaml").write_text(f"prompts:\n  few:\n{prompts}")
    (folder / "config.yaml").write_text(
        f"model: {model}\nprovers: ['{variants[0]}']\nverifiers: ['{variants[1]}']\nprompts: prompts.yaml\nprompt_list: few\n"
        "output_tokens: 500\nconditions: {default: {}}\n"
    )
    done = run("calibrate", "--config", folder / "config.yaml", "--out", folder / "learned.json", "--false-positive-rate", 0.05, timeout=900)
    assert done.code == 0, done.err
    return folder / "learned.json", done


def test_calibration_says_what_it_learned_from(learned, model, honest, variants):
    file, done = learned
    calibration = json.loads(file.read_text())
    assert (calibration["format"], calibration["format_version"]) == ("verillm-calibration", 2)
    assert calibration["model"] == metadata_of(honest, "model")
    assert (calibration["states"], calibration["false_positive_rate"], calibration["exceedance_rate"]) == ("bf16", 0.05, 0.003)
    assert calibration["pairs"] == [
        {"prover": variants[0], "verifier": variants[1], "engine": metadata_of(honest, "device")["engine"], "n_responses": 8, "n_positions": 4000}
    ]
    assert calibration["conditions"] == ["default"] and len(calibration["prompts_digest"]) == 64
    assert list(calibration["points"]) == POINTS[1:]
    for point in calibration["points"].values():
        # CPU variants differ by a few thousandths, recorded in 8 bits.
        assert -9 < point["element_mean"] < -3 and 0.01 < point["element_deviation"] < 1.5
        assert -9 < point["relative_mean"] < -3 and 0.01 < point["relative_deviation"] < 1.5
        assert 1e-6 < point["scale_deviation"] < 1e-2
    for name, limits in calibration["limits"].items():
        assert limits["extreme"] > limits["threshold"], name
    assert 1 < calibration["limits"]["element error"]["threshold"] < 10
    # Honest margins are 0 nearly always: their 99.7 % quantile may be.
    assert 0 <= calibration["limits"]["sampling margin"]["threshold"] < 0.5
    assert "1 pairs of devices, 8 responses, 4000 positions" in done.err and str(file) in done.err
    for name in calibration["limits"]:
        assert any(line.startswith(name + " ") for line in done.out.splitlines())
    # What the only condition costs in noise.
    [condition] = [line.split() for line in done.out.splitlines() if line.startswith("default ")]
    assert int(condition[1]) == 4000 and -8 < float(condition[2]) < -3 and float(condition[2]) < float(condition[3]) < 0


def test_own_calibration_accepts_an_honest_answer(learned, verify, honest):
    result = verify(honest, "--policy", learned[0])
    assert (result["policy"], result["verdict"]) == ("calibrated", "accept"), result["reason"]
    assert 7 <= result["decided_after"] <= N_OUTPUT
    assert 0.99 < result["accept_rate"] <= 1


def test_own_calibration_rejects_quantised_weights(run, learned, model, variants, verify, tmp_path):
    options = ("--model", model, "--prompt", PROMPT, "--output-tokens", 24, "--ignore-end", "--device", variants[0])
    done = run("attack", "run", "weights-q8_0", *options, "--out", tmp_path / "attack")
    assert done.code == 0, done.err
    result = verify(tmp_path / "attack", "--policy", learned[0])
    assert result["verdict"] == "reject" and 1 <= result["decided_after"] <= 24
