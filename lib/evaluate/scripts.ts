/** Scripts that CLDR puts under one name. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  Jpan: ["Hani", "Hira", "Kana"], Kore: ["Hang", "Hani"], Hans: ["Hani"], Hant: ["Hani"],
};
/** A letter that belongs to a script. */
const LETTER = /\p{L}/gu;
const SHARED = /[\p{Script=Common}\p{Script=Inherited}]/u;

/** The scripts (ISO 15924) that a language (ISO 639-3) is usually written in, as CLDR has it; empty if it has none. */
export function scriptsOf(language: string): readonly string[] {
  const { script } = new Intl.Locale(language).maximize();
  return script === undefined ? [] : PARTS[script] ?? [script];
}

/** A function that tells whether most letters of a word belong to none of the scripts of these languages. */
export function foreignTo(languages: readonly string[]): (word: string) => boolean {
  const scripts = languages.map(scriptsOf);
  if (scripts.some((own) => own.length === 0)) return () => false; // what is not known cannot be foreign
  const known = new RegExp(`[${scripts.flat().map((script) => `\\p{scx=${script}}`).join("")}]`, "u");
  return (word) => {
    const letters = (word.match(LETTER) ?? []).filter((letter) => !SHARED.test(letter));
    return letters.filter((letter) => !known.test(letter)).length > letters.length / 2;
  };
}
