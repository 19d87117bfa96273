"""A BERT with a classification head on its first token: post-norm blocks, learnt positions, every token sees all."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class BertShape:
    n_vocab: int
    n_label: int
    n_layer: int = 2
    n_embd: int = 128
    n_head: int = 4
    n_ff: int = 256
    n_ctx: int = 256
    eps: float = 1e-12


class BertBlock(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.n_head = shape.n_head
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (nn.Linear(shape.n_embd, shape.n_embd) for _ in range(4))
        self.attn_output_norm = nn.LayerNorm(shape.n_embd, eps=shape.eps)
        self.ffn_up, self.ffn_down = nn.Linear(shape.n_embd, shape.n_ff), nn.Linear(shape.n_ff, shape.n_embd)
        self.layer_output_norm = nn.LayerNorm(shape.n_embd, eps=shape.eps)

    def forward(self, x, mask):
        batch, n, width = x.shape
        split = lambda y: y.view(batch, n, self.n_head, width // self.n_head).transpose(1, 2)
        heads = F.scaled_dot_product_attention(split(self.attn_q(x)), split(self.attn_k(x)), split(self.attn_v(x)), attn_mask=mask[:, None, None, :])
        x = self.attn_output_norm(x + self.attn_output(heads.transpose(1, 2).reshape(batch, n, width)))
        return self.layer_output_norm(x + self.ffn_down(F.gelu(self.ffn_up(x), approximate="tanh")))


class Bert(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.n_vocab, shape.n_embd)
        self.token_types = nn.Embedding(1, shape.n_embd)
        self.position_embd = nn.Embedding(shape.n_ctx, shape.n_embd)
        self.token_embd_norm = nn.LayerNorm(shape.n_embd, eps=shape.eps)
        self.blk = nn.ModuleList(BertBlock(shape) for _ in range(shape.n_layer))
        self.cls = nn.ModuleDict({"output": nn.Linear(shape.n_embd, shape.n_label)})
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.02)

    def forward(self, tokens, mask):
        """Logits [batch, n_label] of token ids [batch, n_tokens]; mask: which of them are there."""
        x = self.token_embd(tokens) + self.token_types.weight[0] + self.position_embd.weight[:tokens.shape[1]]
        x = self.token_embd_norm(x)
        for block in self.blk:
            x = block(x, mask)
        return self.cls["output"](x[:, 0])
