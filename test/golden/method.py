"""Extraction, steering, Dynamic Activation Composition and ΔPPL, each token recomputed from scratch.

docs/method.md §3 to §6. Everything acts on the head outputs: the input of W_O of every layer, all heads side by side.
Shapes: T tokens, N steps, width = nHead * dHead. An addition is what one step adds at its position: [nLayer, width].
The model computes in float32; distributions, means over prompts and perplexities are taken in float64.
"""
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gguf_model import Llama
from tokenizer import Tokenizer

Visit = Callable[[int, Tensor], Tensor | None]


@contextmanager
def head_output_hooks(model: Llama, visit: Visit) -> Iterator[None]:
    """Within the context `visit(layer, x [T, width])` sees each layer's input of W_O; what it returns replaces it."""
    handles = [
        block.o_proj.register_forward_pre_hook(lambda _, args, layer=layer: visit(layer, args[0]))
        for layer, block in enumerate(model.blocks)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def capture(model: Llama, tokens: list[int]) -> tuple[Tensor, Tensor]:
    """Logits [nVocab] and head outputs [nLayer, width] at the last position."""
    rows: list[Tensor] = []
    with head_output_hooks(model, lambda _, x: rows.append(x[-1].clone())):
        logits = model(tokens, first=len(tokens) - 1)[0]
    return logits, torch.stack(rows)


def steered_logits(model: Llama, tokens: list[int], first: int, additions: list[Tensor]) -> Tensor:
    """Logits [T - first, nVocab] from position `first` on, with additions[i] added at position first + i."""
    def steer(layer: int, x: Tensor) -> Tensor:
        x = x.clone()
        for step, addition in enumerate(additions):
            x[first + step] += addition[layer]
        return x

    with head_output_hooks(model, steer):
        return model(tokens, first)


@dataclass
class Trajectory:
    """A greedy run under an ICL prompt: one captured row per step, the step that predicts EOS included."""

    tokens: list[int] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)
    margin: float = math.inf


def trajectory(model: Llama, prompt: list[int], n_steps: int, eos: int) -> Trajectory:
    """Up to n_steps greedy tokens; row i is captured at position L - 1 + i, which predicts token i (§3)."""
    run = Trajectory()
    for _ in range(n_steps):
        logits, row = capture(model, prompt + run.tokens)
        run.rows.append(row)
        token, lead = greedy(logits)
        run.margin = min(run.margin, lead)
        if token == eos:
            break
        run.tokens.append(token)
    return run


def mean_per_step(runs: list[Trajectory]) -> tuple[list[Tensor], list[int]]:
    """mean_i over the prompts still running at step i, [nLayer, width] float64 each, and their counts (§3)."""
    means, counts = [], []
    for step in range(max(len(run.rows) for run in runs)):
        running = [run.rows[step].double() for run in runs if step < len(run.rows)]
        means.append(torch.stack(running).mean(0))
        counts.append(len(running))
    return means, counts


def delta(positive: list[Trajectory], negative: list[Trajectory]) -> Tensor:
    """Δ_i = mean_i(positive) - mean_i(negative), [N, nLayer, width] float32; N: steps that both sides reached (§3)."""
    pairs = zip(mean_per_step(positive)[0], mean_per_step(negative)[0])
    return torch.stack([above - below for above, below in pairs]).float()


def greedy(logits: Tensor) -> tuple[int, float]:
    """The most likely token (the lowest id on a tie) and its lead over the second."""
    best, second = logits.topk(2).values.tolist()
    return int(logits.argmax()), best - second


@dataclass
class Steering:
    """One property: its delta [N, nLayer, width] and its schedule (keys as in the configuration)."""

    delta: Tensor
    schedule: dict

    @property
    def dynamic(self) -> bool:
        return self.schedule["kind"] == "dynamic"

    def at(self, step: int) -> Tensor:
        """Δ_step, or the mean over the steps of the vector beyond its last one: [nLayer, width]."""
        return self.delta[step] if step < len(self.delta) else self.delta.mean(0)

    def set_alpha(self, step: int) -> float:
        """α_step of the schedules that need no distributions (§4)."""
        kind, alpha = self.schedule["kind"], float(self.schedule["alpha"])
        if kind == "fixed":
            return alpha
        if kind == "start":
            return alpha if step == 0 else 0.0
        if kind == "diminishing":
            return alpha * max(0.0, 1 - step / len(self.delta))
        raise ValueError(f"schedule {kind}")


def compose(steerings: list[Steering]) -> list[Steering]:
    """The same properties cut to the smallest step count among them (§5)."""
    n = min((len(s.delta) for s in steerings), default=0)
    return [Steering(s.delta[:n], s.schedule) for s in steerings]


def addition(steerings: list[Steering], alphas: list[float], step: int) -> Tensor:
    """Σ_j α_j Δ_step^j (§5): [nLayer, width]."""
    return torch.stack([alpha * s.at(step) for s, alpha in zip(steerings, alphas, strict=True)]).sum(0)


def top_p_set(probabilities: Tensor, p: float) -> Tensor:
    """Mask [nVocab] of the fewest most likely tokens whose probability exceeds p, the one that crosses kept (§4)."""
    ordered, ids = probabilities.sort(descending=True, stable=True)
    before = torch.cat((torch.zeros(1), ordered.cumsum(0)[:-1]))  # probability of all tokens ahead in the order
    mask = torch.zeros(len(probabilities), dtype=torch.bool)
    mask[ids[before <= p]] = True
    return mask


def restricted_kl(p_logits: Tensor, s_logits: Tensor, p: float, reduction: str) -> tuple[float, int]:
    """KL(P || S) on Q = topP(P) ∪ topP(S), both renormalised there, and |Q| (§4).

    sum: Σ_Q P log(P / S), the formula. mean: that divided by |Q|, the published code.
    """
    p_logits, s_logits = p_logits.double(), s_logits.double()
    kept = top_p_set(p_logits.softmax(0), p) | top_p_set(s_logits.softmax(0), p)
    log_p, log_s = p_logits[kept].log_softmax(0), s_logits[kept].log_softmax(0)
    kl = (log_p.exp() * (log_p - log_s)).sum().item()
    size = int(kept.sum())
    return {"sum": kl, "mean": kl / size}[reduction], size


@dataclass
class Generation:
    """A greedy continuation; per property and computed step the α, and for Dyn the KL and |Q| (else None)."""

    tokens: list[int]
    finish: str
    text: str
    alphas: list[list[float]]
    kls: list[list[float] | None]
    set_sizes: list[list[int] | None]
    margin: float


def generate(model: Llama, tokenizer: Tokenizer, prompt: list[int], steerings: list[Steering],
             limit: int) -> Generation:
    """Greedy decoding of the output stream, which carries Σ_j α_i^j Δ_i^j at position L - 1 + i (§4, §5).

    Dyn reads two kinds of probe streams over the same tokens: one unsteered, and per property one that carries
    only that property with the strong alpha at every step so far. The step whose token is EOS has its α recorded.
    """
    first = len(prompt) - 1
    tokens: list[int] = []
    output: list[Tensor] = []
    strong: list[list[Tensor]] = [[] for _ in steerings]
    alphas: list[list[float]] = [[] for _ in steerings]
    kls: list[list[float] | None] = [[] if s.dynamic else None for s in steerings]
    sizes: list[list[int] | None] = [[] if s.dynamic else None for s in steerings]
    margin, finish, text = math.inf, "length", ""
    for step in range(limit):
        so_far = prompt + tokens
        if any(s.dynamic for s in steerings):
            unsteered = steered_logits(model, so_far, first, [])[-1]
        for j, s in enumerate(steerings):
            if not s.dynamic:
                alphas[j].append(s.set_alpha(step))
                continue
            strong[j].append(s.schedule["strongAlpha"] * s.at(step))
            probe = steered_logits(model, so_far, first, strong[j])[-1]
            kl, size = restricted_kl(unsteered, probe, s.schedule["topP"], s.schedule["klReduction"])
            kls[j].append(kl)
            sizes[j].append(size)
            alphas[j].append(min(max(kl, 0.0), s.schedule["alphaMax"]))
        if steerings:
            output.append(addition(steerings, [series[step] for series in alphas], step))
        token, lead = greedy(steered_logits(model, so_far, first, output)[-1])
        margin = min(margin, lead)
        if token == tokenizer.eos:
            finish = "eos"
            break
        tokens.append(token)
        text = tokenizer.decode(tokens)
        if "Q:" in text:
            finish = "stop"
            break
    return Generation(tokens, finish, text, alphas, kls, sizes, margin)


def replay(steerings: list[Steering], alphas: list[list[float]], n_steps: int) -> list[Tensor]:
    """Additions of n_steps steps: set schedules go on, Dyn repeats the α it found and then has α = 0 (§6)."""
    def alpha(j: int, step: int) -> float:
        if not steerings[j].dynamic:
            return steerings[j].set_alpha(step)
        return alphas[j][step] if step < len(alphas[j]) else 0.0

    if not steerings:
        return []
    return [addition(steerings, [alpha(j, step) for j in range(len(steerings))], step) for step in range(n_steps)]


def perplexity(model: Llama, prompt: list[int], output: list[int], additions: list[Tensor]) -> float | None:
    """exp(mean negative log-likelihood) of the output teacher-forced under the prompt; None for no tokens (§6)."""
    if not output:
        return None
    logits = steered_logits(model, prompt + output[:-1], len(prompt) - 1, additions)  # [len(output), nVocab]
    log_likelihood = logits.double().log_softmax(-1)[range(len(output)), output]
    return math.exp(-log_likelihood.mean().item())
