export { entriesFor, findEntry, type Gallery, type GalleryEntry } from "./gallery.js";
export { findReady, type ReadyVector } from "./named.js";
export type { PackedVector } from "./pack.js";
export { galleryFiles, isPulled, type PullVectorOptions } from "./pull.js";
