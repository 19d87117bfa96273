// eslint-disable-next-line @typescript-eslint/no-require-imports -- sandboxed preload scripts are CommonJS
const { contextBridge, ipcRenderer } = require("electron");

contextBridge.exposeInMainWorld("steered", {
  ask: (question) => ipcRenderer.invoke("ask", question),
  onText: (listener) => ipcRenderer.on("text", (_, name, text) => listener(name, text)),
});
