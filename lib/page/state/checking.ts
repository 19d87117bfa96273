import type { z } from "zod";
import type { validateResponseSchema } from "../../server/schemas/index.js";
import { post } from "../api.js";
import type { Use } from "../logic/setting.js";
import { entryOf } from "../logic/steering.js";

/** Why the server refuses to use a vector like this, whatever its schedule; empty if it does not. */
export async function refusalOf(use: Use, model: string | undefined): Promise<string> {
  if (use.layers === "all" && Object.keys(use.how ?? {}).length === 0) return "";
  const steering = entryOf(use, use.how ?? {}, { kind: "fixed", alpha: 1 });
  try {
    const asked = { ...(model !== undefined && { model }), steering };
    const verdict = await post<z.infer<typeof validateResponseSchema>>("v1/steering/validate", asked);
    return verdict.valid ? "" : verdict.error.message;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
