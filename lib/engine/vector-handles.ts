import { addon, call, type NativeModel, type VectorHandle } from "../native/index.js";
import { select, type Selection, type VectorData } from "../vector/index.js";
import { int32s } from "./batch.js";

/** Maximum selections of one vector kept on the native side. */
const MAX_SELECTIONS = 8;

/** The vectors of one model on the native side: each selection of a vector is copied there once. */
export class VectorHandles {
  private readonly known = new WeakMap<VectorData, { hash: bigint; handles: Map<string, VectorHandle> }>();

  /** `nThreads`: the threads that start to compute the products of a vector with W_O. */
  constructor(private readonly native: NativeModel, private readonly nHead: number, private readonly nThreads: () => number) {}

  /** Throws E_SHAPE, E_NOT_FINITE, E_NO_SITE. */
  of(whole: VectorData, selection: Selection): VectorHandle {
    const hash = call(() => addon().hashOf(whole.data));
    const before = this.known.get(whole);
    const handles = before?.hash === hash ? before.handles : new Map<string, VectorHandle>(); // the caller may have changed its values
    const { site, layers, nSteps, width } = whole;
    const key = JSON.stringify([site, layers, nSteps, width, selection.layers ?? "all", selection.heads ?? "all"]);
    const known = handles.get(key);
    if (known) return known;
    const handle = this.create(select(whole, selection, this.nHead));
    if (handles.size >= MAX_SELECTIONS) handles.delete(handles.keys().next().value!);
    this.known.set(whole, { hash, handles: handles.set(key, handle) });
    return handle;
  }

  private create({ site, layers, nSteps, width, data }: VectorData): VectorHandle {
    return call(() => this.native.createVector({ site, layers: int32s(layers, "layers"), nSteps, width, data, nThreads: this.nThreads() }));
  }
}
