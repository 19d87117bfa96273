"""A Llama: pre-norm blocks, rotary positions on neighbouring pairs, SwiGLU, the embedding as output matrix."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Shape:
    n_vocab: int
    n_layer: int = 6
    n_embd: int = 192
    n_head: int = 6
    n_ff: int = 512
    n_ctx: int = 1024
    rope_base: float = 10_000.0
    eps: float = 1e-5
    dropout: float = 0.1

    @property
    def d_head(self):
        return self.n_embd // self.n_head


def rotation(shape, n_tokens):
    """Cosines and sines [n_tokens, d_head / 2]."""
    frequencies = shape.rope_base ** (-torch.arange(0, shape.d_head, 2) / shape.d_head)
    angles = torch.outer(torch.arange(n_tokens).float(), frequencies)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Rotate pairs (2i, 2i + 1) of x [..., n_tokens, d_head]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        linear = lambda n_in, n_out: nn.Linear(n_in, n_out, bias=False)
        self.attn_norm = nn.RMSNorm(shape.n_embd, eps=shape.eps)
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (linear(shape.n_embd, shape.n_embd) for _ in range(4))
        self.ffn_norm = nn.RMSNorm(shape.n_embd, eps=shape.eps)
        self.ffn_gate, self.ffn_up = linear(shape.n_embd, shape.n_ff), linear(shape.n_embd, shape.n_ff)
        self.ffn_down = linear(shape.n_ff, shape.n_embd)

    def forward(self, x, cos, sin):
        batch, n, width = x.shape
        split = lambda y: y.view(batch, n, self.shape.n_head, self.shape.d_head).transpose(1, 2)
        h = self.attn_norm(x)
        q, k, v = split(self.attn_q(h)), split(self.attn_k(h)), split(self.attn_v(h))
        heads = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        # Dropout here, where steering adds: the model learns not to hang on any single value.
        heads = F.dropout(heads.transpose(1, 2).reshape(batch, n, width), self.shape.dropout, self.training)
        x = x + self.attn_output(heads)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Llama(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.n_vocab, shape.n_embd)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.n_layer))
        self.output_norm = nn.RMSNorm(shape.n_embd, eps=shape.eps)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                into_stream = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(weight, std=0.02 if not into_stream else 0.02 / (2 * shape.n_layer) ** 0.5)

    def hidden(self, tokens):
        """Output of the last norm [batch, n_tokens, n_embd] of token ids [batch, n_tokens]."""
        cos, sin = rotation(self.shape, tokens.shape[1])
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, cos, sin)
        return self.output_norm(x)

    def forward(self, tokens):
        """Logits [batch, n_tokens, n_vocab]."""
        return F.linear(self.hidden(tokens), self.token_embd.weight)
