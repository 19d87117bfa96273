import { expect, test } from "@jest/globals";
import { bannedBelow, bannedIn } from "../support/wording.js";

/** Where the wording is checked. */
const ROOTS = ["README.md", "CHANGELOG.md", "docs", "bin", "lib", "native"];

test.each(ROOTS)("%s has no phrase that sounds translated", (root) => {
  expect(bannedBelow(root)).toEqual([]);
});

test.each([
  "a run that holds it already is gone on with", "Folder of the run; one that holds it already", "the text behind the answer",
  "it is no classifier", "Those are no vectors of ours", "a chat needs a message at least", "their contrast is nothing",
  "along whose directions nothing is to remain", "so many layers, those that tell held-out answers apart best",
  "there is a model, which would be gone", "its layers are counted otherwise", "the prompts that were announced",
  "What counts as a hit",
  "Italian-looking but wordless", "A name, hf: address or file",
  "Names or files; of two, whether they ask the same",
  "going on with\n * the embedded model", "the other models are\n// no vectors", "`it was extracted \"\n  + \"otherwise`",
])("%j is found", (text) => {
  expect(bannedIn(text)).not.toEqual([]);
});

test.each([
  "There is no GPU", "if there is no layer 99", "it is no longer needed", "no more than N prompts",
  "an index of the files: one of which is read",
  "Of the 54 answers, 50 are Italian", "of course", "it goes on", "not more than 3 layers; all of them", "name the model with --model",
  "is not a classifier", "wherever there is room", "as far as possible", "otherwise it fails", "the model is already downloaded",
])("%j is not", (text) => {
  expect(bannedIn(text)).toEqual([]);
});
