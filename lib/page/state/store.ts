import { computed, signal } from "@preact/signals";
import type { z } from "zod";
import type { modelListSchema, serverSchema, VectorEntry, vectorListSchema } from "../../server/schemas/index.js";
import { get, post } from "../api.js";
import { decodeSetting, defaultSetting, encodeSetting, type Column, type Row, type Setting, type Use } from "../logic/setting.js";
import { cleaned, type Changes } from "../logic/loose.js";
import { fullAlpha, titleOf } from "../logic/steering.js";

export type ModelEntry = z.infer<typeof modelListSchema>["data"][number];

export const models = signal<ModelEntry[]>([]);
export const vectors = signal<VectorEntry[]>([]);
export const server = signal<z.infer<typeof serverSchema> | undefined>(undefined);
const linked = decodeSetting(location.hash);
export const setting = signal<Setting>(linked ?? defaultSetting());
/** The last question, which a chat has taken out of the box that it was written in. */
export const asked = signal("");
/** Said by screen readers when it changes. */
export const announced = signal("");
/** What went wrong outside of an answer. */
export const problem = signal("");
/** What the page is waiting for before it can be used. */
export const loading = signal("Connecting …");

export const entries = computed(() => new Map(vectors.value.map((entry) => [entry.id, entry])));
export const model = computed(() => models.value.find(({ id }) => id === setting.value.model));
export const canChat = computed(() => model.value?.details?.format === "chat");
const fitting = computed(() => vectors.value.filter(({ models: ids }) => ids.some((id) => id === setting.value.model)));
export const ofModel = computed(() => fitting.value.filter(({ kind }) => kind === "vector"));
export const probesOfModel = computed(() => fitting.value.filter(({ kind }) => kind === "probe"));
/** Vectors in use that exist for this model. */
export const uses = computed(() => setting.value.uses.filter(({ id }) => ofModel.value.some((entry) => entry.id === id)));
/** Probes in use that exist for this model. */
export const probes = computed(() => probesOfModel.value.filter(({ id }) => setting.value.probes.includes(id)));
/** The alpha of full shading. */
export const scale = computed(() => fullAlpha({ ...setting.value, uses: uses.value }, entries.value));

export const titleOfId = (id: string): string => titleOf(entries.value.get(id), id);

export function change(changes: Partial<Setting>): void {
  setting.value = { ...setting.value, ...changes };
}

export function changeColumn(index: number, changes: Partial<Column>): void {
  change({ columns: setting.value.columns.map((column, at) => (at === index ? { ...column, ...changes } : column)) });
}

/** Sets what a column does with a vector; undefined stands for what is proposed. */
export function changeRow(index: number, id: string, changes: Changes<Row>): void {
  const { rows } = setting.value.columns[index]!;
  changeColumn(index, { rows: { ...rows, [id]: cleaned<Partial<Row>>({ ...rows[id], ...changes }) } });
}

/** How a vector is used, in all columns. */
export const useOf = (id: string): Use => setting.value.uses.find((use) => use.id === id) ?? { id, layers: "all" };

export function changeUse(id: string, changes: Partial<Use>): void {
  change({ uses: setting.value.uses.map((use) => (use.id === id ? { ...use, ...changes } : use)) });
}

export function useVector(id: string, used: boolean): void {
  const others = setting.value.uses.filter((use) => use.id !== id);
  change({ uses: used ? [...others, { id, layers: "all" }] : others });
}

/** What a prompted column asks for; an empty text stands for what its vectors do. */
export function setRequest(index: number, text: string): void {
  const { system: _, ...column } = setting.value.columns[index]!;
  const written = text.trim();
  const changed = written === "" ? column : { ...column, system: written };
  change({ columns: setting.value.columns.map((other, at) => (at === index ? changed : other)) });
}

export function useProbe(id: string, used: boolean): void {
  const others = setting.value.probes.filter((each) => each !== id);
  change({ probes: used ? [...others, id] : others });
}

/** Everything that the page shows before the first answer. */
export async function load(): Promise<void> {
  problem.value = "";
  try {
    server.value = await get<z.infer<typeof serverSchema>>("v1/server");
    models.value = (await get<z.infer<typeof modelListSchema>>("v1/models")).data;
    const known = models.value.some(({ id }) => id === setting.value.model);
    await chooseModel(known ? setting.value.model! : server.value.default_model);
    if (linked === undefined) proposeExample();
    else problem.value = missingOf(linked);
  } catch (error) {
    fail(error);
  }
  loading.value = "";
}

/** What a link restores that is not here; without a word, its answers would look unsteered. */
function missingOf(link: Setting): string {
  const missing = [
    ...(link.model !== undefined && link.model !== setting.value.model ? [`the model ${link.model}`] : []),
    ...link.uses.filter(({ id }) => !uses.value.some((use) => use.id === id)).map(({ id }) => `the vector ${id}`),
    ...link.probes.filter((id) => !probes.value.some((probe) => probe.id === id)).map((id) => `the probe ${id}`),
  ];
  if (missing.length === 0) return "";
  return `This link also uses ${missing.join(", ")}, which this server does not have for ${setting.value.model}. Answers are without it.`;
}

/** Newcomers find a vector turned on and a question that shows what it does. */
function proposeExample(): void {
  const example = ofModel.value.find(({ sample }) => sample !== null) ?? ofModel.value[0];
  if (example === undefined || setting.value.uses.length > 0) return;
  change({ uses: [{ id: example.id, layers: "all" }], prompt: setting.value.prompt || (example.sample?.question ?? "") });
}

/** Has the model loaded, because only then is it known which vectors fit. */
export async function chooseModel(id: string): Promise<void> {
  change({ model: id });
  if (model.value?.loaded !== true) {
    loading.value = `Loading ${id} …`;
    await post("v1/score", { model: id, prompt: "A", continuation: " B" });
    models.value = (await get<z.infer<typeof modelListSchema>>("v1/models")).data;
  }
  await loadVectors();
  loading.value = "";
}

export async function loadVectors(): Promise<void> {
  vectors.value = (await get<z.infer<typeof vectorListSchema>>("v1/vectors")).data;
}

export function fail(error: unknown): void {
  problem.value = error instanceof Error ? error.message : String(error);
  loading.value = "";
}

const hash = computed(() => `#${encodeSetting({ ...setting.value, prompt: setting.value.prompt || asked.value })}`);

/** Keeps the address of the page a link to its setting, without an entry in the history per change. */
export function keepPermalink(): () => void {
  let waiting: number | undefined;
  return hash.subscribe((value) => {
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => history.replaceState(null, "", value), 300);
  });
}

export const permalink = (): string => new URL(hash.value, location.href).href;
