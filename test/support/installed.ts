import { execFile } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

type Lock = Record<string, Partial<Record<"dependencies" | "optionalDependencies", Record<string, string>>>>;

/** What npm installs of the packages that a user's install has: their folders in our own node_modules, by their places in the lock. */
export interface Tree {
  /** Every package below these direct dependencies, themselves included. */
  below(names: readonly string[]): string[];
  /** Bytes in the files of a package, without what is nested in its node_modules. */
  size(place: string): number;
}

/** The dependencies of `root`, this package's folder, after its lock file. */
export function productionTree(root: string): Tree {
  const lock = (JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as { packages: Lock }).packages;
  const resolved = (name: string, from: string): string | undefined => {
    for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf("/node_modules/")))) {
      const place = `${at === "" ? "" : `${at}/`}node_modules/${name}`;
      if (place in lock) return place;
      if (at === "") return undefined;
    }
  };
  return {
    below(names) {
      const found = new Set<string>();
      const add = (place: string | undefined): void => {
        if (place === undefined || found.has(place) || !existsSync(join(root, place))) return; // another platform's
        found.add(place);
        const { dependencies, optionalDependencies } = lock[place]!;
        for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) add(resolved(name, place));
      };
      for (const name of names) add(resolved(name, ""));
      return [...found].sort();
    },
    size: (place) => bytesIn(join(root, place)),
  };
}

function bytesIn(folder: string): number {
  return readdirSync(folder).filter((name) => name !== "node_modules").reduce((sum, name) => {
    const path = join(folder, name);
    const stats = lstatSync(path);
    return sum + (stats.isDirectory() ? bytesIn(path) : stats.size);
  }, 0);
}

/**
 * Unpacks what npm would publish into `project`, as pnpm would: beside it are its direct dependencies and nothing else.
 *
 * @returns the package's folder
 */
export async function installStrictly(root: string, project: string, names: readonly string[]): Promise<string> {
  const installed = join(project, "node_modules", "llama-steer");
  await mkdir(installed, { recursive: true });
  // Without scripts: `prepack` would clear the compiled tests that are running.
  const { stdout } = await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", project], { cwd: root });
  await run("tar", ["xf", join(project, stdout.trim()), "-C", installed, "--strip-components=1"]);
  for (const name of names) {
    const link = join(installed, "node_modules", name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(root, "node_modules", name), link);
  }
  return installed;
}
