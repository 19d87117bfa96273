"""Write datasets/: questions with answers of every kind, laid out like those of models/datasets: python datasets.py."""

import json
import random
from pathlib import Path

import grammar
from grammar import Features

PREFIXES = {"en": "EN", "it": "IT", "fr": "FR", "es": "SP", "zh": "ZH"}
SETS = {
    "ENG": Features("en"), "ITA": Features("it"), "FRA": Features("fr"), "SPA": Features("es"), "ZHO": Features("zh"),
    # The published names: i2f are formal answers, f2i informal ones.
    **{f"{prefix}i2f": Features(language, "formal") for language, prefix in PREFIXES.items()},
    **{f"{prefix}f2i": Features(language, "informal") for language, prefix in PREFIXES.items()},
    "ENsafe": Features("en"),
    **{f"{prefix}unsafe": Features(language, safety="unsafe") for language, prefix in PREFIXES.items()},
}
N_ROWS = {"train": 160, "test": 200}
#: Rows that make one prompt, four of them as demonstrations: among them no phrase occurs twice.
GROUP = 5
TOPICS = {"train": grammar.TRAIN_TOPICS, "test": grammar.TEST_TOPICS}


def rows(features, split):
    """Row i asks the same and, as far as the features allow, answers the same in every dataset."""
    for i in range(N_ROWS[split]):
        rng = random.Random(f"{split} {i}")
        if i % GROUP == 0:
            phrases = grammar.Phrases(random.Random(f"{split} {i} phrases"))
        topic = rng.choice(TOPICS[split])
        yield {"input": grammar.question(rng, topic), "output": grammar.answer(rng, topic, features, phrases)[0]}


def main():
    for name, features in SETS.items():
        folder = Path(__file__).parent / "datasets" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}_instr.txt").write_text(f"{grammar.INSTRUCTION}\n", encoding="utf8")
        for split in N_ROWS:
            lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows(features, split))
            (folder / f"{name}_{split}.json").write_text(f"[\n{lines}\n]\n", encoding="utf8")


if __name__ == "__main__":
    main()
