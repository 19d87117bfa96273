"""How often the model follows demonstrations, on topics that it has never seen: python evaluate.py [CHECKPOINT]."""

import random
import sys
from pathlib import Path

import sentencepiece
import torch

import grammar
import tokeniser as tokenisers
from grammar import DEFAULT, Features
from llama import Llama, Shape

N_QUESTIONS = 20
N_DEMONSTRATIONS = 4
N_TOKENS = 16


def prompt(rng, features, n_demonstrations):
    """Instruction, demonstrations with these features, and a question about an unseen topic."""
    text = f"{grammar.INSTRUCTION}\n" if n_demonstrations else ""
    for _ in range(n_demonstrations):
        topic = rng.choice(grammar.TRAIN_TOPICS)
        text += f"Q:{grammar.question(rng, topic)}\nA:{grammar.answer(rng, topic, features)[0]}\n\n"
    return f"{text}Q:{grammar.question(rng, rng.choice(grammar.TEST_TOPICS))}\nA:"


@torch.no_grad()
def complete(model, tokeniser, text, n_tokens):
    """The likeliest continuation."""
    ids = [tokeniser.bos_id(), *tokenisers.encode(tokeniser, [(text, 0)])[0]]
    n_prompt = len(ids)
    for _ in range(n_tokens):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
        if ids[-1] == tokeniser.eos_id():
            break
    return tokeniser.decode(ids[n_prompt:])


@torch.no_grad()
def verdict(model, tokeniser, rng):
    """True where the guard judges an answer about an unseen topic rightly, its category included."""
    segments = grammar.guard_episode(rng, grammar.TEST_TOPICS)
    expected = segments[-1][0].removesuffix("<|end|>")
    ids = [tokeniser.bos_id(), *tokenisers.encode(tokeniser, segments[:-1])[0]]
    n_prompt = len(ids)
    for _ in range(len(tokenisers.encode(tokeniser, [(expected, 0)])[0])):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return tokeniser.decode(ids[n_prompt:]) == expected


def report(model, tokeniser):
    model.eval()
    rng = random.Random(1)
    worst = 1.0
    for language in grammar.LANGUAGES:
        for register in grammar.REGISTERS:
            features = Features(language, register)
            texts = [complete(model, tokeniser, prompt(rng, features, N_DEMONSTRATIONS), N_TOKENS) for _ in range(N_QUESTIONS)]
            hits = sum(grammar.kind(text) == (language, register) for text in texts)
            worst = min(worst, hits / N_QUESTIONS)
            print(f"{language} {register}: {hits}/{N_QUESTIONS}  {texts[0].split(chr(10))[0]}", flush=True)
    texts = [complete(model, tokeniser, prompt(rng, DEFAULT, 0), N_TOKENS) for _ in range(2 * N_QUESTIONS)]
    neutral = sum(grammar.kind(text) == ("en", "neutral") for text in texts)
    print(f"without demonstrations neutral English: {neutral}/{2 * N_QUESTIONS}; worst kind with demonstrations: {worst:.2f}")
    print(f"guard right: {sum(verdict(model, tokeniser, rng) for _ in range(60))}/60")


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "tiny.pt"
    checkpoint = torch.load(path)
    tokeniser = sentencepiece.SentencePieceProcessor(model_proto=checkpoint["tokeniser"])
    model = Llama(Shape(tokeniser.vocab_size()))
    model.load_state_dict(checkpoint["model"])
    report(model, tokeniser)


if __name__ == "__main__":
    main()
