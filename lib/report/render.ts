import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { TopLevelSpec } from "vega-lite";
import { homeFolder, writeFileAtomic } from "../formats/index.js";
import { CONFIG, GRID, GROUP_COLOURS, INK, MUTED, PAPER, type Chart } from "./figures/chart.js";
import { loadDrawing } from "./drawing.js";

/** Pixels of a PNG per pixel of its SVG. */
const PNG_SCALE = 2;
const FONTS = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf"];
/** A folder in an archive of Yarn's Plug'n'Play or of Electron. */
const ARCHIVED = /\.(zip|asar)[\\/]/;
/** Characters that DejaVu Sans covers; others need the system's fonts. */
const DEJAVU = /^[\u0000-\u058f\u1d00-\u2bff]*$/;

/**
 * Draw a chart as SVG without a background. The same chart gives the same text. `id` is the prefix of the ids inside, so that a page can
 * contain several charts. Throws E_NOT_INSTALLED.
 */
export async function renderSvg(chart: Chart, id: string, alt: string): Promise<string> {
  const { vega, vegaLite } = await loadDrawing();
  const { spec } = vegaLite.compile({ ...chart, config: CONFIG } as unknown as TopLevelSpec, { logger: silent() });
  const view = new vega.View(vega.parse(spec), { renderer: "none", loader: offline });
  try {
    return labelled(ownIds(await view.toSVG(), id), alt);
  } finally {
    view.finalize();
  }
}

/** The chart as a separate file, on white. */
export function svgFile(svg: string): string {
  return `${svg.replace(/^(<svg[^>]*>)/, `$1<rect width="100%" height="100%" fill="${PAPER}"/>`)}\n`;
}

/** The chart for embedding, in the page's colours. */
export function inlineSvg(svg: string): string {
  const variables = {
    [INK]: "var(--ink)",
    [MUTED]: "var(--muted)",
    [GRID]: "var(--grid)",
    [PAPER]: "var(--paper)",
    [GROUP_COLOURS.Fixed]: "var(--a1)",
    [GROUP_COLOURS.Dyn]: "var(--a2)",
    [GROUP_COLOURS.Start]: "var(--a3)",
    [GROUP_COLOURS.Dim]: "var(--a4)",
  };
  return Object.entries(variables).reduce((text, [colour, variable]) => text.replaceAll(`"${colour}"`, `"${variable}"`), svg);
}

/** Render a PNG at twice the size, in DejaVu; the system's fonts only for scripts that it lacks. Throws E_NOT_INSTALLED. */
export async function renderPng(svg: string): Promise<Uint8Array> {
  const drawing = await loadDrawing();
  const fonts = await unarchived(drawing.fonts);
  const drawn = new drawing.resvg.Resvg(svgFile(svg), {
    fitTo: { mode: "zoom", value: PNG_SCALE },
    font: {
      fontFiles: FONTS.map((name) => join(fonts, name)),
      loadSystemFonts: !DEJAVU.test(svg),
      defaultFontFamily: "DejaVu Sans",
      sansSerifFamily: "DejaVu Sans",
      monospaceFamily: "DejaVu Sans Mono",
    },
  });
  return drawn.render().asPng();
}

/** The folder, or a copy in the cache folder if it is in an archive: Resvg would silently draw no text. Throws E_WRITE. */
export async function unarchived(fonts: string): Promise<string> {
  if (!ARCHIVED.test(fonts)) return fonts;
  const folder = join(homeFolder(), "fonts");
  for (const name of FONTS) {
    const bytes = await readFile(join(fonts, name));
    const copied = await stat(join(folder, name)).catch(() => undefined);
    if (copied?.size !== bytes.length) await writeFileAtomic(join(folder, name), bytes);
  }
  return folder;
}

/** Charts hold their data; nothing is fetched. */
const offline = {
  load: refuse, sanitize: refuse, http: refuse, file: refuse, fileAccess: false, options: {},
};

function refuse(): Promise<never> {
  return Promise.reject(new Error("a chart tried to load a file"));
}

/** Suppresses vega-lite's warnings on the console about features it drops. */
function silent(): never {
  const logger = {
    level: () => logger,
    error: (message: unknown) => {
      throw new Error(String(message));
    },
    warn: () => logger,
    info: () => logger,
    debug: () => logger,
  };
  return logger as never;
}

/** Renumber ids: vega numbers gradients and clips across all charts of a process. */
function ownIds(svg: string, id: string): string {
  const names = [...new Set([...svg.matchAll(/ id="([^"]+)"/g)].map(([, name]) => name!))];
  return names.reduce(
    (text, name, index) => text.replaceAll(`id="${name}"`, `id="${id}-${index}"`).replaceAll(`url(#${name})`, `url(#${id}-${index})`),
    svg,
  );
}

function labelled(svg: string, alt: string): string {
  const text = alt.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
  return svg.replace(/^<svg /, `<svg role="img" aria-label="${text}" `);
}
