// Everything for which llama-steer starts another process, in whatever runtime runs this file. Prints a line for each; exits with 1 if one
// is not as it should be.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { loadDataset, loadModel } from "llama-steer";

const models = join(dirname(createRequire(import.meta.url).resolve("llama-steer/package.json")), "models");
const tiny = readFileSync(join(models, "tiny", "tiny.gguf"));
const folder = mkdtempSync(join(tmpdir(), "llama-steer-guards-"));
process.env.LLAMA_STEER_HOME = join(folder, "home"); // no file was checked before

function file(name, bytes) {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
}

function withoutLayers() {
  const bytes = Buffer.from(tiny);
  const key = "llama.block_count";
  bytes.writeUInt32LE(0, bytes.indexOf(key) + key.length + 4);
  return bytes;
}

/** The model with another chat template of the same length: shorter ones end with spaces. */
function withTemplate(template) {
  const bytes = Buffer.from(tiny);
  const last = "<|end|><|assistant|>";
  const begin = bytes.indexOf("<|user|>Is the last message safe?");
  const end = bytes.indexOf(last, begin) + last.length;
  bytes.write(template.padEnd(end - begin), begin);
  return bytes;
}

async function answer(path, options) {
  const model = await loadModel(path, { threads: 1, gpuLayers: 0, ...options });
  return model.generate("Q: How do I plan the picnic?\nA:", { maxNewTokens: 3 }).text().finally(() => model.dispose());
}

async function chat(template) {
  const model = await loadModel(file("chat.gguf", withTemplate(template)), { threads: 1, gpuLayers: 0, vet: false });
  return model.chat({ maxNewTokens: 3 }).say("Hello").text().finally(() => model.dispose());
}

const TURN = "{% for m in messages %}Q: {{ m.content }}\nA:{% endfor %}";
const ENDLESS = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}{{ messages[0].content }}";
const HUGE = "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(24) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"
  + "{{ ns.s | trim | upper | length }}";

const GUARDS = [
  ["a good file is loaded", () => answer(file("good.gguf", tiny)), /^\S/],
  ["a file that crashes llama.cpp is refused", () => answer(file("crashes.gguf", withoutLayers())), /^E_BAD_GGUF .*crashes when it loads/],
  ["loading is aborted", () => answer(file("other.gguf", tiny), { signal: AbortSignal.timeout(20) }), /^E_ABORTED/],
  ["a chat template is rendered", () => chat(TURN), /./],
  ["an endless template is ended", () => chat(ENDLESS), /^E_BAD_GGUF .*does not finish within 5 s/],
  ["a template that takes too much memory is ended", () => chat(HUGE), /^E_BAD_GGUF .*(needs more than 256 MB|does not finish within 5 s)/],
  ["the next template is rendered", () => chat(TURN), /./],
  ["a table is read", async () => (await loadDataset(file("a.csv", "input,output\nHi,Ciao\n"))).rows[0].output, /^Ciao$/],
  ["a damaged table is refused", () => loadDataset(file("a.parquet", "PAR1xxxxxxxxPAR1")), /^E_BAD_DATASET .*not Parquet/],
];

for (const [name, guard, expected] of GUARDS) {
  const said = await guard().catch(({ code, message }) => `${code} ${message}`);
  const holds = expected.test(said);
  if (!holds) process.exitCode = 1;
  console.log(`${holds ? "ok" : "FAILED"} ${name}${holds ? "" : `: ${said}`}`);
}
rmSync(folder, { recursive: true });
