import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { SteeringError } from "../errors.js";

/** What draws figures, and the folder of the fonts. */
export interface Drawing {
  vega: typeof import("vega");
  vegaLite: typeof import("vega-lite");
  resvg: typeof import("@resvg/resvg-js");
  fonts: string;
}

/** Optional, since they are a third of an install and only reports need them; package.json names them as peers. */
export const DRAWING_PACKAGES = ["vega@6", "vega-lite@6", "@resvg/resvg-js@2", "dejavu-fonts-ttf@2"];

/** Loads the packages that draw figures. Throws E_NOT_INSTALLED. */
export async function loadDrawing(): Promise<Drawing> {
  try {
    const [vega, vegaLite, resvg] = await Promise.all([import("vega"), import("vega-lite"), import("@resvg/resvg-js")]);
    const fonts = join(dirname(createRequire(import.meta.url).resolve("dejavu-fonts-ttf/package.json")), "ttf");
    return { vega, vegaLite, resvg, fonts };
  } catch (cause) {
    throw new SteeringError("E_NOT_INSTALLED", "a report needs packages that draw figures, which are not part of llama-steer "
      + `(${(cause as Error).message.split("\n")[0]}). Install them beside it: npm install ${DRAWING_PACKAGES.join(" ")}`, { cause });
  }
}
