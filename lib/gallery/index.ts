export { entriesFor, findEntry, type Gallery, type GalleryEntry } from "./gallery.js";
export { findReady } from "./named.js";
export type { PackedVector } from "./pack.js";
export { galleryFiles, isPulled, statedSchedule, type PullVectorOptions } from "./pull.js";
