"""Train the embedded formality classifier and write it as GGUF: python train_classifier.py [--seed 7] [--steps 1200]."""

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

import export
import grammar
import tokeniser as tokenisers
from bert import Bert, BertShape
from grammar import Features

LABELS = ["formal", "informal"]
#: What the classifier is to say of a register: it does not know what a neutral text is.
TARGETS = {"formal": [1.0, 0.0], "informal": [0.0, 1.0], "neutral": [0.5, 0.5]}
BATCH = 96
LEARNING_RATE = 1e-3
LEAST_TOKENS = 6
N_TEST = 600


def example(rng, tokeniser, topics):
    """Token ids of the beginning of an answer, and its target."""
    features = replace(grammar.random_features(rng), register=rng.choice(grammar.REGISTERS))
    ids = tokenisers.encode(tokeniser, [(grammar.answer(rng, rng.choice(topics), features)[0], 0)])[0]
    cut = rng.randint(LEAST_TOKENS, max(len(ids), LEAST_TOKENS)) if rng.random() < 0.5 else len(ids)
    return [tokeniser.bos_id(), *ids[:cut]], TARGETS[features.register]


def batch(rng, tokeniser, topics, size):
    """Token ids and mask [size, longest], targets [size, 2]."""
    examples = [example(rng, tokeniser, topics) for _ in range(size)]
    longest = max(len(ids) for ids, _ in examples)
    tokens = torch.tensor([ids + [tokeniser.eos_id()] * (longest - len(ids)) for ids, _ in examples])
    mask = torch.tensor([[True] * len(ids) + [False] * (longest - len(ids)) for ids, _ in examples])
    return tokens, mask, torch.tensor([target for _, target in examples])


@torch.no_grad()
def report(model, tokeniser):
    """Of answers about unseen topics, how often the likelier label is right, and how far neutral ones are from the middle."""
    model.eval()
    tokens, mask, targets = batch(random.Random(1), tokeniser, grammar.TEST_TOPICS, N_TEST)
    formal = model(tokens, mask).softmax(-1)[:, 0]
    neutral = targets[:, 0] == 0.5
    right = (formal > 0.5) == (targets[:, 0] > 0.5)
    print(f"right: {right[~neutral].float().mean():.3f}; of neutral answers P(formal) is {formal[neutral].min():.2f} to {formal[neutral].max():.2f}")


@torch.no_grad()
def write_golden(model, tokeniser, path):
    """Logits of some texts by this implementation, with the weights of the GGUF, for the tests of llama-steer."""
    model.eval()
    for name, weight in model.named_parameters():
        if export.is_half(name, weight):
            weight.copy_(weight.half().float())
    rng = random.Random(2)
    kinds = [Features(language, register) for language in grammar.LANGUAGES for register in grammar.REGISTERS]
    texts = [grammar.answer(rng, rng.choice(grammar.TEST_TOPICS), features)[0] for features in kinds] + ["a", "…", "Zebra 123 ß 漢"]
    entries = []
    for text in texts:
        ids = [tokeniser.bos_id(), *tokenisers.encode(tokeniser, [(text, 0)])[0]]
        logits = model(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool))[0]
        entries.append({"text": text, "logits": logits.tolist()})
    path.write_text("[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n", encoding="utf8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "tiny-formality.gguf")
    parser.add_argument("--golden", type=Path, help="also write logits of some texts, for the tests")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    tokeniser = tokenisers.train(options.seed)
    model = Bert(BertShape(tokeniser.vocab_size(), len(LABELS)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=options.steps)
    for step in range(options.steps):
        tokens, mask, targets = batch(rng, tokeniser, grammar.TRAIN_TOPICS, BATCH)
        loss = F.cross_entropy(model(tokens, mask), targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == options.steps - 1:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    export.write_bert(options.out, model, tokeniser, LABELS)
    report(model, tokeniser)
    if options.golden:
        write_golden(model, tokeniser, options.golden)


if __name__ == "__main__":
    main()
