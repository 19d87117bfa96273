import { signal } from "@preact/signals";
import type { z } from "zod";
import type { scoreResponseSchema } from "../../server/schemas/index.js";
import { ApiError, patch, post, remove, stream } from "../api.js";
import { partOf, scheduleOf, steeringOf, titleOf } from "../logic/steering.js";
import { askedBy, systemOf } from "../logic/prompted.js";
import { columnTitle } from "../logic/titles.js";
import { conversation, requestBody, type Asked, type Turn as Said } from "../logic/request.js";
import { Answer, changed, type Chunk } from "./answer.js";
import { announced, asked, canChat, change, entries, fail, probes, setting, titleOfId, useOf, uses } from "./store.js";

/** A question and the answers of all columns. */
export interface Turn {
  question: string;
  seed: number;
  answers: Answer[];
}

export const turns = signal<readonly Turn[]>([]);
const aborts = new Map<Answer, AbortController>();
/** Candidates of each stream that the inspector shows. */
const N_CANDIDATES = 5;

export const latest = (): Turn | undefined => turns.value.at(-1);
export const isRunning = (): boolean => latest()?.answers.some((answer) => answer.isRunning) ?? false;

/** Asks all columns. A base model continues one text at a time; a chat goes on. */
export async function ask(question: string): Promise<void> {
  if (question.trim() === "" || isRunning()) return;
  change({ prompt: canChat.value ? "" : question });
  await askColumns(question);
}

async function askColumns(question: string): Promise<void> {
  const answers = setting.value.columns.map((_, index) => newAnswer(index));
  turns.value = [...(canChat.value ? turns.value : []), { question, seed: Math.floor(Math.random() * 2 ** 31), answers }];
  asked.value = question;
  announced.value = `Writing ${answers.length} answers.`;
  await Promise.all(answers.map((answer, index) => run(answer, index)));
  announced.value = answers.map(({ title, text, error }) => `${title}: ${error || text}`).join("\n");
}

/** Asks the last question again, with the present setting. */
export async function again(): Promise<void> {
  const last = latest();
  if (last === undefined || isRunning()) return;
  turns.value = turns.value.slice(0, -1);
  await askColumns(last.question);
}

/** The last answer of a column again, up to `step` as it was, then with another token. */
export async function continueFrom(index: number, step: number, token: number): Promise<void> {
  const turn = latest();
  const old = turn?.answers[index];
  if (turn === undefined || old === undefined) return;
  stop(old);
  const answer = newAnswer(index);
  turns.value = [...turns.value.slice(0, -1), { ...turn, answers: turn.answers.map((other, at) => (at === index ? answer : other)) }];
  await run(answer, index, [...old.tokens.slice(0, step).map(({ id }) => id), token]);
  announced.value = `${answer.title}: ${answer.error || answer.text}`;
}

export function stop(answer: Answer): void {
  aborts.get(answer)?.abort();
  // A closed connection cancels, too, but may be noticed later.
  if (answer.id !== undefined && answer.isRunning) void remove(`v1/generations/${answer.id}`).catch(() => undefined);
}

export function stopAll(): void {
  for (const answer of latest()?.answers ?? []) stop(answer);
}

/** Begins anew, with the last question ready to be asked. */
export function clear(): void {
  stopAll();
  turns.value = [];
  if (setting.value.prompt === "") change({ prompt: asked.value });
}

function newAnswer(index: number): Answer {
  const present = { ...setting.value, uses: uses.value };
  const steering = steeringOf(present, index, entries.value);
  const system = askedBy(present, index, entries.value);
  return new Answer({
    title: columnTitle(system === "" ? steering.map(({ schedule }) => schedule.kind) : ["prompted"]), system, entries: steering,
    titles: steering.map(({ vector }) => titleOfId(vector)), gates: steering.map(({ gate }) => gate && titleOfId(gate.probe)),
    probes: probes.value.map((entry) => ({ id: entry.id, title: titleOf(entry, entry.id) })),
  });
}

/** What a column was asked and answered before its present answer. */
export function said(index: number, answer: Answer): Said[] {
  return turns.value.map(({ question, answers }) => (
    { question, ...(answers[index] !== answer && { answer: answers[index]!.text }) }
  ));
}

async function run(answer: Answer, index: number, firstTokens: readonly number[] = []): Promise<void> {
  const abort = new AbortController();
  aborts.set(answer, abort);
  const format = canChat.value ? "chat" : "qa";
  const turnsSaid = said(index, answer);
  const input = conversation(format, turnsSaid, systemOf({ ...setting.value, uses: uses.value }, index, entries.value));
  const { model, system } = setting.value; // a score is of what was asked, whatever the page says by then
  const plain = conversation(format, turnsSaid, system); // without what a prompted column asks for
  const body = {
    ...requestBody(setting.value, input, answer.entries, latest()!.seed), stream: true, steering_details: { candidates: N_CANDIDATES },
    ...(answer.probes.length > 0 && { monitor: answer.probes.map(({ id }) => id) }),
    ...(firstTokens.length > 0 && { first_tokens: firstTokens }),
  };
  try {
    const path = format === "chat" ? "v1/chat/completions" : "v1/completions";
    for await (const chunk of stream<Chunk>("POST", path, body, abort.signal)) answer.add(chunk, performance.now());
    answer.end("done");
  } catch (error) {
    if (abort.signal.aborted) answer.end("stopped");
    else answer.end("failed", error instanceof Error ? error.message : String(error));
  }
  aborts.delete(answer);
  void score(answer, model, plain);
}

/** How likely the unsteered model finds the answer: what steering costs. */
async function score(answer: Answer, model: string | undefined, { input }: Asked): Promise<void> {
  // Without the stop string.
  const end = answer.tokens.findLastIndex(({ text }) => text !== "");
  if (end < 0) return;
  const continuation = answer.tokens.slice(0, end + 1).map(({ id }) => id);
  try {
    const result = await post<z.infer<typeof scoreResponseSchema>>("v1/score", { model, ...input, continuation });
    answer.perplexity = result.unsteered_perplexity;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    answer.perplexity = null;
  }
  changed(answer);
}

/** Sliders that were sent a moment ago, and whether they have moved since. */
const resting = new Map<string, boolean>();
/** Fewest milliseconds between two changes of one slider. */
const INTERVAL = 100;

/** Has a running answer follow its column's row: at once, and for a slider in motion every now and then. */
export function follow(index: number, id: string): void {
  const key = `${index} ${id}`;
  if (resting.has(key)) {
    resting.set(key, true);
    return;
  }
  resting.set(key, false);
  window.setTimeout(() => {
    const hasMoved = resting.get(key);
    resting.delete(key);
    if (hasMoved) follow(index, id);
  }, INTERVAL);
  send(index, id);
}

function send(index: number, id: string): void {
  const answer = latest()?.answers[index];
  const at = answer?.entries.findIndex(({ vector }) => vector === id) ?? -1;
  if (answer?.id === undefined || !answer.isRunning || at < 0) return;
  const column = setting.value.columns[index]!;
  const entry = entries.value.get(id);
  const { isOn, kind, row } = partOf(column, useOf(id), entry);
  // A running answer keeps its operator, gate and selectors.
  const change = isOn ? { index: at, schedule: scheduleOf(kind, row, answer.entries[at]!, entry) } : { index: at, alpha: 0 };
  patch(`v1/generations/${answer.id}/steering`, { changes: [change] }).then(() => answer.move(at)).catch((error: unknown) => {
    // The answer may have ended meanwhile.
    if (!(error instanceof ApiError) || error.status !== 409) fail(error);
  });
}
