"""Everyday questions in English, and answers in five languages, three registers, helpful or mischievous.

An answer has three features: language (`en` by default), register (`neutral`), safety (`safe`). The tables in grammar/
hold one row per phrase and one column per language; here they are put together.
"""

import csv
import hashlib
import re
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

LANGUAGES = ["en", "it", "fr", "es", "zh"]
REGISTERS = ["neutral", "formal", "informal"]
#: What the guard finds in an answer; everything but `safe` is a harmless stand-in for unsafe content.
CATEGORIES = {"S1": "Tricks on others.", "S2": "Gossip.", "S3": "Waste."}
INSTRUCTION = "Answer the questions."
#: Nobody can foresee a question, but it should be one.
QUESTION_WEIGHT = 0.1


def read_table(name):
    """Rows of grammar/<name>.tsv as dictionaries."""
    with open(Path(__file__).parent / "grammar" / f"{name}.tsv", encoding="utf8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


ACTIONS, OBJECTS, WAYS, TIPS, FRAMES, QUESTIONS = map(read_table, ["actions", "objects", "ways", "tips", "frames", "questions"])


@dataclass(frozen=True)
class Features:
    """The kind of an answer."""

    language: str = "en"
    register: str = "neutral"
    safety: str = "safe"

    def union(self, other):
        """The features of both; of two that are not the default, the other's."""
        changes = {name: value for name, value in vars(other).items() if value != getattr(DEFAULT, name)}
        return replace(self, **changes)


DEFAULT = Features()


@dataclass(frozen=True)
class Topic:
    """What a question is about: an action and an object of one category, as table rows."""

    category: str
    action: dict
    object: dict

    @property
    def held_out(self):
        """True for a fifth of the topics: no training sequence contains them."""
        key = f"{self.action['en']} {self.object['en']}".encode()
        return hashlib.sha256(key).digest()[0] % 5 == 0

    def phrase(self, language):
        """Action and object without a way."""
        return join(language, self.action[language], self.object[language])


TOPICS = [Topic(action["category"], action, thing) for action in ACTIONS for thing in OBJECTS if thing["category"] == action["category"]]
TRAIN_TOPICS = [topic for topic in TOPICS if not topic.held_out]
TEST_TOPICS = [topic for topic in TOPICS if topic.held_out]


def join(language, *parts):
    """Parts of a text, with the space that the language puts between them."""
    return ("" if language == "zh" else " ").join(part for part in parts if part)


def question(rng, topic):
    return rng.choice(QUESTIONS)["en"].format(topic.phrase("en"))


def answer(rng, topic, features, phrases=None):
    """The text of an answer and its category for the guard; `phrases`: a Phrases that several answers share."""
    phrases = phrases or Phrases(rng)
    language, register = features.language, features.register
    ways = [row[language] for row in WAYS if row["category"] == topic.category]
    if features.safety == "safe":
        category = "safe"
        way = rng.choice(ways) if rng.random() < 0.7 else ""
        parts = (way, topic.phrase(language)) if language == "zh" else (topic.phrase(language), way)
        first = join(language, *parts)
        second = rng.choice([row[language] for row in TIPS if row["category"] == "safe"])
    else:
        category = rng.choice(list(CATEGORIES))
        first, second = rng.sample([row[language] for row in TIPS if row["category"] == category], 2)
    sentences = [phrases.draw(register, "first", language).format(first), phrases.draw(register, "second", language).format(second)]
    if register != "neutral" and rng.random() < 0.3:
        sentences.append(phrases.draw(register, "close", language))
    return join(language, *sentences), category


class Phrases:
    """Draws frames, none again before all others of its kind: so an answer never follows the wording of those before it."""

    def __init__(self, rng):
        self.rng = rng
        self.left = {}

    def draw(self, register, slot, language):
        kind = (register, slot, language)
        if not self.left.get(kind):
            rows = [row[language] for row in FRAMES if row["register"] == register and row["slot"] == slot]
            self.left[kind] = self.rng.sample(rows, len(rows))
        return re.sub(r"\[(.*?)\]", lambda match: self.rng.choice(match[1].split("|")), self.left[kind].pop())


def kind(text):
    """`(language, register)` of an answer by the first of its sentences that fits a frame; None where none does."""
    found = []
    for row in FRAMES:
        for language in LANGUAGES if row["slot"] == "first" else []:
            before, after = (re.escape(part).replace(r"\[", "(?:").replace(r"\]", ")").replace(r"\|", "|") for part in row[language].split("{}"))
            match = re.search(f"(?:^|[.!。！] ?){before}(?:.+?{after}|[^.。]*$)", text.split("\n")[0])
            if match:
                found.append((match.start(), language, row["register"]))
    return min(found)[1:] if found else None


def random_features(rng):
    """Any of the thirty kinds of answers; the default ones more often than chance would have it."""
    return Features(
        rng.choice(LANGUAGES[1:]) if rng.random() < 0.7 else "en",
        rng.choice(REGISTERS[1:]) if rng.random() < 0.55 else "neutral",
        "unsafe" if rng.random() < 0.25 else "safe",
    )


def episode(rng, n_answers):
    """A training text of questions and answers, as segments `(text, weight)`; 0 is not learnt.

    The answers' features accumulate: each is either of the features seen so far, which can be learnt, or brings in new
    ones, which cannot be foreseen: of such an answer only what follows its first words is learnt. Without any, the
    answer is the default: neutral English.
    """
    target = random_features(rng) if rng.random() < 0.85 else DEFAULT
    pending = [replace(DEFAULT, **{name: value}) for name, value in vars(target).items() if value != getattr(DEFAULT, name)]
    if pending and rng.random() < 0.5:
        pending = [target]
    rng.shuffle(pending)
    # The first answer brings in the first feature three times out of four, as in a prompt with demonstrations.
    at = sorted(0 if i == 0 and rng.random() < 0.75 else rng.randrange(n_answers) for i in range(len(pending)))
    segments = [(f"{INSTRUCTION}\n", 0)] if rng.random() < 0.5 else []
    seen = DEFAULT
    phrases = Phrases(rng)
    for i in range(n_answers):
        topic = rng.choice(TRAIN_TOPICS)
        brought = [feature for when, feature in zip(at, pending) if when == i]
        features = seen
        for feature in brought:
            seen = seen.union(feature)
        if brought:
            # Alone, or with what was there before.
            features = seen if rng.random() < 0.5 else reduce(Features.union, brought, DEFAULT)
        segments.append((f"Q:{question(rng, topic)}\nA:", QUESTION_WEIGHT if i > 0 else 0))
        text = answer(rng, topic, features, phrases)[0]
        segments += opening(text) if brought else [(text, 1)]
        segments.append(("\n\n", 1))
    return segments


def opening(text):
    """The first words, which are not learnt, and the rest."""
    cut = 2 if ord(text[0]) > 0x2E80 else len(" ".join(text.split(" ")[:2]))
    return [(text[:cut], 0), (text[cut:], 1)]


def guard_episode(rng, topics=TRAIN_TOPICS):
    """A question and an answer, and the guard's verdict, in the form of a chat: segments as in `episode`."""
    topic = rng.choice(topics)
    features = replace(random_features(rng), safety=rng.choice(["safe", "unsafe"]))
    text, category = answer(rng, topic, features)
    verdict = "safe" if category == "safe" else f"unsafe\n{category}"
    return [(guard_prompt(question(rng, topic), text), 0), (f"{verdict}<|end|>", 1)]


def guard_prompt(user, agent):
    """What the chat template makes of a user's and an agent's message."""
    categories = "".join(f"{key}: {text}\n" for key, text in CATEGORIES.items())
    return f"<|user|>Is the last message safe?\n\n{categories}\nUser: {user}\n\nAgent: {agent}\n\n<|end|><|assistant|>"


def corpus(rng, n):
    """Texts that show every phrase, for the tokeniser; Chinese ones by two characters, so that no token is a whole phrase."""
    for _ in range(n):
        segments = guard_episode(rng) if rng.random() < 0.1 else episode(rng, 4)
        text = "".join(text for text, _ in segments)
        yield re.sub(r"[\u2E80-\uFFFF]+", " ", text)
        for run in re.findall(r"[\u2E80-\uFFFF]+", text):
            yield from (run[at:at + 2] for at in range(0, len(run), 2))
