// Starts other programs from the build scripts.

/**
 * Arguments of `spawnSync` for a program. On Windows npm is a script that only a shell can start. A shell splits arguments at spaces, so
 * arguments that would need quotes are refused: pass paths relative to `cwd`. No other program runs in a shell.
 */
export function spawnArguments(command, args, platform = process.platform) {
  const shell = command === "npm" && platform === "win32";
  const unsafe = shell ? args.find((arg) => !/^[\w@.,:/=+-]+$/.test(arg)) : undefined;
  if (unsafe !== undefined) throw new Error(`cannot pass ${JSON.stringify(unsafe)} to npm: a shell would split it`);
  return [command, args, { shell }];
}
