import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A disk of 64 KiB; undefined, and said aloud, on a machine where none can be mounted. */
export function smallDisk(): { folder: string; unmount(): void } | undefined {
  const folder = mkdtempSync(join(tmpdir(), "llama-steer-disk-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], { encoding: "utf8" });
  if (mounted.status === 0) {
    return { folder, unmount: () => {
      spawnSync("umount", [folder]);
      rmSync(folder, { recursive: true, force: true });
    } };
  }
  rmSync(folder, { recursive: true, force: true });
  process.stderr.write(
    `no small disk can be mounted here (${mounted.stderr?.trim() || mounted.error?.message}): the tests of a full disk are left out\n`,
  );
  return undefined;
}
