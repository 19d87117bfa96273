/** How a column is steered: not at all, by asking for it in a system message, or by a schedule of `lib/steering`. */
export const KINDS = ["none", "prompted", "fixed", "dynamic", "start", "diminishing", "window"] as const;
export type Kind = typeof KINDS[number];
export type ScheduleKind = Exclude<Kind, "none" | "prompted">;
export const isScheduled = (kind: Kind): kind is ScheduleKind => kind !== "none" && kind !== "prompted";

/** How one vector is added in one column. */
export interface Row {
  on: boolean;
  /** Differs from the column's kind where schedules are mixed. */
  kind?: ScheduleKind;
  alpha: number;
  topP: number;
  /** First step of a window, and the one after its last. */
  from: number;
  to: number;
}

export interface Column {
  kind: Kind;
  /** By id of the vector; a vector without a row has the default one. */
  rows: Record<string, Row>;
  /** What a prompted column asks for; default: what the vectors in use do. */
  system?: string;
}

/** A vector in use. */
export interface Use {
  id: string;
  /** As in the shorthand: "all", "4-9", "4-9+12". */
  layers: string;
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

type Loose = Record<string, unknown>;
const isObject = (value: unknown): value is Loose => typeof value === "object" && value !== null && !Array.isArray(value);
const text = (value: unknown, limit: number): string => (typeof value === "string" ? value.slice(0, limit) : "");
const number = (value: unknown, [least, most]: readonly [number, number], otherwise: number): number =>
  (typeof value === "number" && value >= least && value <= most ? value : otherwise);

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
    uses: uses.map(({ id, layers }) => ({ id: text(id, 200), layers: text(layers, 200) || "all" })).filter(({ id }) => id !== ""),
    probes: probes.map((id) => text(id, 200)).filter((id) => id !== "").slice(0, MAX_PROBES),
    columns: known.columns.map((column, index) => readColumn(columns[index], column)),
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

function readRow(row: Loose): Row {
  const kind = KINDS.filter(isScheduled).find((name) => name === row["kind"]);
  const step = (value: unknown, otherwise: number): number => Math.round(number(value, [0, MOST_TOKENS], otherwise));
  const from = step(row["from"], 0);
  return {
    on: row["on"] !== false, ...(kind && { kind }), alpha: number(row["alpha"], [-100, 100], 1),
    topP: number(row["topP"], [0.01, MAX_TOP_P], 0.5), from, to: Math.max(from + 1, step(row["to"], DEFAULT_WINDOW)),
  };
}
