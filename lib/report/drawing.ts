import { existsSync, readFileSync } from "node:fs";
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

/**
 * Optional, because they are large and only reports need them. package.json names them as peers in any version, since an application may
 * have an older vega and never draw a report; `assertCanDraw` checks the version.
 */
export const DRAWING_PACKAGES = ["vega@6", "vega-lite@6", "@resvg/resvg-js@2", "dejavu-fonts-ttf@2"];

const require = createRequire(import.meta.url);
const FONTS = "dejavu-fonts-ttf/package.json";

/** Throws E_NOT_INSTALLED if a package that draws figures is missing or has another major version; loads none. */
export function assertCanDraw(): void {
  try {
    for (const each of DRAWING_PACKAGES) {
      const [name, major] = each.split(/(?<=.)@/) as [string, string];
      const version = installedVersion(name);
      if (!version.startsWith(`${major}.`)) throw new Error(`it needs ${name} ${major}, and ${version} is installed`);
    }
  } catch (cause) {
    throw notInstalled(cause as Error);
  }
}

/** Version of a package, whose `exports` may hide its package.json. */
function installedVersion(name: string): string {
  const entry = require.resolve(FONTS.startsWith(`${name}/`) ? FONTS : name); // the fonts have no module
  for (let folder = dirname(entry); folder !== dirname(folder); folder = dirname(folder)) {
    const path = join(folder, "package.json");
    const found = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) as { name?: string; version: string } : undefined;
    if (found?.name === name) return found.version;
  }
  throw new Error(`${entry} is not in a package ${name}`);
}

/** Loads the packages that draw figures. Throws E_NOT_INSTALLED. */
export async function loadDrawing(): Promise<Drawing> {
  assertCanDraw();
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
