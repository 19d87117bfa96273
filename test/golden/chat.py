"""What transformers renders of every chat template in a folder, as hashes: test/golden/chat.json.

python test/golden/chat.py FOLDER_OF_TEMPLATES > test/golden/chat.json
"""

import datetime
import hashlib
import json
import os
import sys

import jinja2
import transformers
from transformers.utils import chat_template_utils

BOS, EOS = "<bos-of-test>", "<eos-of-test>"
NOW = datetime.datetime(2025, 3, 4, 12, 0, 0)


def turn(role, content):
    return {"role": role, "content": content}


CHATS = {
    "single": [turn("user", 'Hello\nthere "you" & me')],
    "spaces": [turn("user", "  if a[0] < b:\n    return 'è 猫 🐈'\n\n")],
    "turns": [turn("user", "Hi"), turn("assistant", "Yo"), turn("user", "Bye")],
    "system": [turn("system", "Be kind\n"), turn("user", "Hi")],
    "system-turns": [turn("system", "Be kind"), turn("user", "Hi"), turn("assistant", " Yo\n"), turn("user", "Bye"),
                     turn("assistant", "Well"), turn("user", "No")],
    "judged": [turn("user", "Hi"), turn("assistant", "Yo")],
    "thought": [turn("user", "Hi"), turn("assistant", "<think>\nhm \n</think>\n\n Yo"), turn("user", "Bye")],
    "no-thinking": [turn("user", "Hi")],
    "two-users": [turn("user", "Hi"), turn("user", "there")],
}
VARIABLES = {"no-thinking": {"enable_thinking": False}}
# What a template cannot do without, beyond the conversation.
NEEDS = {"fireworks-ai-llama-3-firefunction-v2.jinja": {"functions": "[]", "datetime": "4 March 2025"}}


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def render(template, messages, variables):
    [text], _ = chat_template_utils.render_jinja_template(
        [messages], chat_template=template, add_generation_prompt=True, bos_token=BOS, eos_token=EOS, **variables)
    return text


def short(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def outcome(template, messages, variables):
    """The text's hash, or the hash of what the template refuses the messages with, or "fails"."""
    try:
        return short(render(template, messages, variables))
    except jinja2.exceptions.UndefinedError:
        return "fails"
    except jinja2.exceptions.TemplateError as error:
        return f"refuses {short(str(error))}"
    except TypeError:  # None looped over
        return "fails"


def outcome_without_tools(template, messages, variables):
    """transformers gives `tools=None` where there are none; templates that cannot do with that get an empty list."""
    given = outcome(template, messages, variables)
    return given if given != "fails" else outcome(template, messages, {**variables, "tools": []})


def main(folder):
    chat_template_utils.datetime = FixedDate
    names = sorted(name for name in os.listdir(folder) if name.endswith(".jinja"))
    templates = {}
    for name in names:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            template = file.read()
        templates[name] = {
            "sha256": short(template),
            **{chat: outcome_without_tools(template, messages, {**NEEDS.get(name, {}), **VARIABLES.get(chat, {})}) for chat, messages in CHATS.items()},
        }
    provenance = {
        "by": "test/golden/chat.py", "transformers": transformers.__version__, "jinja2": jinja2.__version__,
        "python": sys.version.split()[0], "date": datetime.date.today().isoformat(),
        "templates": "models/templates of llama.cpp v0.5.0, from node-llama-cpp's llama/gitRelease.bundle",
        "hashes": "first 16 hex digits of the SHA-256 of the rendered text in UTF-8",
    }
    chats = {chat: {"messages": messages, "variables": VARIABLES.get(chat, {})} for chat, messages in CHATS.items()}
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(result)}" for name, result in templates.items())
    head = {"provenance": provenance, "bos": BOS, "eos": EOS, "now": NOW.isoformat(), "needs": NEEDS, "chats": chats}
    print(json.dumps(head, indent=2, ensure_ascii=False)[:-2] + ",\n  \"templates\": {\n" + lines + "\n  }\n}")


main(sys.argv[1])
