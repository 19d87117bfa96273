import { SteeringError } from "../../errors.js";
import { nearestName } from "../../formats/index.js";
import type { LoadModelOptions } from "../../engine/index.js";
import { loadModel, type Model } from "../../model/index.js";
import { HttpError } from "../http/errors.js";
import { Gate } from "./gate.js";
import type { ServedModel } from "./served-model.js";

/** How models are loaded, and how many answers each writes at once. */
export interface PoolSettings {
  load: LoadModelOptions;
  /** Bytes of the files of all loaded models. */
  memory: number;
  /** Answers at once, and requests that wait, per model. */
  parallel: number;
  maxQueue: number;
}

/** A model that is in use until it is given back. */
export interface Lease extends Disposable {
  id: string;
  model: Model;
  gate: Gate;
}

interface Entry extends ServedModel {
  gate: Gate;
  model: Model | undefined;
  nLeases: number;
  /** When it was last given back. */
  usedAt: number;
}

const RETRY_SECONDS = 5;

/** The served models: loaded when they are first named, and freed for others when memory is short. */
export class ModelPool {
  private readonly all: readonly Entry[];
  private loading: Promise<unknown> = Promise.resolve();
  private isClosed = false;

  /** Throws E_BAD_ARGUMENT for a model that never fits. */
  constructor(served: readonly ServedModel[], private readonly settings: PoolSettings) {
    const large = served.find(({ bytes }) => bytes > settings.memory);
    if (large) {
      throw new SteeringError("E_BAD_ARGUMENT", `the model ${large.id} has ${large.bytes} bytes, more than the ${settings.memory} that all `
        + "loaded models may have together; raise the limit (--memory), or leave the model out");
    }
    this.all = served.map((model) => ({
      ...model, gate: new Gate(settings.parallel, settings.maxQueue), model: undefined, nLeases: 0, usedAt: 0,
    }));
  }

  get defaultId(): string {
    return this.all[0]!.id;
  }

  /** Every served model; `model` only of those that are loaded. */
  get entries(): ReadonlyArray<ServedModel & { model: Model | undefined; gate: Gate }> {
    return this.all;
  }

  get nLoaded(): number {
    return this.all.filter(({ model }) => model !== undefined).length;
  }

  /** Throws 404 for an unknown model. */
  idOf(name: string | undefined): string {
    return this.find(name).id;
  }

  /** Loads the model, unless it is loaded, and keeps it until the lease is disposed of. Throws 404, 503. */
  async lease(name: string | undefined): Promise<Lease> {
    const entry = this.find(name);
    entry.nLeases++; // from now on it stays
    try {
      const model = entry.model?.isLost === false ? entry.model : await this.inTurn(() => this.load(entry));
      return { id: entry.id, model, gate: entry.gate, [Symbol.dispose]: once(() => this.giveBack(entry)) };
    } catch (error) {
      this.giveBack(entry);
      throw error;
    }
  }

  /** Frees all models; resolves when their work has ended. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.inTurn(async () => {
      for (const entry of this.all) await this.free(entry);
    });
  }

  private find(name: string | undefined): Entry {
    const found = name === undefined ? this.all[0] : this.all.find(({ id }) => id === name);
    if (found) return found;
    const ids = this.all.map(({ id }) => id);
    const near = nearestName(name!, ids);
    throw new HttpError(404, `the model ${JSON.stringify(name)} is not served${near ? `; did you mean ${near}?` : ""} `
      + `(served: ${ids.join(", ")})`, { code: "model_not_found", param: "model" });
  }

  /** Loads one model at a time, so that their sizes are counted. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.loading.then(work);
    this.loading = result.catch(() => undefined);
    return result;
  }

  private async load(entry: Entry): Promise<Model> {
    if (this.isClosed) throw new HttpError(503, "the server is closing", { code: "closing", retryAfter: RETRY_SECONDS });
    await this.freeLost(entry);
    if (entry.model) return entry.model;
    await this.makeRoom(entry);
    try {
      entry.model = await loadModel(entry.path, this.settings.load);
    } catch (cause) {
      const { code, message } = cause as SteeringError;
      throw new HttpError(500, `the model ${entry.id} cannot be loaded: ${message}`, { code: code ?? null, cause });
    }
    return entry.model;
  }

  /** Frees idle models, the one that has not been used for longest first. */
  private async makeRoom({ id, bytes }: Entry): Promise<void> {
    const loaded = this.all.filter(({ model }) => model !== undefined);
    let used = loaded.reduce((sum, each) => sum + each.bytes, 0);
    for (const idle of loaded.filter(({ nLeases }) => nLeases === 0).sort((a, b) => a.usedAt - b.usedAt)) {
      if (used + bytes <= this.settings.memory) break;
      if (idle.nLeases > 0) continue; // leased while another was freed
      used -= idle.bytes;
      await this.free(idle);
    }
    if (used + bytes <= this.settings.memory) return;
    throw new HttpError(503, `the model ${id} does not fit beside those that are in use; try again when they are idle`,
      { code: "no_memory", retryAfter: RETRY_SECONDS });
  }

  private async free(entry: Entry): Promise<void> {
    const { model } = entry;
    entry.model = undefined;
    await model?.[Symbol.asyncDispose]();
  }

  /** Frees a model whose RPC server has gone away, so that the next request loads it again. */
  private async freeLost(entry: Entry): Promise<void> {
    if (entry.model?.isLost) await this.free(entry);
  }

  private giveBack(entry: Entry): void {
    entry.nLeases--;
    entry.usedAt = performance.now();
    if (entry.nLeases === 0 && entry.model?.isLost) void this.inTurn(() => this.freeLost(entry)).catch(() => undefined);
  }
}

function once(call: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) call();
    isDone = true;
  };
}
