/** Vector files of other programs, both ways; whether a vector belongs to a model. */
export { assertMadeFor } from "../steering/index.js";
export { exportControlVector, exportPublished, importControlVector, importPublished } from "../vector/interchange.js";
