export { Chat, type ChatOptions, type TurnOptions } from "./chat.js";
export { Model, fromLlama, loadModel, type LlamaLike } from "./model.js";
