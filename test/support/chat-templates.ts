import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { ChatMessage, Model } from "../../lib/index.js";

/** A token of a vocabulary that tests make up. */
export interface MadeToken {
  text: string;
  isUserDefined?: boolean;
  stripsRight?: boolean;
}

/** Of transformers, by test/golden/chat.py. */
export interface GoldenChats {
  bos: string;
  eos: string;
  now: string;
  needs: Record<string, Record<string, unknown>>;
  chats: Record<string, { messages: ChatMessage[]; variables: Record<string, unknown> }>;
  /** By file name: a hash of the template, and one of each chat's text or refusal. */
  templates: Record<string, Record<string, string>>;
}

export function goldenChats(): GoldenChats {
  return JSON.parse(readFileSync(resolve("test/golden/chat.json"), "utf8")) as GoldenChats;
}

export function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** The chat templates that llama.cpp's sources bring along, by file name, unpacked into a folder. */
export function bundledTemplates(folder: string): Map<string, string> {
  const git = (...args: string[]): Buffer => execFileSync("git", args, { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });
  const repository = join(folder, "llama.cpp.git");
  git("clone", "--bare", resolve("node_modules/node-llama-cpp/llama/gitRelease.bundle"), repository);
  execFileSync("tar", ["x", "-C", folder], { input: git("-C", repository, "archive", "HEAD", "models/templates") });
  const templates = join(folder, "models", "templates");
  const names = readdirSync(templates).filter((name) => name.endsWith(".jinja")).sort();
  return new Map(names.map((name) => [name, readFileSync(join(templates, name), "utf8")]));
}

type CharacterVocabulary = Model & { text(tokens: readonly number[]): string };

/** What a chat is written for, as a model's: one token per character, besides special ones, whose ids begin at 0x200000. */
export function characterVocabulary(
  chatTemplate: string, made: readonly MadeToken[] = [],
  { bos = null, eos = null, addsBos = false }: { bos?: string | null; eos?: string | null; addsBos?: boolean } = {},
): CharacterVocabulary {
  const tokens = made.map(({ text, isUserDefined = false, stripsRight = false }, index) => ({
    token: FIRST_SPECIAL + index, text, isUserDefined, stripsLeft: false, stripsRight,
  })).sort((a, b) => b.text.length - a.text.length);
  const special = { bos, eos, tokens };
  const tokenise: Model["tokenise"] = (text, { special: isSpecial = false, bos: beginsWithBos = true } = {}) => {
    const found = tokens.filter(({ isUserDefined }) => isUserDefined || isSpecial);
    const ids: number[] = beginsWithBos && addsBos ? [tokens.find((token) => token.text === bos)!.token] : [];
    for (let at = 0; at < text.length;) {
      const token = found.find((each) => text.startsWith(each.text, at));
      ids.push(token?.token ?? text.codePointAt(at)!);
      at += token?.text.length ?? String.fromCodePoint(text.codePointAt(at)!).length;
    }
    return ids;
  };
  const texts = new Map(tokens.map(({ token, text }) => [token, text]));
  return {
    info: { chatTemplate, path: "made-up.gguf" }, tokenise, specialTokens: () => special,
    detokenise: (ids: readonly number[]) => Buffer.from(ids.map((id) => (texts.has(id) ? "" : String.fromCodePoint(id))).join("")),
    text: (ids: readonly number[]) => ids.map((id) => texts.get(id) ?? String.fromCodePoint(id)).join(""),
  } as unknown as CharacterVocabulary;
}

/** What is below is a character. */
export const FIRST_SPECIAL = 0x200000;
