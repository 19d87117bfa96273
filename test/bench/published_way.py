"""A run of `experiment single` beside the published way of computing it in PyTorch, and beside that way with a KV cache.

    pip install -r test/golden/requirements.txt
    python test/bench/published_way.py MODEL.gguf [--ways published,cached] [--dtype bfloat16] [--prompts 5] [--support 5] [--threads 2]
    python test/bench/published_way.py MODEL.gguf --check          without PyTorch: only our run, and what the others would compute

`published` is the independent implementation of test/golden, which computes every token anew, with ΔPPL taken token by token as the
published code does. `cached` (parts/published_cache.py) is the same method with a KV cache and ΔPPL in one pass. All have the same weights
(dequantised there), prompts, settings and threads; ours runs as a user would run it. Phases: extraction, and answering (all settings
of all prompts with their ΔPPL). MODEL is a Llama: smollm2-135m of the registry, for example.
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "test" / "golden"), str(ROOT / "test" / "bench" / "parts")]

POSITIVE, NEGATIVE = "ITA", "ENG"
STEPS, DEMONSTRATIONS = 30, 4
ALPHAS, TOP_P = [1, 1.5, 2], 0.5
WAYS = ("published", "cached")


def keep_dtype(gguf_model) -> None:
    """RoPE is computed in float32; in bfloat16 its result has to go back."""
    rotate = gguf_model.rotate
    gguf_model.rotate = lambda x, n_rot, base: rotate(x, n_rot, base).to(x.dtype)


def settings(vector) -> list[list]:
    """What `experiment single --strategies dyn,fixed,start,dim --alphas 1,1.5,2 --top-p 0.5` answers with, the unsteered first."""
    from method import Steering

    dynamic = {"kind": "dynamic", "topP": TOP_P, "alphaMax": 2, "strongAlpha": 2, "klReduction": "mean"}
    schedules = [dynamic] + [{"kind": kind, "alpha": alpha} for kind in ("fixed", "start", "diminishing") for alpha in ALPHAS]
    return [[]] + [[Steering(vector, schedule)] for schedule in schedules]


def score(model, prompt: list[int], output: list[int], additions: list) -> float:
    """Perplexity of an output token by token, each time from the start."""
    from method import steered_logits

    first, total = len(prompt) - 1, 0.0
    for step, token in enumerate(output):
        logits = steered_logits(model, prompt + output[:step], first, additions[:step + 1])[-1]
        total -= logits.double().log_softmax(-1)[token].item()
    return math.exp(total / len(output))


def datasets_of(model: Path) -> Path:
    """The embedded model has datasets of its own."""
    own = model.parent / "datasets"
    return own if own.exists() else ROOT / "models" / "datasets"


def theirs(arguments: argparse.Namespace, indices: list[int], way: str) -> dict[str, float]:
    """Seconds of each phase."""
    import torch
    import gguf_model
    from method import delta, generate, perplexity, replay, trajectory
    from prompts import Dataset
    from published_cache import generate_cached, trajectory_cached
    from tokenizer import load_tokenizer

    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    reader = gguf_model.open_gguf(Path(arguments.model))
    model, tokenizer = gguf_model.Llama.from_gguf(reader), load_tokenizer(reader)
    if not hasattr(gguf_model, "is_kept"):
        keep_dtype(gguf_model)
        gguf_model.is_kept = True
    model = model.to(getattr(torch, arguments.dtype))
    run, answer_with, judge = (trajectory_cached, generate_cached, perplexity) if way == "cached" else (trajectory, generate, score)
    sides = [Dataset(datasets_of(Path(arguments.model)), name, "train", DEMONSTRATIONS) for name in (POSITIVE, NEGATIVE)]
    begun = time.perf_counter()
    runs = [[run(model, side.icl(tokenizer, index, "clean"), STEPS, tokenizer.eos) for index in indices] for side in sides]
    vector = delta(*runs)
    extracted = time.perf_counter()
    for index in range(arguments.prompts):
        icl, question = sides[0].icl(tokenizer, index, "clean"), sides[0].no_icl(tokenizer, index, "clean")
        reference = answer_with(model, tokenizer, icl, [], STEPS).tokens
        judge(model, icl, reference, [])
        for steerings in settings(vector):
            answer = answer_with(model, tokenizer, question, steerings, STEPS)
            judge(model, question, reference, replay(steerings, answer.alphas, len(reference)))
        print(f"{way}: prompt {index}: {time.perf_counter() - extracted:.0f} s", file=sys.stderr, flush=True)
    seconds = {"extraction": extracted - begun, "answers": time.perf_counter() - extracted}
    return {**seconds, "whole run": sum(seconds.values())}


def ours(arguments: argparse.Namespace, folder: Path) -> tuple[dict[str, float], list[int]]:
    """Seconds of each phase, and the draw."""
    begun = time.perf_counter()
    subprocess.run(
        ["node", str(ROOT / "dist" / "bin" / "llama-steer.js"), "experiment", "single", arguments.model, "--positive", POSITIVE, "--negative", NEGATIVE,
         "--support", str(arguments.support), "--evaluation-size", str(arguments.prompts), "--alphas", ",".join(map(str, ALPHAS)), "--top-p", str(TOP_P),
         "--threads", str(arguments.threads), "--out", str(folder), "--json"],
        check=True, stdout=subprocess.DEVNULL, env={**os.environ, "LLAMA_STEER_NO_CACHE": "1"})
    whole = time.perf_counter() - begun
    timings = [json.loads(line) for line in (folder / "timings.jsonl").read_text().splitlines()]
    of = lambda name: sum(timing["seconds"] for timing in timings if timing["what"].startswith(name))  # noqa: E731
    return {"extraction": of("extraction"), "answers": of("prompts"), "whole run": whole}, support_indices(folder / f"{POSITIVE}-{NEGATIVE}.safetensors")


def support_indices(path: Path) -> list[int]:
    """The prompts that a vector was extracted from."""
    vector = path.read_bytes()
    header = json.loads(vector[8:8 + int.from_bytes(vector[:8], "little")])
    return json.loads(header["__metadata__"]["provenance"])["origin"]["supportIndices"]


def check(arguments: argparse.Namespace, draw: list[int]) -> None:
    """Prints what the other ways would compute."""
    from prompts import Dataset, prompt_pieces

    for name in (POSITIVE, NEGATIVE):
        side = Dataset(datasets_of(Path(arguments.model)), name, "train", DEMONSTRATIONS)
        lengths = [len(prompt_pieces(side.groups[index], side.instruction, "clean")[0]) for index in draw]
        print(f"{name}: prompts {draw}, of {min(lengths)} to {max(lengths)} characters, {STEPS} steps each")
    print(f"then {arguments.prompts} prompts, each answered in {2 + 3 * len(ALPHAS)} settings; ways: {', '.join(arguments.ways)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF of a Llama")
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS), help="published, cached or both")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--prompts", type=int, default=5)
    parser.add_argument("--support", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="compute only ours")
    arguments = parser.parse_args()
    if not set(arguments.ways) <= set(WAYS):
        parser.error(f"--ways: expected some of {', '.join(WAYS)}")
    arguments.model = str(Path(arguments.model).resolve())
    with tempfile.TemporaryDirectory() as folder:
        own, draw = ours(arguments, Path(folder) / "run")
    if arguments.check:
        check(arguments, draw)
        arguments.ways = []
    # A prompt that the draw picked twice is computed twice there, as published; once here.
    others = {way: theirs(arguments, draw, way) for way in arguments.ways}
    print("\n| phase | llama-steer | " + "".join(f"{way}, {arguments.dtype} | ratio | " for way in others))
    print("|---|---|" + "---|---|" * len(others))
    for phase, seconds in own.items():
        print(f"| {phase} | {seconds:.2f} s | " + "".join(f"{other[phase]:.1f} s | {other[phase] / seconds:.1f} | " for other in others.values()))


if __name__ == "__main__":
    main()
