// How the build scripts start other programs.

/**
 * The arguments of `spawnSync` for a program. Under Windows npm is a script, which only a shell starts; a shell takes arguments
 * apart at their spaces, so that it gets none that need quotes: name paths relative to `cwd`. Nothing else is given to a shell.
 */
export function spawnArguments(command, args, platform = process.platform) {
  const shell = command === "npm" && platform === "win32";
  const unsafe = shell ? args.find((arg) => !/^[\w@.,:/=+-]+$/.test(arg)) : undefined;
  if (unsafe !== undefined) throw new Error(`npm cannot be given ${JSON.stringify(unsafe)}: a shell would take it apart`);
  return [command, args, { shell }];
}
