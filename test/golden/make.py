"""Writes the golden files of one configuration: `python test/golden/make.py test/golden/tiny.config.json`.

They go to `test/golden/<name>/`: golden.json and deltas.safetensors (README.md says what they hold).
"""
import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save

from gguf_model import Llama, open_gguf
from method import (Generation, Steering, Trajectory, compose, delta, generate, mean_per_step, perplexity, replay,
                    trajectory)
from prompts import FORMATS, Dataset
from tokenizer import load_tokenizer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCRIPTS = ("gguf_model.py", "make.py", "method.py", "prompts.py", "tokenizer.py")
PACKAGES = ("torch", "gguf", "numpy", "tokenizers", "safetensors")


def log(text: str) -> None:
    """Progress on the standard error stream."""
    print(f"{time.process_time():7.0f} s  {text}", file=sys.stderr, flush=True)


def sha256(path: Path) -> str:
    """Hash of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Writes beside the target and renames, so that no reader sees half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    beside.write_bytes(content)
    beside.replace(path)


def as_json(document: dict[str, dict | list]) -> bytes:
    """Compact JSON with one entry of each top-level object or list per line; floats as Python's repr."""
    def compact(value) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    def section(value: dict | list) -> str:
        if isinstance(value, dict):
            return "{\n" + ",\n".join(f"{compact(key)}:{compact(entry)}" for key, entry in value.items()) + "\n}"
        return "[\n" + ",\n".join(compact(entry) for entry in value) + "\n]"

    sections = (f"{compact(key)}:{section(value)}" for key, value in document.items())
    return ("{\n" + ",\n".join(sections) + "\n}\n").encode()


class Maker:
    """One configuration with its model; each method produces one section of the golden files."""

    def __init__(self, config: dict, model_path: Path):
        self.config = config
        self.model_path = model_path
        self.form: str = config.get("promptFormat", "clean")
        reader = open_gguf(model_path)
        self.model = Llama.from_gguf(reader)
        self.tokenizer = load_tokenizer(reader)
        self.tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
        self.dataset = cache(self._dataset)
        self.support_run = cache(self._support_run)
        self.icl_output = cache(self._icl_output)
        self.deltas: dict[str, torch.Tensor] = {}  # property -> [N, nLayer, width]

    def _dataset(self, name: str, split: str) -> Dataset:
        folder = ROOT / self.config["datasets"]
        return Dataset(folder, name, split, self.config["iclExamples"])

    def _support_run(self, name: str, group: int) -> Trajectory:
        """Greedy run of one support prompt, once however often the support draws it."""
        prompt = self.dataset(name, "train").icl(self.tokenizer, group, self.form)
        log(f"extract {name} group {group}, {len(prompt)} tokens")
        return trajectory(self.model, prompt, self.config["maxNewTokens"], self.tokenizer.eos)

    def _icl_output(self, name: str, index: int, limit: int) -> tuple[Generation, float | None]:
        """Greedy output under the ICL prompt and its perplexity there (§6)."""
        prompt = self.dataset(name, "test").icl(self.tokenizer, index, self.form)
        log(f"ICL {name} prompt {index}, {len(prompt)} tokens")
        output = generate(self.model, self.tokenizer, prompt, [], limit)
        return output, perplexity(self.model, prompt, output.tokens, [])

    def sides(self) -> list[str]:
        """Names of all datasets that deltas are extracted from."""
        return list(dict.fromkeys(side[key] for side in self.config["properties"].values()
                                  for key in ("positive", "negative")))

    def extract(self) -> dict[str, torch.Tensor]:
        """Fills the deltas; returns them and the rows of one named ICL prompt as named tensors."""
        runs = {name: [self.support_run(name, group) for group in self.config["supportIndices"]]
                for name in self.sides()}
        for name, side in self.config["properties"].items():
            self.deltas[name] = delta(runs[side["positive"]], runs[side["negative"]])
        tensors = {f"delta.{name}": value for name, value in self.deltas.items()}
        chosen = self.config["activation"]
        dataset = self.config["properties"][chosen["property"]]["positive"]
        rows = self.support_run(dataset, chosen["group"]).rows[:chosen["steps"]]
        return tensors | {f"activation.{chosen['property']}.{step}": row for step, row in enumerate(rows)}

    def counts(self) -> dict[str, list[int]]:
        """Per dataset: prompts still running at each step."""
        return {name: mean_per_step([self.support_run(name, group) for group in self.config["supportIndices"]])[1]
                for name in self.sides()}

    def support(self) -> list[dict]:
        """The greedy tokens behind every captured row."""
        drawn = Counter(self.config["supportIndices"])
        rows = []
        for name in self.sides():
            for group, times in sorted(drawn.items()):
                run = self.support_run(name, group)
                prompt = self.dataset(name, "train").icl(self.tokenizer, group, self.form)
                rows.append({"dataset": name, "group": group, "times": times, "steps": len(run.rows),
                             "margin": run.margin, "tokens": run.tokens, "prompt": prompt})
        return rows

    def setting_dataset(self, setting: dict) -> str:
        """Dataset of a setting's queries and ICL prompt: named, or the positive one of its first property."""
        steer = setting["steer"]
        first = steer[0]["property"] if steer else next(iter(self.config["properties"]))
        return setting.get("icl", self.config["properties"][first]["positive"])

    def evaluated(self) -> list[str]:
        """Names of all datasets that evaluation prompts come from."""
        return list(dict.fromkeys([side["positive"] for side in self.config["properties"].values()]
                                  + [self.setting_dataset(setting) for setting in self.config["settings"]]))

    def prompts(self) -> list[dict]:
        """Token ids of every evaluation prompt in every format."""
        rows = []
        for name in self.evaluated():
            data = self.dataset(name, "test")
            if len(data.groups) < self.config["evaluation"]["count"]:
                raise ValueError(f"{data.path.name} has {len(data.groups)} prompts, fewer than evaluation.count")
            for index in range(self.config["evaluation"]["count"]):
                rows.append({
                    "dataset": name,
                    "index": index,
                    "question": data.groups[index][-1]["input"],
                    "noIcl": {form: data.no_icl(self.tokenizer, index, form) for form in FORMATS},
                    "icl": {form: data.icl(self.tokenizer, index, form) for form in FORMATS},
                })
        return rows

    def result(self, setting: dict, index: int) -> dict:
        """One setting on one evaluation prompt: steered output and ΔPPL (§4 to §6)."""
        name = self.setting_dataset(setting)
        limit = setting.get("maxNewTokens", self.config["maxNewTokens"])
        icl, icl_ppl = self.icl_output(name, index, limit)
        prompt = self.dataset(name, "test").no_icl(self.tokenizer, index, self.form)
        steerings = compose([Steering(self.deltas[one["property"]], one["schedule"]) for one in setting["steer"]])
        output = generate(self.model, self.tokenizer, prompt, steerings, limit)
        additions = replay(steerings, output.alphas, len(icl.tokens))
        ppl = perplexity(self.model, prompt, icl.tokens, additions)
        log(f"{setting['label']} prompt {index}: {output.text!r}")
        return {"setting": setting["label"], "dataset": name, "prompt": index, **asdict(output),
                "icl_perplexity": icl_ppl, "perplexity": ppl,
                "delta_perplexity": None if ppl is None else ppl - icl_ppl}

    def icl_rows(self) -> list[dict]:
        """The ICL outputs that the results were measured with."""
        count = self.config["evaluation"]["count"]
        wanted = dict.fromkeys((self.setting_dataset(setting), index,
                                setting.get("maxNewTokens", self.config["maxNewTokens"]))
                               for setting in self.config["settings"] for index in range(count))
        rows = []
        for name, index, limit in wanted:
            output, ppl = self.icl_output(name, index, limit)
            rows.append({"dataset": name, "prompt": index, "maxNewTokens": limit, "tokens": output.tokens,
                         "finish": output.finish, "text": output.text, "perplexity": ppl, "margin": output.margin})
        return rows

    def provenance(self) -> dict:
        """What the files were made from: no date, no host, no absolute path."""
        used = [self.dataset(name, "train") for name in self.sides()]
        used += [self.dataset(name, "test") for name in self.evaluated()]
        files = {path for data in used for path in (data.path, data.instruction_path)}
        return {
            "generator": "test/golden/make.py",
            "model": {"file": self.model_path.name, "sha256": sha256(self.model_path), "architecture": "llama",
                      "tied_output": self.tied, "sizes": asdict(self.model.sizes)},
            "datasets": {path.name: sha256(path) for path in sorted(files)},
            "versions": {package: version(package) for package in PACKAGES},
            "scripts": {name: sha256(HERE / name) for name in SCRIPTS},
            "config": self.config,
        }

    def write(self) -> None:
        """Computes everything and writes both files."""
        folder = HERE / self.config["name"]
        folder.mkdir(exist_ok=True)
        tensors = self.extract()
        count = self.config["evaluation"]["count"]
        document = {
            "provenance": self.provenance(),
            "counts": self.counts(),
            "support": self.support(),
            "prompts": self.prompts(),
            "results": [self.result(setting, index) for setting in self.config["settings"] for index in range(count)],
            "icl": self.icl_rows(),
        }
        write_atomically(folder / "deltas.safetensors", save({k: v.contiguous() for k, v in tensors.items()}))
        write_atomically(folder / "golden.json", as_json(document))
        log(f"written to {folder.relative_to(ROOT)}")


def find_model(named: str, override: Path | None) -> Path:
    """The --model path, else the named file in $GOLDEN_MODEL_DIR, else relative to the repository root."""
    if override:
        return override
    folder = os.environ.get("GOLDEN_MODEL_DIR")
    return Path(folder) / Path(named).name if folder else ROOT / named


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--model", type=Path, help="GGUF to use in place of the configuration's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = json.loads(arguments.config.read_text("utf-8"))
    Maker(config, find_model(config["model"], arguments.model)).write()


if __name__ == "__main__":
    main()
