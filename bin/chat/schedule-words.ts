import { KINDS, parseSchedule, type WrittenSchedule } from "../../lib/steering/index.js";

/** Settings that are shown only if they differ. */
const USUAL: Readonly<Record<string, unknown>> = { ...parseSchedule({ kind: "dynamic" }), topP: undefined, from: 0, per: "token" };

/** A schedule as `--steer` takes it, e.g. "dyn,p=0.3"; recorded alphas, which it does not take, are only named. */
export function scheduleWords(schedule: WrittenSchedule): string {
  if (schedule.kind === "recorded") return "recorded";
  const { word, settings, bare = "alpha" } = { bare: undefined, ...KINDS[schedule.kind] };
  const values = Object.entries(settings).flatMap(([short, key]) => {
    const value = schedule[key as keyof typeof schedule] as unknown;
    if (short === bare) return [String(value)];
    return value === USUAL[key] ? [] : [`${short}=${String(value)}`];
  });
  return [word, ...values].join(",");
}

/** The same schedule with another alpha; one that measures its alphas or replays them becomes Fixed. */
export function withAlpha(schedule: WrittenSchedule, alpha: number): WrittenSchedule {
  return parseSchedule("alpha" in schedule ? { ...schedule, alpha } : { kind: "fixed", alpha });
}
