"""Token ids of a text and back, from the vocabulary inside a GGUF.

Both kinds first split off the user-defined tokens of the vocabulary (longest first, as llama.cpp does). Control
tokens that are spelled out in a text stay text.
"""
import tokenizers
from gguf import GGUFReader, TokenType
from tokenizers import models, pre_tokenizers

from gguf_model import metadata

SPACE = "\u2581"  # how SentencePiece writes a space


class Tokenizer:
    """What the two kinds share; they supply `_encode_fragment` and `_piece`."""

    default_add_bos: bool

    def __init__(self, reader: GGUFReader):
        self.tokens: list[str] = metadata(reader, "tokenizer.ggml.tokens")
        self.types: list[int] = metadata(reader, "tokenizer.ggml.token_type")
        self.ids = {text: token for token, text in enumerate(self.tokens)}
        self.eos: int = metadata(reader, "tokenizer.ggml.eos_token_id")
        self.add_bos: bool = metadata(reader, "tokenizer.ggml.add_bos_token", self.default_add_bos)
        self.bos: int | None = metadata(reader, "tokenizer.ggml.bos_token_id", -1)
        if self.bos < 0:
            self.bos, self.add_bos = None, False
        user_defined = (token for token, kind in enumerate(self.types) if kind == TokenType.USER_DEFINED)
        self.user_defined = sorted(user_defined, key=lambda token: -len(self.tokens[token]))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with BOS in front if the GGUF says so."""
        ids = [self.bos] if self.add_bos else []
        first = True  # at the start of the text or just after a user-defined token
        for fragment in self._fragments(text):
            if isinstance(fragment, int):
                ids.append(fragment)
                first = True
            else:
                ids.extend(self._encode_fragment(fragment, first))
                first = False
        return ids

    def decode(self, ids: list[int]) -> str:
        """Text of the tokens as a continuation (no leading space removed); control tokens are silent."""
        return b"".join(self._piece(token) for token in ids).decode("utf-8", errors="replace")

    def _fragments(self, text: str) -> list[str | int]:
        """The text cut at its user-defined tokens: strings and, where such a token stood, its id."""
        fragments: list[str | int] = [text] if text else []
        for token in self.user_defined:
            cut = []
            for fragment in fragments:
                if isinstance(fragment, int):
                    cut.append(fragment)
                    continue
                for n, part in enumerate(fragment.split(self.tokens[token])):
                    if n > 0:
                        cut.append(token)
                    if part:
                        cut.append(part)
            fragments = cut
        return fragments

    def _encode_fragment(self, text: str, first: bool) -> list[int]:
        raise NotImplementedError

    def _piece(self, token: int) -> bytes:
        raise NotImplementedError


class SentencePieceTokenizer(Tokenizer):
    """SentencePiece BPE (`llama`): the adjacent pair with the best score merges first, leftmost on ties."""

    default_add_bos = True

    def __init__(self, reader: GGUFReader):
        super().__init__(reader)
        self.scores: list[float] = metadata(reader, "tokenizer.ggml.scores")
        self.add_space_prefix: bool = metadata(reader, "tokenizer.ggml.add_space_prefix", True)
        written = (TokenType.NORMAL, TokenType.USER_DEFINED)  # a text never merges into `<s>` or `<0x0A>`
        self.mergeable = {text: token for text, token in self.ids.items() if self.types[token] in written}
        is_byte = (kind == TokenType.BYTE for kind in self.types)
        self.byte_of = {token: int(self.tokens[token][3:5], 16) for token, yes in enumerate(is_byte) if yes}  # <0xNN>
        self.token_of_byte = {byte: token for token, byte in self.byte_of.items()}

    def _encode_fragment(self, text: str, first: bool) -> list[int]:
        prefix = " " if first and self.add_space_prefix else ""
        parts = list((prefix + text).replace(" ", SPACE))
        while (at := self._best_pair(parts)) is not None:
            parts[at:at + 2] = [parts[at] + parts[at + 1]]
        return [token for part in parts for token in self._part_ids(part)]

    def _best_pair(self, parts: list[str]) -> int | None:
        """Index of the pair to merge next, or None when no pair is in the vocabulary."""
        best, best_score = None, -float("inf")
        for at, (left, right) in enumerate(zip(parts, parts[1:])):
            token = self.mergeable.get(left + right)
            if token is not None and (best is None or self.scores[token] > best_score):
                best, best_score = at, self.scores[token]
        return best

    def _part_ids(self, part: str) -> list[int]:
        """The part's own token, or one token per UTF-8 byte."""
        if part in self.mergeable:
            return [self.mergeable[part]]
        return [self.token_of_byte[byte] for byte in part.encode()]

    def _piece(self, token: int) -> bytes:
        if token in self.byte_of:
            return bytes([self.byte_of[token]])
        if self.types[token] == TokenType.NORMAL:
            return self.tokens[token].replace(SPACE, " ").encode()
        return self.tokens[token].encode() if self.types[token] == TokenType.USER_DEFINED else b""


def byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in of each byte: itself where it prints in Latin-1, else the next from U+0100 on."""
    prints = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in prints]
    return {chr(byte): byte for byte in prints} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


class ByteLevelTokenizer(Tokenizer):
    """GPT-2 byte-level BPE by the `tokenizers` library; `smollm` splits off every digit first."""

    default_add_bos = False

    def __init__(self, reader: GGUFReader):
        super().__init__(reader)
        kind = metadata(reader, "tokenizer.ggml.pre", "gpt-2")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        splits = {"smollm": [pre_tokenizers.Digits(individual_digits=True), byte_level], "gpt-2": [byte_level]}
        if kind not in splits:
            raise ValueError(f"pre-tokeniser {kind} is not implemented")
        merges = [tuple(pair.split(" ")) for pair in metadata(reader, "tokenizer.ggml.merges")]
        self.library = tokenizers.Tokenizer(models.BPE(vocab=self.ids, merges=merges))
        self.library.pre_tokenizer = pre_tokenizers.Sequence(splits[kind])
        self.alphabet = byte_alphabet()

    def _encode_fragment(self, text: str, first: bool) -> list[int]:
        return self.library.encode(text, add_special_tokens=False).ids

    def _piece(self, token: int) -> bytes:
        if self.types[token] == TokenType.NORMAL:
            return bytes(self.alphabet[character] for character in self.tokens[token])
        return self.tokens[token].encode() if self.types[token] == TokenType.USER_DEFINED else b""


def load_tokenizer(reader: GGUFReader) -> Tokenizer:
    """The tokenizer that the GGUF names."""
    kinds = {"llama": SentencePieceTokenizer, "gpt2": ByteLevelTokenizer}
    return kinds[metadata(reader, "tokenizer.ggml.model")](reader)
