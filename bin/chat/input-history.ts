import { existsSync } from "node:fs";
import { appendFile, chmod, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { readUtf8, writeFileAtomic } from "../../lib/formats/index.js";
import { SteeringError } from "../../lib/index.js";

const MAX_LINES = 1000;
/** Several times what `MAX_LINES` take at most. */
const MAX_BYTES = 2 ** 24;
/** A longer line, such as a pasted document, is not kept. */
const MAX_LINE = 4096;
/** Readable for its owner only. */
const PRIVATE = 0o600;

/** The lines that a user has typed, kept in a file between chats. */
export class InputHistory {
  private constructor(private readonly path: string, private readonly typed: string[]) {}

  /** Reads the file, if there is one, and shortens it if it has become long. Throws E_NOT_FOUND, E_BAD_ARGUMENT, E_WRITE. */
  static async open(path: string): Promise<InputHistory> {
    const lines = (await readIfThere(path)).split("\n").filter((line) => line !== "");
    const kept = lines.slice(-MAX_LINES);
    try {
      await mkdir(dirname(path), { recursive: true });
      await appendFile(path, "", { mode: PRIVATE });
      await chmod(path, PRIVATE);
    } catch (cause) {
      throw new SteeringError("E_WRITE", `cannot write ${path}: ${(cause as Error).message}`, { cause });
    }
    if (kept.length < lines.length) await writeFileAtomic(path, kept.map((line) => `${line}\n`).join(""));
    return new InputHistory(path, kept);
  }

  /** The last lines, latest first, as readline takes them. */
  get latestFirst(): string[] {
    return this.typed.slice(-MAX_LINES).reverse();
  }

  /** Adds a line, unless it repeats the last one. A file that can no longer be written is left as it is. */
  async add(line: string): Promise<void> {
    if (line.trim() === "" || line.length > MAX_LINE || line === this.typed.at(-1)) return;
    this.typed.push(line);
    await appendFile(this.path, `${line}\n`).catch(() => undefined);
  }
}

/** The text of a file; "" if it does not exist. */
async function readIfThere(path: string): Promise<string> {
  return existsSync(path) ? readUtf8(path, "E_BAD_ARGUMENT", MAX_BYTES) : "";
}
