import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { runData } from "../../lib/report/data.js";
import { runFigures } from "../../lib/report/figures/index.js";
import { renderPng, renderSvg, unarchived } from "../../lib/report/render.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { allRecords, aRun, resultsOf } from "../support/runs.js";

const NOTHING = { vectors: [], vocabulary: { missing: "none here" }, prompts: [0], subtitle: "" };

describe("an SVG", () => {
  test("names the ticks of a logarithmic scale as they are, fractions too", async () => {
    const run = aRun({ nPrompts: 5 });
    const svgOf = async (deltas: number[]): Promise<string[]> => {
      const records = allRecords(run, (prompt, { label }) => ({ deltaPerplexity: label === "icl" ? null : deltas[prompt]! }));
      const figure = runFigures(runData(resultsOf(run, records)), NOTHING).find(({ id }) => id === "outcomes")!;
      return [...(await renderSvg(figure.chart!, "x", "")).matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text!);
    };
    expect(await svgOf([0.1, 0.1, 0.1, 0.12, 9])).toEqual(expect.arrayContaining(["0", "0.1", "0.2", "0.5", "1", "2", "5"]));
    expect(await svgOf([1, 1, 1, 1, 90_000])).toEqual(expect.arrayContaining(["0", "1", "10", "100", "1,000", "10,000"]));
  });
});

describe("a PNG", () => {
  test("holds the letters of a chart on a machine without fonts", async () => {
    const chart = (text: string) => ({
      width: 100, height: 30, data: { values: [{}] }, mark: { type: "text", text, x: 50, y: 15, color: "#222326" },
    });
    const drawn = async (text: string) => darkPixels(await renderPng(await renderSvg(chart(text), "x", "")));
    const letters = await drawn("ΔPPL α₁");
    expect((await drawn(" ")).dark).toBe(0);
    expect(letters.dark).toBeGreaterThan(300); // seven letters, about 20 pixels high
    expect(letters.width).toBe(2 * 116); // twice 100 and two margins of 8
  });
});

test.each(["cache/fonts.zip", "app.asar"])("fonts in an archive (%s), which Resvg cannot read, are copied", async (archive) => {
  const folder = await temporaryFolder();
  process.env["LLAMA_STEER_HOME"] = join(folder, "home");
  const fonts = join(folder, archive, "ttf"); // Yarn and Electron let our code read archives like folders
  await cp("node_modules/dejavu-fonts-ttf/ttf", fonts, { recursive: true });
  const copies = await unarchived(fonts);
  expect(copies).toBe(join(folder, "home", "fonts"));
  expect((await readdir(copies)).length).toBe(4);
  for (const name of await readdir(copies)) expect(await readFile(join(copies, name))).toEqual(await readFile(join(fonts, name)));
  expect(await unarchived("node_modules/dejavu-fonts-ttf/ttf")).toBe("node_modules/dejavu-fonts-ttf/ttf");
});

/** Size and number of dark pixels of an 8-bit RGBA PNG, by the five filters of its specification. */
function darkPixels(png: Uint8Array): { width: number; dark: number } {
  const bytes = Buffer.from(png);
  expect(bytes.subarray(0, 8)).toEqual(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]));
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  expect([bytes[24], bytes[25]]).toEqual([8, 6]);
  const parts: Buffer[] = [];
  for (let at = 8; at < bytes.length; at += 12
    + bytes.readUInt32BE(at)) if (bytes.toString("latin1", at + 4, at + 8) === "IDAT") parts.push(bytes.subarray(
      at + 8, at + 8 + bytes.readUInt32BE(at),
    ));
  const data = inflateSync(Buffer.concat(parts));
  const stride = width * 4;
  let above = new Uint8Array(stride);
  let dark = 0;
  for (let y = 0; y < height; y++) {
    const filter = data[y * (stride + 1)]!;
    const row = Uint8Array.from(data.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1)));
    for (let x = 0; x < stride; x++) {
      const [a, b, c] = [x < 4 ? 0 : row[x - 4]!, above[x]!, x < 4 ? 0 : above[x - 4]!];
      const paeth = (): number => [a, b, c].map((each) => [Math.abs(a + b - c - each), each] as const).reduce(
        (best, each) => (each[0] < best[0] ? each : best),
      )[1];
      row[x] = row[x]! + [0, a, b, (a + b) >> 1, paeth()][filter]!;
    }
    for (let x = 0; x < stride; x += 4) if (row[x]! < 100 && row[x + 3]! > 128) dark++;
    above = row;
  }
  return { width, dark };
}
