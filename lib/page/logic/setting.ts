import { readHow, type How } from "./how.js";
import { cleaned, isObject, within, type Loose } from "./loose.js";
import { parseLayers } from "./shorthand.js";

/** How a column is steered: not at all, by asking for it in a system message, or by a schedule of `lib/steering`. */
export const KINDS = ["none", "prompted", "fixed", "dynamic", "budget", "start", "diminishing", "window"] as const;
export type Kind = typeof KINDS[number];
export type ScheduleKind = Exclude<Kind, "none" | "prompted">;
export const isScheduled = (kind: Kind): kind is ScheduleKind => kind !== "none" && kind !== "prompted";

/** How one vector is added in one column. */
export interface Row {
  on: boolean;
  /** Default: the column's; another one where schedules are mixed. */
  kind?: ScheduleKind;
  alpha: number;
  topP: number;
  /** First step of a window, and the one after its last. */
  from: number;
  to: number;
  /** What a budget may spend. */
  nats: number;
  per: "token" | "answer";
  /** The largest alpha that a budget may choose; default: what is known of the vector. */
  alphaMax?: number;
  /** The vector is added in this column, whatever else its card says. */
  isPlain?: true;
}

export interface Column {
  kind: Kind;
  /** What was set, by id of the vector; the rest is as proposed. */
  rows: Record<string, Partial<Row>>;
  /** What a prompted column asks for; default: what the vectors in use do. */
  system?: string;
}

/** A vector in use. */
export interface Use {
  id: string;
  /** As in the shorthand: "all", "4-9", "4-9+12". */
  layers: string;
  how?: How;
}

/** All that a link to the page restores. */
export interface Setting {
  model?: string;
  prompt: string;
  system: string;
  maxTokens: number;
  temperature: number;
  uses: Use[];
  /** Ids of the probes that read every token. */
  probes: string[];
  columns: Column[];
}

export const N_COLUMNS = 3;
export const MAX_TOP_P = 1;
/** Steps of a window that nobody has measured. */
export const DEFAULT_WINDOW = 6;
/** What a budget may spend unless somebody says otherwise. */
export const DEFAULT_NATS = { token: 0.5, answer: 10 } as const;
export const MAX_NATS = 1000;
/** As the server takes it: a vector may be calibrated with any alpha. */
export const MAX_ALPHA = 1e6;
const MAX_USES = 16;
const MAX_PROBES = 16;
export const MOST_TOKENS = 2048;

export function defaultSetting(): Setting {
  const column = (kind: Kind): Column => ({ kind, rows: {} });
  return {
    prompt: "", system: "", maxTokens: 80, temperature: 0, uses: [], probes: [],
    columns: [column("none"), column("fixed"), column("dynamic")],
  };
}

/** The hash of a link to `setting`, without "#". */
export function encodeSetting(setting: Setting): string {
  const bytes = new TextEncoder().encode(JSON.stringify(compact(setting)));
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return `s=${btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

/** Rows of vectors that are not in use are left out. */
function compact(setting: Setting): Setting {
  const used = new Set(setting.uses.map(({ id }) => id));
  const columns = setting.columns.map(({ rows, ...column }) => (
    { ...column, rows: Object.fromEntries(Object.entries(rows).filter(([id]) => used.has(id))) }
  ));
  return { ...setting, columns };
}

/** The setting of a hash, where anything missing or out of range has its default; undefined if the hash is not of a setting. */
export function decodeSetting(hash: string): Setting | undefined {
  const text = /^#?s=([\w-]+)$/.exec(hash)?.[1];
  if (text === undefined) return undefined;
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    return read(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch {
    return undefined;
  }
}

const text = (value: unknown, limit: number): string => (typeof value === "string" ? value.slice(0, limit) : "");
const number = (value: unknown, [least, most]: readonly [number, number], otherwise: number): number =>
  (within(value, least, most) ? value : otherwise);

function read(json: unknown): Setting | undefined {
  if (!isObject(json)) return undefined;
  const known = defaultSetting();
  const uses = Array.isArray(json["uses"]) ? json["uses"].filter(isObject).slice(0, MAX_USES) : [];
  const columns = Array.isArray(json["columns"]) ? json["columns"] : [];
  const probes = Array.isArray(json["probes"]) ? json["probes"] : [];
  return {
    ...(typeof json["model"] === "string" && { model: json["model"].slice(0, 200) }),
    prompt: text(json["prompt"], 100_000),
    system: text(json["system"], 100_000),
    maxTokens: Math.round(number(json["maxTokens"], [1, MOST_TOKENS], known.maxTokens)),
    temperature: number(json["temperature"], [0, 2], known.temperature),
    uses: uses.map(readUse).filter(({ id }) => id !== ""),
    probes: probes.map((id) => text(id, 200)).filter((id) => id !== "").slice(0, MAX_PROBES),
    columns: known.columns.map((column, index) => readColumn(columns[index], column)),
  };
}

function readUse({ id, layers, how }: Loose): Use {
  const read = readHow(how);
  const written = text(layers, 200);
  return {
    id: text(id, 200), layers: written !== "" && parseLayers(written) ? written : "all", ...(Object.keys(read).length > 0 && { how: read }),
  };
}

function readColumn(json: unknown, otherwise: Column): Column {
  if (!isObject(json)) return otherwise;
  const kind = KINDS.find((name) => name === json["kind"]) ?? otherwise.kind;
  const rows = isObject(json["rows"]) ? Object.entries(json["rows"]) : [];
  const system = text(json["system"], 100_000);
  return {
    kind, rows: Object.fromEntries(rows.filter(([, row]) => isObject(row)).map(([id, row]) => [id, readRow(row as Loose)])),
    ...(system !== "" && { system }),
  };
}

function readRow(row: Loose): Partial<Row> {
  const number = (name: string, least: number, most: number): number | undefined => {
    const value = row[name];
    return within(value, least, most) ? value : undefined;
  };
  const step = (name: string): number | undefined => {
    const value = number(name, 0, MOST_TOKENS);
    return value === undefined ? undefined : Math.round(value);
  };
  return cleaned<Partial<Row>>({
    on: row["on"] === false ? false : undefined, kind: KINDS.filter(isScheduled).find((name) => name === row["kind"]),
    alpha: number("alpha", -MAX_ALPHA, MAX_ALPHA), topP: number("topP", 0.01, MAX_TOP_P), from: step("from"), to: step("to"),
    nats: number("nats", 0, MAX_NATS), per: (["token", "answer"] as const).find((name) => name === row["per"]),
    alphaMax: number("alphaMax", 0, MAX_ALPHA), isPlain: row["isPlain"] === true || undefined,
  });
}
