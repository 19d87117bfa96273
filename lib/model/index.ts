export { Chat, type ChatOptions, type TurnOptions } from "./chat.js";
export { fromLlama, loadModel, Model, type LlamaLike } from "./model.js";
