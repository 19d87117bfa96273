"""Datasets and prompts (docs/method.md §1, §2)."""
from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the prompts' texts need none
    from tokenizer import Tokenizer

Row = dict[str, str]  # {"input": query, "output": answer}
FORMATS = ("clean", "published")


class Dataset:
    """Rows of one split, cut into groups, and the instruction.

    `groups[i]`: k + 1 consecutive rows; the first k are demonstrations, the last is the query (docs/method.md §2). An
    incomplete last group is dropped.
    """

    def __init__(self, folder: Path, name: str, split: str, k: int):
        self.name = name
        self.path = folder / name / f"{name}_{split}.json"
        self.instruction_path = folder / name / f"{name}_instr.txt"
        rows: list[Row] = json.loads(self.path.read_text("utf-8"))
        self.instruction = self.instruction_path.read_text("utf-8").strip()
        self.groups = [rows[at:at + k + 1] for at in range(0, len(rows) - k, k + 1)]

    def icl(self, tokenizer: Tokenizer, group: int, form: str) -> list[int]:
        """Token ids of the prompt with instruction and demonstrations."""
        return prompt_tokens(tokenizer, prompt_pieces(self.groups[group], self.instruction, form), form)

    def no_icl(self, tokenizer: Tokenizer, group: int, form: str) -> list[int]:
        """Token ids of the query alone: no instruction, no demonstrations."""
        return prompt_tokens(tokenizer, prompt_pieces(self.groups[group][-1:], "", form), form)


def prompt_pieces(group: list[Row], instruction: str, form: str) -> list[str]:
    """The texts that are tokenised one by one; joined they are the prompt (docs/method.md §2).

    clean: one piece, all demonstrations. published: the last demonstration is left out (k - 1 of k), and the text is
    cut as the published program cuts it: instruction, newline, `Q:`, query, `\\nA:`, answer, blank line.
    """
    *demonstrations, query = group
    if form != "clean":
        demonstrations = demonstrations[:-1]
    pieces = [instruction, "\n"] if instruction else []
    for row in demonstrations:
        pieces += ["Q:", row["input"], "\nA:", row["output"], "\n\n"]
    pieces += ["Q:", query["input"], "\nA:"]
    return pieces if form == "published" else ["".join(pieces)]


def prompt_tokens(tokenizer: Tokenizer, pieces: list[str], form: str) -> list[int]:
    """Each piece tokenised with its own BOS; published writes one more at the very start."""
    extra = [tokenizer.bos] if form == "published" and tokenizer.bos is not None else []
    return extra + [token for piece in pieces for token in tokenizer.encode(piece)]
