import { signal } from "@preact/signals";
import { gateWords } from "../logic/readings.js";
import type { Answer } from "./answer.js";
import { announced } from "./store.js";

/** An answer, and its column if it can be continued from another candidate. */
export interface Target {
  answer: Answer;
  index: number | undefined;
}

/** The token whose details are shown; pinned ones stay until they are closed. */
export interface Inspected extends Target {
  step: number;
  element: HTMLElement;
  pinned: boolean;
}

export const inspected = signal<Inspected | undefined>(undefined);
let leaving: number | undefined;
/** Milliseconds in which the pointer can go from a token to its details. */
const GRACE = 250;

const tokenAt = (at: EventTarget | null): HTMLElement | null => (at instanceof Element ? at.closest<HTMLElement>("[data-step]") : null);

function show(target: Target, element: HTMLElement, pinned: boolean): void {
  stay();
  inspected.value?.element.classList.remove("at");
  element.classList.add("at");
  inspected.value = { ...target, step: Number(element.dataset["step"]), element, pinned };
}

export function point(target: Target, at: EventTarget | null): void {
  const element = tokenAt(at);
  if (element !== null && inspected.value?.pinned !== true) show(target, element, false);
}

export function pin(target: Target, at: EventTarget | null): void {
  const element = tokenAt(at);
  if (element !== null) show(target, element, true);
}

/** Closes the details soon, unless they are pinned or the pointer comes to them. */
export function leave(): void {
  stay();
  leaving = window.setTimeout(() => { if (inspected.value?.pinned === false) close(); }, GRACE);
}

export function stay(): void {
  window.clearTimeout(leaving);
}

export function close(): void {
  inspected.value?.element.classList.remove("at");
  inspected.value = undefined;
}

/** Moves along the tokens of an answer; false for other keys. */
export function moveBy(target: Target, box: HTMLElement, key: string): boolean {
  const current = inspected.value?.answer === target.answer ? inspected.value : undefined;
  if (key === "Escape" && current) {
    close();
    return true;
  }
  if ((key === "Enter" || key === " ") && current) {
    inspected.value = { ...current, pinned: true };
    return true;
  }
  const last = target.answer.tokens.length - 1;
  const from = current?.step;
  const steps: Record<string, number> = {
    ArrowRight: from === undefined ? 0 : from + 1, ArrowLeft: from === undefined ? last : from - 1, Home: 0, End: last,
  };
  const step = steps[key];
  if (step === undefined) return false;
  const element = box.querySelector<HTMLElement>(`[data-step="${Math.max(0, Math.min(last, step))}"]`);
  if (element === null) return true;
  element.scrollIntoView({ block: "nearest" });
  show(target, element, false);
  announced.value = describe(target.answer, Number(element.dataset["step"]));
  return true;
}

function describe({ tokens, titles, probes }: Answer, step: number): string {
  const { text, readings, logprob, monitors = [] } = tokens[step]!;
  const strengths = readings.map(({ alpha, gate }, at) => (
    `${titles[at]} alpha ${alpha.toFixed(2)}${gate ? `, gate ${gateWords(gate).replace("%", "percent")}` : ""}`
  )).join(", ");
  const read = monitors.map((share, at) => `, probe ${probes[at]!.title} ${Math.round(share * 100)} percent`).join("");
  return `${text.trim() || "space"}: ${strengths || "unsteered"}, probability ${Math.round(Math.exp(logprob) * 100)} percent${read}`;
}
