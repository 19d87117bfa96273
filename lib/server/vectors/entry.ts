import { basename } from "node:path";
import { createHash } from "node:crypto";
import { decodeSafetensors } from "../../formats/index.js";
import type { GalleryEntry } from "../../gallery/index.js";
import { decodeProbe, isProbe, type Probe } from "../../probe/index.js";
import { steeringSpecSchema } from "../../steering/index.js";
import { decodeVector, dynamicSettings, formatOf, knownStrength, SteeringVector, type KnownStrength } from "../../vector/index.js";
import type { VectorEntry } from "../schemas/index.js";

/** A vector or a probe, as it was read from the bytes of its file. */
export type Content = { kind: "vector"; vector: SteeringVector } | { kind: "probe"; probe: Probe };

/** Where a vector file is. */
export interface Place {
  id: string;
  path: string;
  source: "folder" | "gallery";
  /** What a gallery says of it. */
  gallery?: GalleryEntry;
}

/** What is known of a file from its content alone. */
export type Described = Omit<VectorEntry, "models">;

/** Reads a vector or probe. Throws E_BAD_VECTOR, E_NOT_FINITE. */
export function readContent(bytes: Buffer, name: string): Content {
  if (isProbe(decodeSafetensors(bytes, name).metadata)) return { kind: "probe", probe: decodeProbe(bytes, name) };
  return { kind: "vector", vector: new SteeringVector(decodeVector(bytes, name)) };
}

/** The id of an uploaded or extracted vector: its property, and the beginning of its hash. */
export function ownId(content: Content, sha256: string): string {
  const property = content.kind === "vector" ? content.vector.property : content.probe.provenance.property;
  const word = property.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").slice(0, 40).replace(/^-+|-+$/g, "");
  return `${word || content.kind}-${sha256.slice(0, 12)}`;
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Describes a file. */
export async function describe({ id, path, source, gallery }: Place, bytes: Buffer): Promise<Described> {
  const content = readContent(bytes, basename(path));
  const common = {
    id, object: "vector" as const, kind: content.kind, source, sha256: sha256Of(bytes), bytes: bytes.length,
    ...(gallery?.description !== undefined && { description: gallery.description }), sample: gallery?.sample ?? null,
  };
  if (content.kind === "probe") {
    const { site, layer, provenance } = content.probe;
    return {
      ...common, property: provenance.property, origin: "trained", site, layers: [layer], n_steps: 1, format: null,
      model_hash: provenance.model.fileHash, steering: null, dynamic: null, calibration: null, health: null,
    };
  }
  const { site, layers, nSteps, provenance } = content.vector;
  const { calibration, health, property, origin, model } = provenance;
  const schedule = gallery?.schedule ?? calibration?.schedule;
  return {
    ...common, property, origin: origin.kind, site, layers: [...layers], n_steps: nSteps, format: formatOf(provenance) ?? null,
    model_hash: model.fileHash, calibration: calibration ? { ...calibration } : null, health: health ? { ...health } : null,
    dynamic: dynamicOf(knownStrength(provenance, gallery?.schedule)),
    steering: schedule ? steeringSpecSchema.parse({ vector: id, schedule }) : null,
  };
}

function dynamicOf(known: KnownStrength | undefined): VectorEntry["dynamic"] {
  const { strongAlpha, alphaMax } = dynamicSettings(known);
  return strongAlpha === undefined || alphaMax === undefined ? null : { strongAlpha, alphaMax };
}
