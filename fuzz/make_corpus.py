#!/usr/bin/env python3
"""Writes the seeds of the fuzzers, small and made by hand, into fuzz/corpus. Run it after changing a format. Findings lie beside the
seeds under names of their own and are left alone.

    fuzz/make_corpus.py
"""

import base64
import json
import struct
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def write(fuzzer, name, content):
    path = CORPUS / fuzzer / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def frame(head, payload=b""):
    head = head if isinstance(head, bytes) else compact(head).encode()
    return struct.pack("<II", len(head), len(payload)) + head + payload


def trace(metadata, tensors):
    """A safetensors file of tensors given as (name, dtype, shape, data)."""
    header, data = {"__metadata__": metadata}, b""
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = compact(header).encode()
    return struct.pack("<Q", len(text)) + text + data


MODEL = {"name": "m", "digest": "d", "architecture": "llama", "weight_type": "f16", "n_layer": 8, "width": 2, "n_vocab": 10,
         "vocabulary_digest": "v"}
DEVICE = {"name": "cpu", "backend": "CPU", "description": "c", "features": ["AVX2"], "engine": "e", "memory_total": 1}
SCHEDULE = {"context": 4, "chunk": 2, "threads": 1, "flash_attention": "auto", "cache": "f16", "sequences": 1, "shared_prefix": 0}
SAMPLING = {"temperature": 0.7, "top_p": 0.9, "seed": 1, "ignore_end": False}


def canonical_json_seeds():
    write("canonical_json", "receipt", compact({"layers": [0, 8], "model": "m", "root": "ab" * 32, "version": 1}))
    write("canonical_json", "numbers",
          "[-1,-1.5,0,0.000001,0.1,1,1.7976931348623157e+308,1e+21,1e-7,333333333.3333333,5e-324,9007199254740992]")
    write("canonical_json", "strings", r'["\"\\\b\f\n\r\t\u0000\u001f' + '\x7f/\u20ac\u2028\U0001f600"]')
    write("canonical_json", "sorted_keys", '{"":null,"\\r":true,"1":false,"\u00f6":{},"\u20ac":[],"\U0001f600":0,"\ufb33":1}')
    write("canonical_json", "not_canonical", '{ "b": 1.0, "a": [1E2, -0, "\\u0061\\/"] }\n')
    write("canonical_json", "large_integers", "[9007199254740993,18446744073709551615,-9223372036854775808,295147905179352830000]")
    write("canonical_json", "nested", "[" * 32 + "]" * 32)


def calibration_seeds():
    point = {"element_mean": -4.5, "element_deviation": 0.5, "relative_mean": -5.5, "relative_deviation": 0.25,
             "scale_deviation": 0.001}
    limits = {"threshold": 1.5, "extreme": 2.5}
    scores = ["element error", "worst element error", "worst relative error", "scale error", "sampling margin"]
    calibration = {
        "format": "verillm-calibration", "format_version": 2, "model": MODEL, "states": "bf16", "false_positive_rate": 1e-4,
        "exceedance_rate": 0.003, "longest_response": 320,
        "pairs": [{"prover": "cpu", "verifier": "blas", "engine": "e", "n_responses": 120, "n_positions": 4800}],
        "conditions": ["default"], "prompts_digest": "p", "embedding_error": 0.0, "points": {"8": point, "final": point},
        "limits": {score: limits for score in scores}}
    write("calibration", "sound", compact(calibration))
    write("calibration", "without_pairs", compact({**calibration, "pairs": [], "conditions": [], "states": "f32"}))
    write("calibration", "other_version", compact({**calibration, "format_version": 1}))


def trace_seeds():
    for states, dtype, element in (("bf16", "BF16", "<H"), ("f16", "F16", "<H"), ("f32", "F32", "<I")):
        rows = b"".join(struct.pack(element, i) for i in range(4))
        plan = {"points": ["0", "8", "final"], "states": states}
        metadata = {"format": "verillm-trace", "format_version": "2", "model": compact(MODEL), "device": compact(DEVICE),
                    "schedule": compact(SCHEDULE), "sampling": compact(SAMPLING), "plan": compact(plan), "n_prompt": "2",
                    "n_overflow": "0"}
        tensors = [("tokens", "I32", [4], struct.pack("<4i", 5, 6, 7, 8)), ("positions", "I32", [2], struct.pack("<2i", 2, 3))]
        tensors += [(f"hidden_states.{point}", dtype, [2, 2], rows) for point in plan["points"]]
        write("trace", states, trace(metadata, tensors))
    empty = [("tokens", "I32", [2], struct.pack("<2i", 5, 6)), ("positions", "I32", [0], b"")]
    write("trace", "without_output", trace({**metadata, "plan": compact({"points": [], "states": "bf16"})}, empty))
    write("trace", "without_metadata", trace(None, empty))


def worker_frame_seeds():
    plan = {"points": ["0", "final"], "states": "f32"}
    schedule = {**SCHEDULE, "context": 0, "chunk": 0, "threads": 0}
    frames = {
        "hello": frame({"type": "hello"}),
        "load": frame({"type": "load", "digest": "d", "file_bytes": 1 << 33}),
        "loaded": frame({"type": "done", "model": MODEL, "waited_seconds": 0.5}),
        "generate": frame({"type": "generate", "raw": False, "sampling": SAMPLING, "output_tokens": 2, "plan": plan,
                           "schedule": schedule}, b"Hi \xff"),
        "generated": frame({"type": "done", "schedule": SCHEDULE, "n_overflow": 0, "prefill_seconds": 0.5,
                            "decode_seconds": 1.5, "waited_seconds": 0}),
        "prefill": frame({"type": "prefill", "tokens": [5, 6, 7], "first_position": 2, "plan": plan, "check": SAMPLING,
                          "in_steps": True, "schedule": schedule}),
        "prefilled": frame({"type": "done", "schedule": SCHEDULE, "n_overflow": 1, "seconds": -0.0, "waited_seconds": 2e3}),
        "rows": frame({"type": "rows", "point": "final"}, bytes(8)),
        "tokens": frame({"type": "tokens", "tokens": [5, 6]}, b"a \xe4"),
        "margins": frame({"type": "margins", "margins": [0, 2.5]}),
        "error": frame({"type": "error", "kind": "input", "message": "no"}),
    }
    for name, content in frames.items():
        write("worker_frames", name, content)
    write("worker_frames", "two_frames", frames["hello"] + frames["rows"])
    # What is refused.
    write("worker_frames", "cut_short", frames["rows"][:-3])
    write("worker_frames", "greeting", "Welcome to Ubuntu\n")
    write("worker_frames", "earlier_protocol", b"\x0c\0\0\0\xa1dtypeehello")
    write("worker_frames", "payload_where_none_belongs", frame({"type": "load", "digest": "d", "file_bytes": 1}, b"more"))
    write("worker_frames", "head_too_long", struct.pack("<II", 2**32 - 1, 0) + b"{}")
    write("worker_frames", "payload_too_long", struct.pack("<II", 2, 2**28 + 1) + b"{}")
    write("worker_frames", "payload_only_claimed", struct.pack("<II", 2, 2**28) + b"{}x")
    write("worker_frames", "no_object", frame(b'["hello"]'))
    write("worker_frames", "doubled_key", frame(b'{"type":"hello","type":"load"}'))
    write("worker_frames", "too_deep", frame(b'{"type":' + b"[" * 33 + b"]" * 33 + b"}"))
    write("worker_frames", "no_utf8", frame(b'{"type":"\xff"}'))
    write("worker_frames", "zero_byte", frame(b'{"type":"hello"}\0'))
    write("worker_frames", "number_beyond_doubles", frame(b'{"type":"done","seconds":1e999}'))


def experiment_config_seeds():
    write("experiment_config", "defaults", "{}\n")
    write("experiment_config", "every_key", """\
experiment: exp2
title: A question?
model: smollm2-135m
name: m
prover: cuda:0@box
verifier: [cpu, blas]
workers:
  box:
    command: [ssh, box, verillm, worker]
worker_timeout: 60
scenario: 1
trials: 1
verifiers: 1
prompts: prompts.yaml
prompt_length: short
raw: true
output_tokens: 8
sampling: {temperature: 0.7, top_p: 0.9, seed: 1, ignore_end: true}
record: {layers_every: 8, final: true, states: f32}
schedule: {chunk: 64, threads: 1, flash_attention: auto, cache: q8_0, sequences: 2, shared_prefix: 1}
attack: [none, "perturbed-weights:0.01"]
lazy_verifier: none
expected: accept
check_sampling: true
match: false
policy: paper
thresholds: {pe: 0.05, pm: 0.75, pw: 0.5, mean_error: 0.01, significance: 0.01}
criterion: 0.9
""")
    write("experiment_config", "prompts", "prompts:\n  short:\n    - |\n      One\n      two\n    - Three\n")
    write("experiment_config", "anchors", "attack: &none [none]\nlazy_verifier: *none\ntitle: !!str 1\n? name\n: |-\n  m\n")


def toploc_proof_seeds():
    def proof(modulus, *coefficients):
        return base64.b64encode(struct.pack(f">{1 + len(coefficients)}H", modulus, *coefficients)).decode()

    constant = proof(65497, 0x4000, *[0] * 7)
    proofs = [proof(65497, *range(1, 9)), proof(65496, 65496, *range(7))]
    write("toploc_proofs", "accepted", f"{constant}\n{constant}\n")
    write("toploc_proofs", "lines", "\n".join(proofs) + "\n")
    write("toploc_proofs", "list", compact(proofs))
    write("toploc_proofs", "without_last_newline", "\n".join(proofs))
    write("toploc_proofs", "none", "[]")
    # What is rejected.
    write("toploc_proofs", "null", f"{proof(0, *[0] * 8)}\n{proofs[0]}\n")
    write("toploc_proofs", "other_sizes", f"{proof(65497, 7)}\n{proof(1, *range(20))}\n{proofs[0]}\n")
    # What is refused.
    write("toploc_proofs", "modulus_too_large", proof(65498, 1) + "\n")
    write("toploc_proofs", "coefficient_too_large", proof(65497, 65497) + "\n")
    write("toploc_proofs", "no_coefficients", proof(65497) + "\n")
    write("toploc_proofs", "odd_number_of_bytes", base64.b64encode(b"\xff\xd9\0\1\0").decode() + "\n")
    write("toploc_proofs", "no_base64", "/9kAAQ*C\n")
    write("toploc_proofs", "no_string", '["/9kAAQAC",7]')


if __name__ == "__main__":
    canonical_json_seeds()
    calibration_seeds()
    trace_seeds()
    worker_frame_seeds()
    experiment_config_seeds()
    toploc_proof_seeds()
