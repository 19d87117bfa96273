"""A run of `experiment single` against the published way of computing it: every token anew, without a KV cache, in PyTorch.

    pip install -r test/golden/requirements.txt
    python test/bench/published_way.py MODEL.gguf [--dtype bfloat16] [--prompts 5] [--support 5]

The published way is the independent implementation of test/golden, with ΔPPL taken token by token as the published code
does. Both sides have the same weights (dequantised there), prompts, settings and threads; ours runs as a user would run
it. Phases: extraction, and answering (all settings of all prompts with their ΔPPL).
"""
import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "golden"))
import gguf_model  # noqa: E402
from method import Steering, delta, generate, replay, steered_logits, trajectory  # noqa: E402
from prompts import Dataset  # noqa: E402
from tokenizer import load_tokenizer  # noqa: E402

POSITIVE, NEGATIVE = "ITA", "ENG"
STEPS, DEMONSTRATIONS = 30, 4
ALPHAS, TOP_P = [1, 1.5, 2], 0.5


def keep_dtype() -> None:
    """RoPE is computed in float32; in bfloat16 its result has to go back."""
    rotate = gguf_model.rotate
    gguf_model.rotate = lambda x, n_rot, base: rotate(x, n_rot, base).to(x.dtype)


def settings(vector: Tensor) -> list[list[Steering]]:
    """What `experiment single --strategies dyn,fixed,start,dim --alphas 1,1.5,2 --top-p 0.5` answers with, the unsteered first."""
    dynamic = {"kind": "dynamic", "topP": TOP_P, "alphaMax": 2, "strongAlpha": 2, "klReduction": "mean"}
    schedules = [dynamic] + [{"kind": kind, "alpha": alpha} for kind in ("fixed", "start", "diminishing") for alpha in ALPHAS]
    return [[]] + [[Steering(vector, schedule)] for schedule in schedules]


def score(model, prompt: list[int], output: list[int], additions: list[Tensor]) -> float:
    """Perplexity of an output token by token, each time from the start."""
    first, total = len(prompt) - 1, 0.0
    for step, token in enumerate(output):
        logits = steered_logits(model, prompt + output[:step], first, additions[:step + 1])[-1]
        total -= logits.double().log_softmax(-1)[token].item()
    return math.exp(total / len(output))


def theirs(arguments: argparse.Namespace, indices: list[int]) -> dict[str, float]:
    """Seconds of each phase."""
    reader = gguf_model.open_gguf(Path(arguments.model))
    model, tokenizer = gguf_model.Llama.from_gguf(reader), load_tokenizer(reader)
    keep_dtype()
    model = model.to(getattr(torch, arguments.dtype))
    folder = ROOT / "models" / "datasets"
    sides = [Dataset(folder, name, "train", DEMONSTRATIONS) for name in (POSITIVE, NEGATIVE)]
    begun = time.perf_counter()
    runs = [[trajectory(model, side.icl(tokenizer, index, "clean"), STEPS, tokenizer.eos) for index in indices] for side in sides]
    vector = delta(*runs)
    extracted = time.perf_counter()
    passes = 0
    for index in range(arguments.prompts):
        icl, question = sides[0].icl(tokenizer, index, "clean"), sides[0].no_icl(tokenizer, index, "clean")
        reference = generate(model, tokenizer, icl, [], STEPS).tokens
        score(model, icl, reference, [])
        for steerings in settings(vector):
            answer = generate(model, tokenizer, question, steerings, STEPS)
            score(model, question, reference, replay(steerings, answer.alphas, len(reference)))
            passes += len(answer.tokens) * (3 if steerings and steerings[0].dynamic else 1) + len(reference)
        print(f"prompt {index}: {time.perf_counter() - extracted:.0f} s, {passes / (time.perf_counter() - extracted):.1f} passes/s", file=sys.stderr, flush=True)
    return {"extraction": extracted - begun, "answers": time.perf_counter() - extracted}


def ours(arguments: argparse.Namespace, folder: Path) -> tuple[dict[str, float], list[int]]:
    """Seconds of each phase, and the draw."""
    begun = time.perf_counter()
    subprocess.run(
        ["node", str(ROOT / "dist" / "bin" / "llama-steer.js"), "experiment", "single", arguments.model, "--positive", POSITIVE, "--negative", NEGATIVE,
         "--support", str(arguments.support), "--evaluation-size", str(arguments.prompts), "--alphas", ",".join(map(str, ALPHAS)), "--top-p", str(TOP_P),
         "--threads", str(arguments.threads), "--out", str(folder), "--json"], check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - begun
    timings = [json.loads(line) for line in (folder / "timings.jsonl").read_text().splitlines()]
    vector = (folder / f"{POSITIVE}-{NEGATIVE}.safetensors").read_bytes()
    header = json.loads(vector[8:8 + int.from_bytes(vector[:8], "little")])
    draw = json.loads(header["__metadata__"]["provenance"])["supportIndices"]
    of = lambda name: sum(timing["seconds"] for timing in timings if timing["what"].startswith(name))  # noqa: E731
    return {"extraction": of("extraction"), "answers": of("prompts"), "whole run": whole}, draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF of a Llama")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--prompts", type=int, default=5)
    parser.add_argument("--support", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    arguments.model = str(Path(arguments.model).resolve())
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as folder:
        own, draw = ours(arguments, Path(folder) / "run")
    # A prompt that the draw picked twice is computed twice there, as published; once here.
    other = theirs(arguments, draw)
    other["whole run"] = sum(other.values())
    print(f"{'phase':12} {arguments.dtype:>10} {'ours':>10} {'ratio':>7}")
    for phase, seconds in other.items():
        print(f"{phase:12} {seconds:9.1f}s {own[phase]:9.2f}s {seconds / own[phase]:7.1f}")


if __name__ == "__main__":
    main()
