"""An honest prover is accepted on another CPU variant, a cheating one is rejected, and the trace is what it says it is."""

import json
import re
import struct

import numpy
import pytest
from safetensors import safe_open

PROMPT = "Explain in a few sentences how a tidal mill grinds grain, and why it stands still twice a day."
N_OUTPUT = 48


def infer(run, model, out, *options):
    done = run("infer", "--model", model, "--prompt", PROMPT, "--output-tokens", N_OUTPUT, "--ignore-end", "--out", out, "--json", *options)
    assert done.code == 0, done.err
    return json.loads(done.out)


def verify(run, folder, model, *options):
    done = run("verify", folder, "--model", model, "--json", *options)
    assert done.code in (0, 1), done.err
    result = json.loads(done.out)
    assert done.code == {"accept": 0, "reject": 1}[result["verdict"]]
    assert result["schema_version"] == 2
    return result


@pytest.fixture(scope="module")
def honest(run, model, variants, tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest")
    infer(run, model, folder, "--device", variants[0])
    return folder


@pytest.mark.parametrize("pooled", [(), ("--pooled",)])
def test_honest_prover_is_accepted_on_another_cpu_variant(run, model, honest, variants, pooled):
    result = verify(run, honest, model, "--device", variants[1], *pooled)
    assert result["verdict"] == "accept", result["reason"]
    points = result["per_capture_point"]
    assert list(points) == ["0", "8", "16", "24", "final"]
    assert points["0"]["exact_share"] == 1
    # Two-sided: numbers far below would mean that nothing was really compared across devices.
    for name in ("8", "16", "24", "final"):
        assert 0.003 < points[name]["Pe"] < 0.04
        assert 0.65 < points[name]["Pm"] < 0.9
        assert 0.9 < points[name]["Pw"] < 0.999
        assert 3e-4 < points[name]["median_relative_error"] < 8e-3


def test_honest_prover_is_accepted_on_the_same_device(run, model, honest, variants):
    result = verify(run, honest, model, "--device", variants[0])
    assert result["verdict"] == "accept", result["reason"]
    # Generation takes one token at a time and verification all at once, so they differ a little even here.
    assert 0.001 < result["per_capture_point"]["24"]["Pe"] < 0.04


def test_verbose_says_how_long_each_step_took(run, model, honest):
    done = run("--verbose", "verify", honest, "--model", model)
    assert done.code == 0, done.err
    took = dict(re.findall(r"debug: (?!debug)(.*) took ([0-9.]+) s$", done.err, re.MULTILINE))
    assert {"start of worker cpu", "opening device cpu", "loading the model", "making the context", "prefill", "comparison beside the prefill",
            "judging by policy paper", "end of a process that was started"} <= set(took)
    assert float(took["start of worker cpu"]) >= float(took["opening device cpu"]) > 0
    assert float(took["prefill"]) > float(took["comparison beside the prefill"]) > 0
    assert "took" not in run("verify", honest, "--model", model).err


def test_blas_verifier_computes_with_blas(run, model, honest, variants):
    on_blas = verify(run, honest, model, "--device", "blas")
    on_cpu = verify(run, honest, model, "--device", variants[0])
    assert on_blas["verdict"] == "accept"
    assert on_blas["per_capture_point"]["24"]["relative_error"] != on_cpu["per_capture_point"]["24"]["relative_error"]


@pytest.mark.parametrize("weights", ["q8_0", "q4_0"])
@pytest.mark.parametrize("policy", [("--policy", "paper", "--pooled"), ("--policy", "paper"), ("--policy", "reference")])
def test_quantised_prover_is_rejected(run, model, quantised, variants, tmp_path_factory, weights, policy):
    folder = quantised(weights)
    result = verify(run, folder, model, "--device", variants[1], "--other-model", *policy)
    assert result["verdict"] == "reject"
    low, high = {"q8_0": (0.06, 0.3), "q4_0": (0.35, 0.8)}[weights]
    assert low < result["per_capture_point"]["24"]["Pe"] < high
    assert result["per_capture_point"]["24"]["accept_count"] <= N_OUTPUT // 4


@pytest.fixture(scope="module")
def quantised(run, model, variants, tmp_path_factory):
    """Folders of provers that ran quantised weights, one a weight type."""
    made = {}

    def get(weights):
        if weights not in made:
            folder = tmp_path_factory.mktemp(weights)
            file = folder / f"{weights}.gguf"
            done = run("model", "quantize", model, file, "--type", weights)
            assert done.code == 0, done.err
            infer(run, file, folder / "run", "--device", variants[0])
            made[weights] = folder / "run"
        return made[weights]

    return get


def test_same_seed_generates_the_same_and_another_seed_does_not(run, model, variants, honest, tmp_path):
    infer(run, model, tmp_path / "again", "--device", variants[0])
    infer(run, model, tmp_path / "other", "--device", variants[0], "--seed", 2)
    text = (honest / "text.txt").read_bytes()
    assert (tmp_path / "again" / "text.txt").read_bytes() == text
    assert (tmp_path / "other" / "text.txt").read_bytes() != text


def test_plan_that_ends_lower_gives_the_same_states(run, model, honest, variants):
    full = verify(run, honest, model, "--device", variants[1])["per_capture_point"]
    lower = verify(run, honest, model, "--device", variants[1], "--depth", 16, "--check", "states")["per_capture_point"]
    assert list(lower) == ["0", "8", "16"]
    for name, point in lower.items():
        assert point == full[name]


@pytest.mark.parametrize("states", ["bf16", "f16", "f32"])
def test_python_safetensors_reads_the_trace(run, model, variants, tmp_path, states):
    summary = infer(run, model, tmp_path, "--device", variants[0], "--states", states)
    path = tmp_path / "trace.safetensors"
    header_size = struct.unpack("<Q", path.read_bytes()[:8])[0]
    header = json.loads(path.read_bytes()[8 : 8 + header_size])
    with safe_open(path, framework="numpy") as trace:
        names = set(trace.keys())
        assert names == {"tokens", "positions"} | {f"hidden_states.{point}" for point in ("0", "8", "16", "24", "final")}
        tokens, positions = trace.get_tensor("tokens"), trace.get_tensor("positions")
        metadata = trace.metadata()
        assert json.loads(metadata["device"])["name"] == variants[0]
        assert json.loads(metadata["sampling"])["temperature"] == 0.7
        assert (metadata["format"], metadata["format_version"]) == ("verillm-trace", "2")
        schedule = json.loads(metadata["schedule"])
        assert set(schedule) == {"context", "chunk", "threads", "flash_attention", "cache", "sequences", "shared_prefix"}
        assert (schedule["flash_attention"], schedule["cache"], schedule["sequences"], schedule["shared_prefix"]) == ("auto", "f16", 1, 0)
        for name in sorted(names - {"tokens", "positions"}):
            assert trace.get_slice(name).get_shape() == [N_OUTPUT, 576]
            if states == "bf16":  # numpy has no such type: the upper half of an F32
                begin, end = header[name]["data_offsets"]
                raw = numpy.frombuffer(path.read_bytes(), "<u2", offset=8 + header_size + begin, count=(end - begin) // 2)
                values = (raw.astype(numpy.uint32) << 16).view(numpy.float32).reshape(N_OUTPUT, 576)
            else:
                values = trace.get_tensor(name).astype(numpy.float32)
            assert numpy.isfinite(values).all()
            assert 0.01 < numpy.abs(values).mean() < 100
    assert len(tokens) == summary["n_prompt"] + N_OUTPUT
    assert positions.tolist() == list(range(summary["n_prompt"], summary["n_prompt"] + N_OUTPUT))


def test_compare_shows_how_far_two_traces_lie_apart(run, model, honest, variants, tmp_path):
    # Greedy choices, so that two devices give the same tokens.
    for name, device in (("a", variants[0]), ("b", variants[1])):
        infer(run, model, tmp_path / name, "--device", device, "--temperature", 0)
    a, b = tmp_path / "a" / "trace.safetensors", tmp_path / "b" / "trace.safetensors"
    itself = run("compare", a, a, "--json")
    assert itself.code == 0 and json.loads(itself.out)["per_capture_point"]["24"]["exact_share"] == 1
    done = run("compare", a, b, "--json")
    if done.code == 2:
        pytest.skip("the two variants chose different tokens: " + done.err.strip())
    point = json.loads(done.out)["per_capture_point"]["24"]
    assert 0.2 < point["exact_share"] < 0.999
    done = run("compare", a, honest / "trace.safetensors")
    assert done.code == 2 and "different tokens" in done.err


def test_help_names_every_subcommand_and_the_exit_codes(run):
    done = run("--help")
    assert done.code == 0
    for word in ("devices", "model", "infer", "verify", "compare", "attack", "calibrate", "experiment", "worker", "Exit codes"):
        assert word in done.out


def test_model_inspect_names_type_and_digest(run, model):
    done = run("model", "inspect", model, "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert (summary["n_layer"], summary["width"], summary["n_vocab"]) == (30, 576, 49152)
    assert summary["parameters_by_type"]["f16"] > 0.99 * summary["n_parameters"]
    assert len(summary["digest"]) == 64
