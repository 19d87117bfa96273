import { counted } from "../common.js";
import type { HowAnswered } from "./front.js";
import type { Reply } from "./reply.js";

const ENDS: Partial<Record<Reply["finishReason"], string>> = {
  length: "cut at --max-new-tokens", interrupted: "stopped", stop: "ended by a stop string",
};

/** e.g. "34 tokens · 21.3 tokens/s · italian 0.52 on average, 0.31 last". `name` writes a property's name. */
export function statusLine(
  reply: Pick<Reply, "tokens" | "seconds" | "finishReason">, { properties, isOff = false }: HowAnswered,
  name: (text: string, index: number) => string = (text) => text,
): string {
  const n = reply.tokens.length;
  const end = ENDS[reply.finishReason];
  const parts = [counted(n, "token")];
  if (n > 0 && reply.seconds > 0) parts.push(`${(n / reply.seconds).toFixed(1)} tokens/s`);
  if (end) parts.push(end);
  if (isOff) parts.push("steering off");
  parts.push(...properties.map((property, index) => `${name(property.name, index)} ${alphas(reply, index)}`));
  return parts.join(" · ");
}

/** The mean and the last alpha of an answer, or its only one. */
export function alphasOf(
  { tokens }: Pick<Reply, "tokens">, index: number,
): { mean: number; last: number; isConstant: boolean } | undefined {
  const all = tokens.map(({ readings }) => readings[index]?.alpha ?? 0);
  if (all.length === 0) return undefined;
  const mean = all.reduce((sum, alpha) => sum + alpha, 0) / all.length;
  return { mean, last: all.at(-1)!, isConstant: all.every((alpha) => alpha === all[0]) };
}

function alphas(reply: Pick<Reply, "tokens">, index: number): string {
  const found = alphasOf(reply, index);
  if (!found) return "–";
  return found.isConstant ? short(found.last) : `${short(found.mean)} on average, ${short(found.last)} last`;
}

/** Two decimals, without trailing zeros. */
function short(value: number): string {
  return String(Number(value.toFixed(2)));
}
