/**
 * Accuracy of the language detectors: `node dist/test/bench/detectors.js [--model MODEL] [--rows N] [DATASETS…]`. Each row is a folder of
 * datasets (ours without an argument) and a length of text; the first N answers (default: all) are cut to so many tokens of the model's
 * vocabulary (default: Gemma 3's). Also fits the temperature that makes their scores probabilities.
 */
import { parseArgs } from "node:util";
import { loadDataset, loadModel } from "../../lib/index.js";
import { baseName, datasetNames } from "../../lib/dataset/index.js";
import { languageOfDataset } from "../../lib/evaluate/language-code.js";
import { loadLanguageDetector, LANGUAGE_DETECTORS } from "../../lib/evaluate/language.js";
import { NEIGHBOURS } from "../support/neighbours.js";

const LENGTHS = [10, 30];
const SETS = ["ENG", "ITA", "FRA", "SPA", "ZHO"];
const CANDIDATES = SETS.map((name) => languageOfDataset(name)!);

const { values: { model: name, rows: nRows }, positionals: folders } = parseArgs({
  allowPositionals: true, options: { model: { type: "string", default: "gemma3-270m" }, rows: { type: "string", default: "Infinity" } },
});
const model = await loadModel(name);
const decoder = new TextDecoder();
const cut = (text: string, n: number): string =>
  decoder.decode(model.detokenise(model.tokenise(text, { bos: false }).slice(0, n))).replace(/\uFFFD$/, "");

for (const folder of folders.length > 0 ? folders : [undefined]) {
  const names = [...new Set(datasetNames(folder).map(baseName))].filter((name) => SETS.includes(name));
  const rows: Array<{ text: string; language: string }> = [];
  for (const name of names) {
    for (const part of folder ? [name] : [`${name}_train`, `${name}_test`]) {
      const { rows: all } = await loadDataset(part, folder);
      rows.push(...all.slice(0, Number(nRows)).map(({ output }) => ({ text: output, language: languageOfDataset(name)! })));
    }
  }
  for (const length of LENGTHS) {
    const texts = rows.map(({ text, language }) => ({ text: cut(text, length), language }));
    for (const name of LANGUAGE_DETECTORS) {
      const detector = await loadLanguageDetector(name);
      for (const [kind, candidates] of [["5 candidates", CANDIDATES], ["open", undefined]] as const) {
        const begun = performance.now();
        const guesses = texts.map(({ text }) => detector.detect(text, candidates));
        const seconds = (performance.now() - begun) / 1000;
        const share = (language: string): string => {
          const own = guesses.filter((_, i) => texts[i]!.language === language);
          return `${language} ${(100 * own.filter((guess) => guess.language === language).length / own.length).toFixed(1)} %`;
        };
        const wrong = guesses.filter((guess, i) => guess.language !== "und" && guess.language !== texts[i]!.language).length;
        const loss = guesses.reduce(
          (sum, { probabilities }, i) => sum - Math.log(Math.max(1e-9, probabilities[texts[i]!.language] ?? 0)), 0,
        ) / guesses.length;
        console.log(`${folder
          ?? "ours"} ${length} tokens, ${name} ${kind}: ${CANDIDATES.map(share).join(", ")}; ${wrong} wrong and ${guesses.filter(
            ({ language }) => language === "und",
          ).length} undetermined of ${guesses.length}; `
          + `log loss ${loss.toFixed(3)}; ${Math.round(texts.length / seconds)} texts/s`);
      }
    }
  }
}

// Sentences in languages close to those of the datasets: how many are taken for one of those.
for (const name of LANGUAGE_DETECTORS) {
  const detector = await loadLanguageDetector(name);
  const taken = Object.entries(NEIGHBOURS).map(([language, texts]) => {
    const guesses = texts.map((text) => detector.detect(text, CANDIDATES));
    return `${language} ${guesses.filter((guess) => guess.language !== "und").length} (named ${guesses.filter(
      (guess) => guess.other === language,
    ).length}) of ${texts.length}`;
  });
  console.log(`neighbours taken for a candidate, ${name}: ${taken.join(", ")}`);
}
model.dispose();
