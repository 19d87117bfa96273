// A window that answers a question twice, unsteered and steered, as it is generated.
//   npm install && npm start
import { app, BrowserWindow, ipcMain } from "electron";
import { fileURLToPath } from "node:url";
import { gallery, loadModel, loadSteering, prompts } from "llama-steer";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
process.env.LLAMA_STEER_HOME = app.getPath("userData");

// Not `await app.whenReady()`: Electron is not ready before this module has run.
app.whenReady().then(async () => {
  const model = await loadModel("tiny");
  const italian = await loadSteering(`${await gallery.pull("tiny-italian")}:fixed,1`);

  ipcMain.handle("ask", async ({ sender }, question) => {
    const prompt = await prompts.tokens(model, question);
    for (const [name, steer] of [["unsteered", undefined], ["steered", italian]]) {
      for await (const { text } of model.generate(prompt, { steer, maxNewTokens: 60, stop: ["\n"] })) {
        if (!sender.isDestroyed()) sender.send("text", name, text);
      }
    }
  });

  const window = new BrowserWindow({ width: 720, height: 420, webPreferences: { preload: file("preload.cjs") } });
  await window.loadFile(file("page.html"));
});

app.on("window-all-closed", () => app.quit());
