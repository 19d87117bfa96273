export { hashOf } from "./single.js";
