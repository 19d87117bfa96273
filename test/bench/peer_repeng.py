"""Beside repeng: a control vector on every layer but the first, in PyTorch and transformers, which load the same GGUF.

    pip install repeng accelerate               brings torch, transformers and gguf
    python test/bench/peer_repeng.py MODEL.gguf [--dtype float32] [--tokens 32] [--rounds 3] [--threads 2] [--support 5]
    python test/bench/peer_repeng.py MODEL.gguf --check          without PyTorch: only what would be computed

Ours are the rows `unsteered` and `fixed1` of `npm run bench`, between two halves of repeng's rounds. Each side answers the same question
greedily. Version 5 of transformers keeps the weights packed and is fastest in float32. The values of a control vector do not change its speed, so it is random.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
QUESTION = "Q:Why do leaves change colour in autumn?\nA: The"
AT_ONCE = (1, 8)
SCALE = 0.02


def ours(arguments: argparse.Namespace) -> dict[str, float]:
    """Tokens per second of our rows."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        subprocess.run(
            ["node", str(ROOT / "dist" / "test" / "bench" / "engine.js"), "--models", arguments.model, "--json", str(results),
             "--only", ",".join(f"fixed1@{n}" for n in AT_ONCE), "--rounds", str(arguments.rounds), "--tokens", str(arguments.tokens),
             "--threads", str(arguments.threads), "--support", str(arguments.support)], check=True, stdout=subprocess.DEVNULL)
        rows = json.loads(results.read_text())["models"][0]["rows"]
    return {row["name"]: row["value"]["median"] for row in rows}


class Repeng:
    """The model in transformers, wrapped by repeng."""

    def __init__(self, arguments: argparse.Namespace):
        import numpy
        import torch
        from repeng import ControlModel, ControlVector
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(arguments.threads)
        torch.set_grad_enabled(False)
        path = Path(arguments.model)
        self.torch, self.tokens = torch, arguments.tokens
        self.tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=getattr(torch, arguments.dtype)).eval()
        layers = range(1, model.config.num_hidden_layers)
        self.model = ControlModel(model, list(layers))
        random = numpy.random.default_rng(1)
        directions = {layer: (SCALE * random.standard_normal(model.config.hidden_size)).astype(numpy.float32) for layer in layers}
        self.vector = ControlVector(model_type=model.config.model_type, directions=directions)

    def seconds(self, at_once: int, new_tokens: int) -> float:
        """Seconds of a greedy generation."""
        inputs = self.tokenizer([QUESTION] * at_once, return_tensors="pt")
        begun = time.perf_counter()
        out = self.model.generate(**inputs, do_sample=False, max_new_tokens=new_tokens, min_new_tokens=new_tokens,
                                  pad_token_id=self.tokenizer.eos_token_id)
        assert out.shape[1] == inputs["input_ids"].shape[1] + new_tokens
        return time.perf_counter() - begun

    def rate(self, at_once: int, steered: bool) -> float:
        """Tokens per second from the first token to the last."""
        self.model.reset()
        if steered:
            self.model.set_control(self.vector, 1.0)
        return at_once * self.tokens / (self.seconds(at_once, self.tokens + 1) - self.seconds(at_once, 1))

    def rounds(self, n: int, rates: dict[str, list[float]]) -> None:
        """Measures everything n times."""
        for _ in range(n):
            for at_once in AT_ONCE:
                for name, steered in (("unsteered", False), ("fixed1", True)):
                    rates.setdefault(f"{name}@{at_once}", []).append(self.rate(at_once, steered))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF whose architecture transformers can load from one")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--support", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="compute nothing")
    arguments = parser.parse_args()
    arguments.model = str(Path(arguments.model).resolve())
    with open(arguments.model, "rb") as file:
        if file.read(4) != b"GGUF":
            parser.error(f"{arguments.model} is not a GGUF")
    if arguments.check:
        print(f"{Path(arguments.model).name}, {arguments.dtype}: {QUESTION!r}, {arguments.tokens} tokens, {arguments.rounds} rounds, "
              f"{' and '.join(map(str, AT_ONCE))} at once, with a control vector and without")
        return
    theirs, rates = Repeng(arguments), {}
    theirs.rounds(1, {})  # warms up
    theirs.rounds((arguments.rounds + 1) // 2, rates)
    own = ours(arguments)
    theirs.rounds(arguments.rounds // 2, rates)
    import torch
    import transformers
    print(f"\ntorch {torch.__version__}, transformers {transformers.__version__}, {arguments.dtype}, {arguments.threads} threads\n")
    print("| row | llama-steer, tokens/s | repeng, tokens/s: median (range) | ratio |\n|---|---|---|---|")
    for name, found in rates.items():
        middle = statistics.median(found)
        print(f"| {name} | {own[name]:.1f} | {middle:.1f} ({min(found):.1f}–{max(found):.1f}) | {own[name] / middle:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
