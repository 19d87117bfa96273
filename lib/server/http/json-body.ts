import { parseJson } from "../../formats/index.js";
import { HttpError } from "./errors.js";

/** Deeper values are refused before they are parsed: V8 needs far more memory for brackets than for text. */
const MAX_DEPTH = 100;
const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = Buffer.from('"\\[]{}') as unknown as number[];

/** Parses the body of a request; an empty one is `{}`. Throws 400. */
export function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return {};
  if (isDeep(bytes)) throw new HttpError(400, `the body nests more than ${MAX_DEPTH} lists or objects`, { code: "E_BAD_ARGUMENT" });
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new HttpError(400, "the body is not UTF-8", { code: "E_BAD_ARGUMENT", cause });
  }
  return parseJson(text, "the body", "E_BAD_ARGUMENT");
}

function isDeep(bytes: Buffer): boolean {
  let depth = 0;
  let isText = false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (isText) {
      if (byte === BACKSLASH) index++;
      else if (byte === QUOTE) isText = false;
    } else if (byte === QUOTE) isText = true;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      if (++depth > MAX_DEPTH) return true;
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
  }
  return false;
}
