import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter } from "node:path";
import { expect, test } from "@jest/globals";
import { EXIT } from "../../bin/exit-codes.js";
import { startCommand } from "../support/command.js";
import { answers, ask, browsing, close, pagesForFile } from "../support/page.js";
import { scratch } from "../support/tiny-files.js";

const pages = await pagesForFile();

browsing("demo --open", () => {
  test("opens the user's browser on a page with the demo's model and vectors, ready to ask", async () => {
    using space = scratch();
    mkdirSync(space.path("bin"));
    for (const name of ["xdg-open", "open"]) { // the programs that open an address, on Linux and on macOS
      writeFileSync(space.path(`bin/${name}`), `#!/bin/sh\nprintf %s "$1" > "${space.path("new")}" && mv "${space.path("new")}" "${space.path("opened")}"\n`);
      chmodSync(space.path(`bin/${name}`), 0o755);
    }
    const child = startCommand(
      ["demo", "tiny", "--open", "--questions", "1", "--max-new-tokens", "4", "--threads", "1", "--out", space.path("out")],
      { LLAMA_STEER_HOME: space.folder, PATH: `${space.path("bin")}${delimiter}${process.env["PATH"]}` },
    );
    try {
      let said = "";
      child.stderr.on("data", (data: Buffer) => { said += String(data); });
      for (let left = 1200; left > 0 && !existsSync(space.path("opened")); left--) {
        expect(child.exitCode).toBeNull();
        await new Promise((resolve) => { setTimeout(resolve, 50); });
      }
      const url = readFileSync(space.path("opened"), "utf8");
      expect(said).toContain(`The page is at ${url}.`);
      const tab = await pages!.openAt(url);
      const { page } = tab;
      await page.locator(".card").nth(2).waitFor();
      expect(await page.locator(".card .title").allTextContents()).toEqual(["Italian", "French", "Formal"]);
      expect(await page.locator(".model select").inputValue()).toBe("tiny");
      expect(await page.getByLabel("Question").inputValue()).toBe("How do I make a pie?");
      await ask(page);
      expect(new Set(await answers(page)).size).toBeGreaterThan(1);
      await close(tab);
      child.kill("SIGINT");
      expect(await once(child, "exit")).toEqual([EXIT.ok, null]);
    } finally {
      child.kill("SIGKILL");
    }
  });
});
