import { existsSync, statSync } from "node:fs";
import { basename, isAbsolute, join, resolve } from "node:path";
import { SteeringError } from "../errors.js";
import { hashOf } from "../experiment/index.js";
import type { RunFile } from "../results/index.js";
import { hasHeads, loadVector, type VectorData } from "../vector/index.js";
import { vectorNames } from "./strategy.js";

/** Steps that figure 5 shows individually, as published. */
export const SHOWN_STEPS = [0, 1, 2, 5, 10, 15, 20, 25];
/** Panel with the mean of the norms over all steps. */
export const ALL_STEPS = "mean of all steps";

/** Euclidean norm of a part of a direction. */
export interface NormCell {
  /** 0-based. */
  layer: number;
  /** 0-based; always 0 at a site without heads. */
  head: number;
  /** For example "step 5", or `ALL_STEPS`. */
  panel: string;
  norm: number;
}

/** Figure 5: the norm of Δ per layer and head, as the mean over all steps and at single steps. */
export function normCells(vector: VectorData): { cells: NormCell[]; nHead: number; panels: string[] } {
  const { layers, nSteps, width, data, provenance } = vector;
  const nHead = headsOf(vector, provenance.model.nHead);
  const dHead = width / nHead;
  const normAt = (layer: number, step: number, head: number): number => {
    const start = (layer * nSteps + step) * width + head * dHead;
    return Math.sqrt(data.subarray(start, start + dHead).reduce((sum, value) => sum + value * value, 0));
  };
  const shown = SHOWN_STEPS.filter((step) => step < nSteps);
  const cells = layers.flatMap((layer, index) => Array.from({ length: nHead }, (_, head) => {
    const norms = Array.from({ length: nSteps }, (_unused, step) => normAt(index, step, head));
    const cell = (panel: string, norm: number): NormCell => ({ layer, head, panel, norm });
    return [
      cell(ALL_STEPS, norms.reduce((sum, norm) => sum + norm, 0) / nSteps),
      ...shown.map((step) => cell(`step ${step}`, norms[step]!)),
    ];
  })).flat();
  return { cells, nHead, panels: [ALL_STEPS, ...shown.map((step) => `step ${step}`)] };
}

/** Number of heads whose outputs a direction concatenates: the model's heads at `head_out`, otherwise one. */
function headsOf({ site, width }: VectorData, nHead: number): number {
  return hasHeads(site) && nHead > 0 && width % nHead === 0 ? nHead : 1;
}

/** A vector of a run, or why it cannot be shown. */
export interface RunVector {
  property: string;
  vector?: VectorData;
  /** For example "its vector file x.safetensors is missing". */
  missing?: string;
}

/**
 * Find the vectors that a run steered with: at their recorded paths, or by file name in the run's folder or one
 * of the other folders. Skips files with another hash. A vector that cannot be read gives a reason in `missing`, never an error.
 */
export async function runVectors(
  folder: string,
  run: Pick<RunFile, "vectors">,
  otherFolders: readonly string[] = [],
): Promise<RunVector[]> {
  const names = vectorNames(run);
  return Promise.all(
    run.vectors.map(async ({ file, hash }, index): Promise<RunVector> => {
      const property = names[index]!;
      if (file === "unknown") return { property, missing: "an imported run names no vector file" };
      const places = [
        isAbsolute(file) ? file : join(folder, file),
        ...[folder, ...otherFolders].map((other) => join(other, basename(file))),
        ...(hash === null ? [] : [resolve(file)]), // a given path, which may be relative to where the run was started
      ];
      const there = [...new Set(places)].filter((path) => existsSync(path) && statSync(path).isFile());
      if (there.length === 0) return { property, missing: `its vector file ${basename(file)} is missing` };
      for (const path of there) {
        if (hash !== null && (await hashOf(path)) !== hash) continue;
        try {
          return { property, vector: await loadVector(path) };
        } catch (error) {
          if (error instanceof SteeringError) return { property, missing: `its vector file cannot be read: ${error.message}` };
          throw error;
        }
      }
      return { property, missing: `the file ${basename(file)} differs from the one that the run steered with (other hash)` };
    }),
  );
}
