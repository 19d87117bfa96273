"""Train the embedded language model and write it as GGUF: python train.py [--seed 7] [--steps 1300]."""

import argparse
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import evaluate
import export
import grammar
import tokeniser as tokenisers
from llama import Llama, Shape

CONTEXT = 240
BATCH = 20
GUARD_SHARE = 0.12
LEARNING_RATE = 3e-3
WARM_UP = 60
WEIGHT_DECAY = 0.1


def sequence(rng, tokeniser):
    """Token ids and weights of a training text, cut to CONTEXT + 1 tokens."""
    segments = grammar.guard_episode(rng) if rng.random() < GUARD_SHARE else grammar.episode(rng, rng.choice([1, 2, 5, 5, 6, 7]))
    ids, weights = tokenisers.encode(tokeniser, segments)
    return [tokeniser.bos_id(), *ids][:CONTEXT + 1], [0, *weights][:CONTEXT + 1]


def batch(rng, tokeniser):
    """Inputs, targets and weights [BATCH, CONTEXT]."""
    tokens = torch.full((BATCH, CONTEXT + 1), tokeniser.eos_id())
    weights = torch.zeros(BATCH, CONTEXT + 1)
    for row in range(BATCH):
        ids, of_tokens = sequence(rng, tokeniser)
        tokens[row, :len(ids)] = torch.tensor(ids)
        weights[row, :len(ids)] = torch.tensor(of_tokens).float()
    longest = int((tokens != tokeniser.eos_id()).sum(1).max())
    return tokens[:, :longest - 1], tokens[:, 1:longest], weights[:, 1:longest]


def learning_rate(step, steps):
    if step < WARM_UP:
        return LEARNING_RATE * (step + 1) / WARM_UP
    return LEARNING_RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (steps - WARM_UP))))


def optimiser_of(model):
    decayed = [weight for weight in model.parameters() if weight.dim() == 2]
    others = [weight for weight in model.parameters() if weight.dim() != 2]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))


def train(model, tokeniser, rng, steps):
    optimiser = optimiser_of(model)
    begun = time.time()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps)
        inputs, targets, weights = batch(rng, tokeniser)
        logits = F.linear(model.hidden(inputs)[weights > 0], model.token_embd.weight)
        chosen = weights[weights > 0]
        loss = (F.cross_entropy(logits, targets[weights > 0], reduction="none") * chosen).sum() / chosen.sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.3f}, {time.time() - begun:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "tiny.gguf")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    tokeniser = tokenisers.train(options.seed)
    model = Llama(Shape(tokeniser.vocab_size()))
    print(f"{sum(weight.numel() for weight in model.parameters()) / 1e6:.2f} M parameters, {tokeniser.vocab_size()} tokens")
    train(model, tokeniser, random.Random(options.seed), options.steps)
    torch.save({"model": model.state_dict(), "tokeniser": tokeniser.serialized_model_proto()}, options.out.with_suffix(".pt"))
    export.write_llama(options.out, model, tokeniser)
    evaluate.report(model, tokeniser)


if __name__ == "__main__":
    main()
