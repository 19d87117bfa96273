/** Vector files of other programs, both ways. */
export { exportControlVector, exportPublished, importControlVector, importPublished } from "../vector/interchange.js";
