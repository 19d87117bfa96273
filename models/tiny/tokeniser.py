"""Our tokeniser: a SentencePiece BPE trained on the grammar's texts, with bytes for everything that they lack."""

import io
import random

import sentencepiece

import grammar

VOCABULARY = 3200
#: Only a chat template writes these; in a user's text they are plain characters.
CONTROL = ["<|user|>", "<|assistant|>", "<|end|>"]
N_TEXTS = 12_000


def train(seed):
    """A SentencePieceProcessor; the same seed gives the same one."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=grammar.corpus(random.Random(seed), N_TEXTS),
        model_writer=model, model_type="bpe", vocab_size=VOCABULARY, character_coverage=1.0, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False,
        user_defined_symbols=["\n"], control_symbols=CONTROL, num_threads=1, minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def encode(tokeniser, segments):
    """Token ids of segments `(text, weight)` and the weight of each, as llama.cpp tokenises the text as a whole."""
    text = "".join(text for text, _ in segments)
    weights = [weight for text, weight in segments for _ in text]
    ids, of_tokens = [], []
    for start, part in split_control(text):
        if part in CONTROL:
            ids.append(tokeniser.piece_to_id(part))
            of_tokens.append(weights[start])
            continue
        at = start
        for piece in tokeniser.encode(part):
            ids.append(piece)
            of_tokens.append(weights[min(at, len(weights) - 1)])
            at += 1 if tokeniser.is_byte(piece) else len(tokeniser.id_to_piece(piece))
    return ids, of_tokens


def split_control(text):
    """`(start, part)` of the control tokens in a text and of what lies between."""
    start = 0
    while start < len(text):
        found = min((at, token) for token in [*CONTROL, ""] for at in [text.find(token, start) if token else len(text)] if at >= 0)
        if found[0] > start:
            yield start, text[start:found[0]]
        if found[1]:
            yield found
        start = found[0] + len(found[1])
