"""A Llama in plain PyTorch, read from a GGUF and computed in float32, every token anew (no KV cache).

Shapes are row-major: T tokens, d = nEmbd, h = nHead, g = nHeadKv, c = dHead, width = h * c.
"""
from dataclasses import dataclass
from pathlib import Path

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from torch import Tensor, nn

LAYER_MODULES = {  # GGUF name -> module name within a block
    "attn_norm": "attn_norm",
    "attn_q": "q_proj",
    "attn_k": "k_proj",
    "attn_v": "v_proj",
    "attn_output": "o_proj",
    "ffn_norm": "ffn_norm",
    "ffn_gate": "gate_proj",
    "ffn_up": "up_proj",
    "ffn_down": "down_proj",
}
TOP_MODULES = {"token_embd": "token_embd", "output_norm": "output_norm", "output": "lm_head"}


def metadata(reader: GGUFReader, key: str, default=None):
    """Value of a GGUF metadata key, or the default; without a default a missing key is an error."""
    field = reader.get_field(key)
    if field is not None:
        return field.contents()
    if default is None:
        raise KeyError(f"the GGUF has no {key}")
    return default


@dataclass(frozen=True)
class Sizes:
    """Hyperparameters of a Llama."""

    n_layer: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int
    d_head: int
    n_vocab: int
    n_rot: int
    rope_base: float
    rms_eps: float

    @property
    def width(self) -> int:
        """Size of the input of W_O: all heads side by side."""
        return self.n_head * self.d_head

    @classmethod
    def from_gguf(cls, reader: GGUFReader) -> "Sizes":
        """Reads the sizes; refuses architectures and RoPE variants that this file does not compute."""
        architecture = metadata(reader, "general.architecture")
        if architecture != "llama":
            raise ValueError(f"architecture {architecture}: only llama is implemented")
        scaling = metadata(reader, "llama.rope.scaling.type", "none")
        if scaling != "none":
            raise ValueError(f"RoPE scaling {scaling} is not implemented")
        n_embd = metadata(reader, "llama.embedding_length")
        n_head = metadata(reader, "llama.attention.head_count")
        d_head = metadata(reader, "llama.attention.key_length", n_embd // n_head)
        return cls(
            n_layer=metadata(reader, "llama.block_count"),
            n_embd=n_embd,
            n_ff=metadata(reader, "llama.feed_forward_length"),
            n_head=n_head,
            n_head_kv=metadata(reader, "llama.attention.head_count_kv", n_head),
            d_head=d_head,
            n_vocab=len(metadata(reader, "tokenizer.ggml.tokens")),
            n_rot=metadata(reader, "llama.rope.dimension_count", d_head),
            rope_base=metadata(reader, "llama.rope.freq_base", 10000.0),
            rms_eps=metadata(reader, "llama.attention.layer_norm_rms_epsilon"),
        )


class RmsNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) * weight over the last axis."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x: Tensor, n_rot: int, base: float) -> Tensor:
    """RoPE on adjacent pairs, as GGUF stores Q and K of a Llama: pair (2i, 2i+1) turns by t * base^(-2i/nRot).

    x: [T, heads, dHead] -> same shape; t is the row, dimensions from nRot on are left alone.
    """
    powers = torch.arange(0, n_rot, 2, dtype=torch.float64) / n_rot
    angles = torch.arange(len(x), dtype=torch.float64)[:, None] * base ** -powers  # [T, nRot/2]
    cos, sin = angles.cos().float()[:, None], angles.sin().float()[:, None]  # [T, 1, nRot/2]
    even, odd = x[..., 0:n_rot:2], x[..., 1:n_rot:2]
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return torch.cat((turned.flatten(-2), x[..., n_rot:]), dim=-1)


class Block(nn.Module):
    """One layer. The input of `o_proj` (W_O), [T, width], is the site that the method reads and steers."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        width_kv = sizes.n_head_kv * sizes.d_head
        self.attn_norm = RmsNorm(sizes.n_embd, sizes.rms_eps)
        self.q_proj = nn.Linear(sizes.n_embd, sizes.width, bias=False)
        self.k_proj = nn.Linear(sizes.n_embd, width_kv, bias=False)
        self.v_proj = nn.Linear(sizes.n_embd, width_kv, bias=False)
        self.o_proj = nn.Linear(sizes.width, sizes.n_embd, bias=False)
        self.ffn_norm = RmsNorm(sizes.n_embd, sizes.rms_eps)
        self.gate_proj = nn.Linear(sizes.n_embd, sizes.n_ff, bias=False)
        self.up_proj = nn.Linear(sizes.n_embd, sizes.n_ff, bias=False)
        self.down_proj = nn.Linear(sizes.n_ff, sizes.n_embd, bias=False)

    def heads(self, x: Tensor) -> Tensor:
        """Causal attention, grouped queries: x [T, d] -> all heads' outputs side by side [T, width]."""
        s, n = self.sizes, len(x)
        q = rotate(self.q_proj(x).view(n, s.n_head, s.d_head), s.n_rot, s.rope_base)
        k = rotate(self.k_proj(x).view(n, s.n_head_kv, s.d_head), s.n_rot, s.rope_base)
        v = self.v_proj(x).view(n, s.n_head_kv, s.d_head)
        k, v = (t.repeat_interleave(s.n_head // s.n_head_kv, dim=1) for t in (k, v))  # [T, h, c]
        scores = torch.einsum("qhc,khc->hqk", q, k) / s.d_head ** 0.5
        future = torch.ones(n, n, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -torch.inf).softmax(-1)  # [h, T, T]
        return torch.einsum("hqk,khc->qhc", weights, v).reshape(n, s.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.o_proj(self.heads(self.attn_norm(x)))
        hidden = self.ffn_norm(x)
        return x + self.down_proj(nn.functional.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class Llama(nn.Module):
    """Decoder-only transformer whose weights are those of a GGUF, dequantised."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        self.token_embd = nn.Embedding(sizes.n_vocab, sizes.n_embd)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.n_layer))
        self.output_norm = RmsNorm(sizes.n_embd, sizes.rms_eps)
        self.lm_head = nn.Linear(sizes.n_embd, sizes.n_vocab, bias=False)

    @torch.no_grad()
    def forward(self, tokens: list[int], first: int = 0) -> Tensor:
        """Logits [T - first, nVocab] of the positions from `first` on."""
        x = self.token_embd(torch.tensor(tokens))
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.output_norm(x[first:]))

    @classmethod
    def from_gguf(cls, reader: GGUFReader) -> "Llama":
        """Builds the model; a tensor that has no place here, or a place without a tensor, is an error."""
        model = cls(Sizes.from_gguf(reader))
        weights = {
            module_name(t.name): torch.from_numpy(dequantize(t.data, t.tensor_type).copy()) for t in reader.tensors
        }
        weights.setdefault("lm_head.weight", weights["token_embd.weight"])  # tied output matrix
        model.load_state_dict(weights, strict=True)
        return model.eval()


def module_name(tensor_name: str) -> str:
    """GGUF tensor name -> parameter name here (`blk.3.attn_q.weight` -> `blocks.3.q_proj.weight`)."""
    parts = tensor_name.split(".")
    if parts[0] == "blk" and parts[2] in LAYER_MODULES:
        return ".".join(("blocks", parts[1], LAYER_MODULES[parts[2]], *parts[3:]))
    if parts[0] in TOP_MODULES:
        return ".".join((TOP_MODULES[parts[0]], *parts[1:]))
    raise ValueError(f"tensor {tensor_name} is not implemented")


def open_gguf(path: Path) -> GGUFReader:
    """Memory-maps a GGUF."""
    return GGUFReader(str(path))
