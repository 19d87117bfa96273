import type { VectorEntry } from "../../server/schemas/index.js";
import { titleOf } from "../logic/steering.js";
import { job } from "../state/making.js";
import { Plot } from "./plot.js";
import { Verdict } from "./verdict.js";

type Point = { value: number; kl?: { mean: number } };

/** What became of a vector: how trustworthy it is, and how much each alpha changes. */
export function Made({ vector, close }: { vector: VectorEntry; close: () => void }) {
  const { health, calibration, steering } = vector;
  const points = pointsOf(calibration);
  const budget = calibration?.["budget"];
  const limit = typeof budget === "number" ? [points.map(() => budget)] : [];
  return (
    <div class="made">
      <p><b>{titleOf(vector, vector.id)}</b> {health && <Verdict verdict={health.verdict} />}</p>
      {health && <p>{health.reason}.</p>}
      {points.length > 1 && (
        <figure>
          <Plot height={170} label="Mean KL per token at each alpha" series={[
            { label: "KL", colour: "accent" }, ...limit.map(() => ({ label: "budget", colour: "muted" as const, dash: [4, 4] })),
          ]} data={[points.map(({ value }) => value), points.map(({ kl }) => kl!.mean), ...limit]} />
          <figcaption>Change per token (KL in nats) at each alpha{
            steering && "alpha" in steering.schedule ? `; measured strength: alpha ${steering.schedule.alpha}` : ""}.</figcaption>
        </figure>
      )}
      <div class="buttons">
        <button type="button" class="outline" onClick={() => { job.value = undefined; }}>Make another</button>
        <button type="button" class="primary" onClick={() => {
          job.value = undefined;
          close();
        }}>Try it</button>
      </div>
    </div>
  );
}

function pointsOf(calibration: VectorEntry["calibration"]): Point[] {
  const curve = calibration?.["curve"];
  if (!Array.isArray(curve)) return [];
  return (curve as Point[]).filter(({ value, kl }) => typeof value === "number" && kl !== undefined).sort((a, b) => a.value - b.value);
}
