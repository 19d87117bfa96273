"""A tiny random Llama, its GGUF and its tokenizers, for test_golden.py."""
import tempfile
from pathlib import Path

import torch
from gguf import GGUFWriter, TokenType

from gguf_model import Llama, Sizes, open_gguf
from tokenizer import Tokenizer, load_tokenizer

SIZES = Sizes(n_layer=2, n_embd=16, n_ff=24, n_head=4, n_head_kv=2, d_head=4, n_vocab=268, n_rot=4,
              rope_base=1000.0, rms_eps=1e-5)


def tiny_model() -> Llama:
    """Random weights, large enough that steering changes tokens."""
    torch.manual_seed(1)
    model = Llama(SIZES)
    for weight in model.parameters():
        weight.data = torch.randn_like(weight) * 0.5
    return model.eval()


MODEL = tiny_model()


def random_delta(n_steps: int = 4, seed: int = 2) -> torch.Tensor:
    """[n_steps, nLayer, width]"""
    return torch.randn(n_steps, SIZES.n_layer, SIZES.width, generator=torch.Generator().manual_seed(seed))


class Letters:
    """A tokenizer for the random model: a token is a character, none ends the text."""

    eos = -1

    def decode(self, ids):
        return "".join(chr(0x4E00 + token) for token in ids)


def write_gguf(path: Path, add_space_prefix: bool = False) -> None:
    """The tiny model as F16 GGUF, tied, with a SentencePiece vocabulary: 3 control, 256 bytes, \\n, pieces."""
    pieces = {"a": -9.0, "b": -9.0, "\u2581": -9.0, "ab": -2.0, "ba": -1.0, "\u2581a": -3.0, "Q": -9.0, ":": -9.0}
    normal = TokenType.NORMAL
    entries = [("<unk>", 0.0, TokenType.UNKNOWN), ("<s>", 0.0, TokenType.CONTROL), ("</s>", 0.0, TokenType.CONTROL)]
    entries += [(f"<0x{byte:02X}>", 0.0, TokenType.BYTE) for byte in range(256)]
    entries += [("\n", 0.0, TokenType.USER_DEFINED), *((text, score, normal) for text, score in pieces.items())]
    writer = GGUFWriter(str(path), "llama")
    writer.add_block_count(SIZES.n_layer)
    writer.add_embedding_length(SIZES.n_embd)
    writer.add_feed_forward_length(SIZES.n_ff)
    writer.add_head_count(SIZES.n_head)
    writer.add_head_count_kv(SIZES.n_head_kv)
    writer.add_rope_freq_base(SIZES.rope_base)
    writer.add_layer_norm_rms_eps(SIZES.rms_eps)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _, _ in entries])
    writer.add_token_scores([score for _, score, _ in entries])
    writer.add_token_types([kind for _, _, kind in entries])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(add_space_prefix)
    names = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
             "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down", "blocks": "blk"}
    for name, weight in MODEL.state_dict().items():
        if name != "lm_head.weight":
            name = ".".join(names.get(part, part) for part in name.split("."))
            writer.add_tensor(name, weight.half().numpy() if weight.ndim == 2 else weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def spm(add_space_prefix: bool = False) -> tuple[Llama, Tokenizer]:
    """Model and tokenizer read back from a written GGUF."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.gguf"
        write_gguf(path, add_space_prefix)
        reader = open_gguf(path)
        return Llama.from_gguf(reader), load_tokenizer(reader)
