export { Chat, type ChatOptions } from "./chat.js";
export { fromLlama, loadModel, Model, type LlamaLike } from "./model.js";
