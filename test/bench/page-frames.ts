// Frames per second of the page while three columns are written, in a headless Chromium without a graphics card.
//   node dist/test/bench/page-frames.js [--tokens 1000] [--rate 100] [--lines] [--profile FILE]
// A server of its own sends made-up tokens at that rate. `--lines`: with a line break now and then, as real answers have.
import { createServer, type ServerResponse } from "node:http";
import { readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { parseArgs } from "node:util";
import { packageRoot } from "../../lib/formats/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { installedChromium, launch } from "../support/browser.js";

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "1000" }, rate: { type: "string", default: "100" }, lines: { type: "boolean", default: false },
    profile: { type: "string" },
  },
});
const [nTokens, rate] = [Number(values.tokens), Number(values.rate)];
/** Milliseconds between two packets of tokens: that of a frame. */
const PACKET_MS = 16;
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
};

const schedule = { kind: "fixed", alpha: 1 };
const vector = {
  id: "made-up", object: "vector", kind: "vector", property: "made up", source: "gallery", origin: "icl", site: "head_out", layers: [0],
  n_steps: 1, format: "qa", models: ["model"], model_hash: "", dynamic: null, calibration: null, health: null, sample: null, sha256: "",
  bytes: 1, steering: { vector: "made-up", layers: "all", heads: "all", tail: "mean", phases: ["answer"], schedule },
};
const details = { format: "qa", context: 4096 };
const ANSWERS: Readonly<Record<string, object>> = {
  "/v1/server": { version: "0", default_model: "model", writable: false, limits: {} },
  "/v1/models": {
    object: "list", data: [{ id: "model", object: "model", created: 0, owned_by: "x", loaded: true, source: "model", details }],
  },
  "/v1/vectors": { object: "list", data: [vector], problems: [] },
  "/v1/jobs": { object: "list", data: [] },
  "/v1/score": { unsteered_perplexity: 3 },
};

/** A chunk of an answer, as the page asks for it: with readings and candidates. */
function chunk(step: number, random: () => number): string {
  const word = ` ${Array.from({ length: 2 + Math.floor(random() * 7) }, () => String.fromCharCode(97 + Math.floor(random() * 26))).join("")}`;
  const text = values.lines && step % 40 === 39 ? "\n" : word;
  const list = Array.from({ length: 5 }, (_, id) => ({ id, token: text, bytes: [32], logprob: -1 - id }));
  const of = { step, id: step, token: text, phase: "answer", logprob: -0.5, readings: [{ alpha: random(), kl: random() }] };
  const steering_details = { ...of, candidates: { output: list, unsteered: list, strong: [list] } };
  const choice = { index: 0, text, logprobs: null, finish_reason: null, steering_details };
  return `data: ${JSON.stringify({ id: "cmpl-1", object: "text_completion", created: 0, model: "model", choices: [choice] })}\n\n`;
}

function stream(response: ServerResponse): void {
  const random = seededRandom(1);
  const begun = performance.now();
  let sent = 0;
  response.writeHead(200, { "content-type": "text/event-stream" });
  const timer = setInterval(() => {
    const due = Math.min(nTokens, Math.floor((performance.now() - begun) / 1000 * rate));
    let packet = "";
    for (; sent < due; sent++) packet += chunk(sent, random);
    if (packet !== "") response.write(packet);
    if (sent < nTokens) return;
    clearInterval(timer);
    response.end("data: [DONE]\n\n");
  }, PACKET_MS);
}

const server = createServer((request, response) => {
  const path = new URL(request.url!, "http://x").pathname;
  if (path === "/v1/completions") return stream(response);
  const answer = ANSWERS[path];
  if (answer !== undefined) return response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
  const file = join(packageRoot(), "dist", "page", path === "/" ? "index.html" : path);
  response.setHeader("content-type", TYPES[extname(file)] ?? "text/plain").end(readFileSync(file));
});
await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });

const chromium = installedChromium();
if (chromium === undefined) {
  console.log("no Chromium: nothing measured");
  process.exit(0);
}
const browser = await launch(chromium);
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
const setting = { model: "model", prompt: "Go", maxTokens: 2048, uses: [{ id: "made-up", layers: "all" }] };
const hash = Buffer.from(JSON.stringify(setting)).toString("base64url");
await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/#s=${hash}`);
await page.locator(".loading").waitFor({ state: "detached" });
const session = await page.context().newCDPSession(page);
await session.send("Performance.enable");
if (values.profile !== undefined) {
  await session.send("Profiler.enable");
  await session.send("Profiler.start");
}
/** Seconds that the page's thread has worked. */
async function busy(): Promise<Record<string, number>> {
  const { metrics } = await session.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}
// Counts tokens and frames, and leaves both at each tenth of the answer.
await page.evaluate(`(() => {
  const marks = window.marks = [];
  let [frames, late, before] = [0, 0, performance.now()];
  const tick = (now) => {
    frames++;
    if (now - before > 34) late++;
    before = now;
    const tokens = document.querySelectorAll(".column:last-child .token").length;
    if (tokens >= (marks.length * ${nTokens}) / 10) marks.push({ tokens, frames, late, now });
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
})()`);
const work = await busy();
await page.getByRole("button", { name: "Ask", exact: true }).click();
await page.locator(".reply.done").nth(2).waitFor({ timeout: nTokens / rate * 10_000 + 20_000 });
await page.waitForTimeout(100);
const marks: Array<{ tokens: number; frames: number; late: number; now: number }> = await page.evaluate("window.marks");
if (values.profile !== undefined) {
  const { profile } = await session.send("Profiler.stop");
  writeFileSync(values.profile, JSON.stringify(profile));
}
const after = await busy();
await browser.close();
server.close();
for (const [index, mark] of marks.entries()) {
  const last = marks[index - 1];
  if (last === undefined) continue;
  const seconds = (mark.now - last.now) / 1000;
  console.log(`to ${mark.tokens} tokens: ${((mark.frames - last.frames) / seconds).toFixed(0)} frames/s, `
    + `${((mark.tokens - last.tokens) / seconds).toFixed(0)} tokens/s, ${mark.late - last.late} frames late by one or more`);
}
const perToken = (name: string): string => ((after[name]! - work[name]!) * 1000 / nTokens).toFixed(2);
console.log(`processor time per token of the three columns, in ms: the page's thread ${perToken("ThreadTime")} (layout ${perToken("LayoutDuration")}, `
  + `styles ${perToken("RecalcStyleDuration")}, scripts ${perToken("ScriptDuration")}, as measured by the clock), its process ${perToken("ProcessTime")}`);
