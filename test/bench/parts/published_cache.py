"""The published Dyn, and its extraction, with a KV cache: what a careful PyTorch program of it would do.

Every prompt is computed once. Afterwards a step takes a forward pass of one token for the streams P and S of all properties, as one
batch, and one for the output stream. The model is that of test/golden, whose weights are shared; its own way has no cache.
Shapes: B streams, T tokens, h = nHead, g = nHeadKv, c = dHead, width = h * c. An addition is [nLayer, width].
"""
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, silu

from gguf_model import Block, Llama
from method import Generation, Steering, Trajectory, addition, greedy, restricted_kl
from tokenizer import Tokenizer

Visit = Callable[[int, Tensor], Tensor]


@dataclass
class Streams:
    """The cells of B streams: per layer keys and values [B, g, T, c]."""

    cells: list[tuple[Tensor, Tensor]]

    def fork(self, n: int) -> "Streams":
        """n streams that begin with the cells of the only one here."""
        return Streams([tuple(part.expand(n, -1, -1, -1) for part in pair) for pair in self.cells])


def rotated(x: Tensor, begin: int, n_rot: int, base: float) -> Tensor:
    """RoPE of x [B, heads, T, c] at the positions from `begin` on, as `gguf_model.rotate`."""
    powers = torch.arange(0, n_rot, 2, dtype=torch.float64) / n_rot
    angles = torch.arange(begin, begin + x.shape[-2], dtype=torch.float64)[:, None] * base ** -powers
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., 0:n_rot:2], x[..., 1:n_rot:2]
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return torch.cat((turned.flatten(-2), x[..., n_rot:]), dim=-1)


def heads(block: Block, x: Tensor, cells: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The heads' outputs [B, T, width] of tokens x [B, T, d] after those in the cells, and all cells."""
    s = block.sizes
    shape = (*x.shape[:2], -1, s.d_head)
    begin = cells[0].shape[2] if cells else 0
    q = rotated(block.q_proj(x).view(shape).transpose(1, 2), begin, s.n_rot, s.rope_base)
    k = rotated(block.k_proj(x).view(shape).transpose(1, 2), begin, s.n_rot, s.rope_base)
    v = block.v_proj(x).view(shape).transpose(1, 2)
    if cells:
        k, v = torch.cat((cells[0], k), dim=2), torch.cat((cells[1], v), dim=2)
    out = scaled_dot_product_attention(q, k, v, is_causal=begin == 0, enable_gqa=True)
    return out.transpose(1, 2).reshape(*x.shape[:2], s.width), (k, v)


def forward(model: Llama, tokens: list[list[int]], before: Streams | None, visit: Visit) -> tuple[Tensor, Streams]:
    """Logits [B, nVocab] after the last token of each stream, and the cells; `visit(layer, x [B, width])` sees and replaces its head outputs."""
    x = model.token_embd(torch.tensor(tokens))
    cells = []
    for layer, block in enumerate(model.blocks):
        out, own = heads(block, block.attn_norm(x), before.cells[layer] if before else None)
        cells.append(own)
        out = torch.cat((out[:, :-1], visit(layer, out[:, -1])[:, None]), dim=1)
        x = x + block.o_proj(out)
        hidden = block.ffn_norm(x)
        x = x + block.down_proj(silu(block.gate_proj(hidden)) * block.up_proj(hidden))
    return model.lm_head(model.output_norm(x[:, -1])), Streams(cells)


def unsteered(_: int, x: Tensor) -> Tensor:
    """Changes nothing."""
    return x


def adding(additions: list[Tensor | None]) -> Visit:
    """Adds to the streams of a batch, one addition or none each."""
    zero = torch.zeros_like(next((each for each in additions if each is not None), torch.zeros(())))
    stacked = torch.stack([zero if each is None else each for each in additions])  # [B, nLayer, width]
    return lambda layer, x: x + stacked[:, layer].to(x.dtype) if stacked.dim() == 3 else x


def trajectory_cached(model: Llama, prompt: list[int], n_steps: int, eos: int) -> Trajectory:
    """As `method.trajectory`."""
    run, cells, fed = Trajectory(), None, prompt
    for _ in range(n_steps):
        rows: list[Tensor] = []

        def keep(_: int, x: Tensor) -> Tensor:
            rows.append(x[0].clone())
            return x

        logits, cells = forward(model, [fed], cells, keep)
        run.rows.append(torch.stack(rows))
        token, lead = greedy(logits[0])
        run.margin = min(run.margin, lead)
        if token == eos:
            break
        run.tokens.append(token)
        fed = [token]
    return run


def generate_cached(model: Llama, tokenizer: Tokenizer, prompt: list[int], steerings: list[Steering], limit: int) -> Generation:
    """As `method.generate`, with the same alphas and tokens up to rounding."""
    dynamic = [j for j, s in enumerate(steerings) if s.dynamic]
    start = forward(model, [prompt[:-1]], None, unsteered)[1] if len(prompt) > 1 else None
    probes = start.fork(1 + len(dynamic)) if start and dynamic else start
    output = start
    run = Generation([], "length", "", [[] for _ in steerings], [[] if s.dynamic else None for s in steerings],
                     [[] if s.dynamic else None for s in steerings], float("inf"))
    token = prompt[-1]
    for step in range(limit):
        if dynamic:
            strong = [steerings[j].schedule["strongAlpha"] * steerings[j].at(step) for j in dynamic]
            logits, probes = forward(model, [[token]] * (1 + len(dynamic)), probes, adding([None, *strong]))
        for j, s in enumerate(steerings):
            if not s.dynamic:
                run.alphas[j].append(s.set_alpha(step))
                continue
            kl, size = restricted_kl(logits[0], logits[1 + dynamic.index(j)], s.schedule["topP"], s.schedule["klReduction"])
            run.kls[j].append(kl)
            run.set_sizes[j].append(size)
            run.alphas[j].append(min(max(kl, 0.0), s.schedule["alphaMax"]))
        added = addition(steerings, [series[step] for series in run.alphas], step) if steerings else None
        logits_out, output = forward(model, [[token]], output, adding([added]))
        token, lead = greedy(logits_out[0])
        run.margin = min(run.margin, lead)
        if token == tokenizer.eos:
            run.finish = "eos"
            break
        run.tokens.append(token)
        run.text = tokenizer.decode(run.tokens)
        if "Q:" in run.text:
            run.finish = "stop"
            break
    return run
