import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** Words between which a line, a comment or a string may be broken. */
const GAP = "(?:[\\s\"'`]|(?<=\\s)(?:[*#>+]|//)(?=\\s))+";
const NOT_THERE = "(?<!\\bthere )(?<!\\bthere\\n)\\b(?:is|are|was|were) no ";
const COMPARED = "(?!longer|more|less|fewer|better|worse|greater|smaller|larger|shorter|other|match|use\\b|good\\b|doubt|exception)";

/** Phrases that sound translated, and what to write instead; a space also matches a line break. */
const PHRASES: ReadonlyArray<readonly [phrase: string, instead: string]> = [
  ["\\b(?:go|goes|going|gone|went) on (?:with|by itself|from there)\\b", "resume, continue"],
  ["\\bbehind\\b", "after"],
  [`${NOT_THERE}${COMPARED}(?:\\w+ )?\\w+`, "is not a …"],
  ["\\bneeds? an? \\w+ at least\\b", "needs at least one …"],
  ["\\bcontrast is nothing\\b", "both datasets are identical, so their difference is zero"],
  ["\\bis to remain\\b", "remove"],
  ["\\bso many\\b", "N"],
  ["\\bapart best\\b", "that best separate"],
  ["\\bwhich would be gone\\b", "refusing to overwrite"],
  ["\\b(?:called|computed|counted|extracted|laid out|made|measured|named|read|said|scaled|spelled|written) otherwise\\b", "differently"],
  ["\\b(?:was|were) announced\\b", "declared"],
  ["\\bcounts? as (?:a |no )?hits?\\b", "counts as a success"],
  ["\\bwordless\\b", "that contains no real words"],
  ["\\bname, hf: address or file\\b", "a registry name, an hf: address, or a path to a GGUF"],
  ["(?:[.;:(] |\\*\\* |; // |\\n\\n)of (?!course\\b|the \\d|all\\b|these\\b|its own\\b)[a-z]+", "no fragment that begins with \"of\""],
  ["\\bas far as (?!possible\\b)", "subject, verb, object"],
  ["\\bin the place of\\b", "instead of"],
  ["\\b(?:lies|lie|lay) (?:beside|below|next to|there)\\b", "is next to"],
  ["\\b(?:there|it|them|run|name|file|model|dataset) already\\b", "already exists, is already …"],
  ["\\b(?:comes?|came) to an end\\b", "ends"],
  ["\\b(?:is|are|was|were|be) asked for\\b", "requested, given"],
  ["\\bwhere (?:there (?:is|are)|none\\b|it (?:has|is) (?:no|none|missing)\\b)", "if"],
  ["\\bstands? for (?:it|them)sel", "replaces"],
  ["\\bthe most that (?:it|a|an|the|alpha)\\b", "the largest"],
  ["\\b(?:can|cannot|could|to) be had\\b", "available"],
  ["\\bbrings? along\\b", "includes"],
  ["\\bof (?:no|another|the|a) kind\\b", "a different format"],
  ["\\b(?:is|are) said (?:once|in)\\b", "is documented in"],
  ["\\bwhat is there\\b", "name the thing"],
  ["\\bdo(?:es)? the same as before\\b", "is unchanged"],
];

const PATTERNS = PHRASES.map(([phrase, instead]) => ({ pattern: new RegExp(phrase.replace(/ (?![?])/g, GAP), "gi"), instead }));

/** Each banned phrase in `text`, with its line and what to write instead. */
export function bannedIn(text: string): Array<{ line: number; found: string; instead: string }> {
  return PATTERNS.flatMap(({ pattern, instead }) => [...text.matchAll(pattern)].map((match) =>
    ({ line: text.slice(0, match.index).split("\n").length, found: match[0].replace(/\s+/g, " "), instead })));
}

/** The banned phrases of a file, or of the texts and sources below a folder, as `path:line: …`. */
export function bannedBelow(root: string): string[] {
  return filesBelow(root).flatMap((path) =>
    bannedIn(readFileSync(path, "utf8")).map(({ line, found, instead }) => `${path}:${line}: "${found}"; write: ${instead}`));
}

function filesBelow(root: string): string[] {
  if (!statSync(root).isDirectory()) return [root];
  return readdirSync(root, { withFileTypes: true }).flatMap((entry) => {
    const path = join(root, entry.name);
    if (entry.isDirectory()) return path === join("docs", "api") ? [] : filesBelow(path);
    return /\.(?:ts|cts|mjs|cc|h|md)$/.test(entry.name) ? [path] : [];
  });
}
