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

/** Optional, because they are large and only reports need them; package.json names them as peers. */
export const DRAWING_PACKAGES = ["vega@6", "vega-lite@6", "@resvg/resvg-js@2", "dejavu-fonts-ttf@2"];

const require = createRequire(import.meta.url);
const FONTS = "dejavu-fonts-ttf/package.json";

/** Throws E_NOT_INSTALLED if a package that draws figures is missing; loads none. */
export function assertCanDraw(): void {
  try {
    for (const name of ["vega", "vega-lite", "@resvg/resvg-js", FONTS]) require.resolve(name);
  } catch (cause) {
    throw notInstalled(cause as Error);
  }
}

/** Loads the packages that draw figures. Throws E_NOT_INSTALLED. */
export async function loadDrawing(): Promise<Drawing> {
  try {
    return {
      vega: await import("vega"), vegaLite: await import("vega-lite"), resvg: await import("@resvg/resvg-js"),
      fonts: join(dirname(require.resolve(FONTS)), "ttf"),
    };
  } catch (cause) {
    throw notInstalled(cause as Error);
  }
}

function notInstalled(cause: Error): SteeringError {
  return new SteeringError("E_NOT_INSTALLED", "a report needs packages that draw figures, which are not part of llama-steer "
    + `(${cause.message.split("\n")[0]}). Install them beside it: npm install ${DRAWING_PACKAGES.join(" ")}`, { cause });
}
