import type { Argv, CommandModule, Options, PositionalOptions } from "yargs";

/** One option or argument of a command. `--help` shows `describe` on one line, then the default. */
export interface Option {
  type?: "string" | "number" | "boolean";
  describe: string;
  choices?: readonly string[];
  /** The option may be repeated; the command receives a list. */
  array?: true;
  default?: string | number | boolean;
  /** The default as `--help` shows it, where it depends on other options. */
  defaultDescription?: string;
  /** The heading under which `--help` lists it. */
  group?: string;
  demandOption?: true;
  /** Checks one value and converts it; `name` is for its error message. */
  coerce?: (value: never, name: string) => unknown;
}

export type OptionTable = Record<string, Option>;

type Item<O> = O extends { coerce: (value: never, name: string) => infer Value } ? Value
  : O extends { choices: ReadonlyArray<infer Choice> } ? Choice
    : O extends { type: "number" } ? number : string;

type Value<O> = O extends { type: "boolean" } ? boolean
  : O extends { array: true } ? Array<Item<O>>
    : O extends { demandOption: true } | { default: string | number } ? Item<O> : Item<O> | undefined;

type CamelCase<Name> = Name extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : Name;

/** What a command receives: a flag that is left out is false, a list is empty, any other option without a default is undefined. */
export type Values<O extends OptionTable> = { -readonly [Name in keyof O as CamelCase<Name> & string]: Value<O[Name]> };

/** A group of options, for one command or for several that spread it into their own. */
export function options<const O extends OptionTable>(table: O): O {
  return table;
}

/** The same options, under a heading of their own in `--help`. */
export function titled<const O extends OptionTable>(group: string, table: O): O {
  return Object.fromEntries(Object.entries(table).map(([name, option]) => [name, { ...option, group: `${group}:` }])) as unknown as O;
}

/** Options of every command. */
export const OUTPUT = titled("Global options", {
  json: { type: "boolean", describe: "Print results as JSON on stdout" },
  quiet: { type: "boolean", describe: "Hide progress and notes" },
  debug: { type: "boolean", describe: "Print a stack trace after an error" },
});

export type OutputOptions = Values<typeof OUTPUT>;

/** A command as yargs and as main.ts see it. */
export interface Command {
  name: string;
  /** e.g. "generate <model> <prompt>"; a group of commands has its name only. */
  usage: string;
  options: OptionTable;
  commands: readonly Command[];
  module: CommandModule;
}

interface Definition<O extends OptionTable> {
  /** The name, then its arguments: `<required>`, `[optional]`, `<several..>`; each argument is described in `options`. */
  usage: string;
  describe: string;
  options: O;
  /** Arguments of the command, and what to know about them. */
  examples?: ReadonlyArray<readonly [args: string, note?: string]>;
  epilogue?: string;
  run: (given: Values<O> & OutputOptions) => void | Promise<void>;
}

export function command<const O extends OptionTable>({ usage, describe, options, examples = [], epilogue, run }: Definition<O>): Command {
  const name = nameOf(usage);
  const positionals = new Set([...usage.matchAll(/[<[]([\w-]+)(?:\.\.)?[>\]]/g)].map((match) => match[1]!));
  const builder = (yargs: Argv): Argv => {
    yargs.group([], "Positionals:").group([], "Options:"); // the first headings
    for (const [key, option] of Object.entries(options)) {
      if (positionals.has(key)) yargs.positional(key, forYargs(key, option) as PositionalOptions);
      else addOption(yargs, key, option);
    }
    for (const [args, note] of examples) yargs.example(`$0 ${args}${note === undefined ? "" : `  # ${note}`}`, "");
    return epilogue === undefined ? yargs : yargs.epilogue(epilogue);
  };
  const blank = leftOut({ ...OUTPUT, ...options });
  const handler = (given: object): void | Promise<void> => run({ ...blank, ...given } as Values<O> & OutputOptions);
  return { name, usage, options, commands: [], module: { command: usage, describe, builder, handler } };
}

/** A command that consists of commands; a member whose usage begins with `$0` is the default. */
export function group(name: string, describe: string, commands: readonly Command[]): Command {
  const builder = (yargs: Argv): Argv => {
    for (const { module } of commands) yargs.command(module);
    return commands.some((each) => each.name === "$0") ? yargs : yargs.demandCommand(1, `expected one of: ${namesOf(commands)}`);
  };
  return { name, usage: name, options: {}, commands, module: { command: name, describe, builder, handler: () => {} } };
}

/** The names of commands, for messages. */
export function namesOf(commands: readonly Command[]): string {
  return commands.map(({ name }) => name).filter((name) => name !== "$0").join(", ");
}

/** Every option but a flag takes exactly one value. */
export function addOption(yargs: Argv, name: string, option: Option): Argv {
  return yargs.option(name, { group: "Options:", ...forYargs(name, option), ...(option.type !== "boolean" && { nargs: 1 }) });
}

/** yargs makes a list of an option that is given twice: refused, unless the option may be repeated. */
function forYargs(name: string, { coerce, ...option }: Option): Options {
  const parse = (value: unknown): unknown => (coerce ? coerce(value as never, name) : value);
  return {
    ...option,
    coerce: (value: unknown) => {
      if (value === undefined) return undefined;
      if (!Array.isArray(value)) return parse(value);
      if (option.array) return value.map(parse);
      throw new Error(`--${name} is given ${value.length} times; give it once`);
    },
  };
}

function nameOf(usage: string): string {
  return usage.split(" ")[0]!;
}

/** What a command receives for flags and lists that are left out. */
function leftOut(table: OptionTable): object {
  const blank = ({ type, array }: Option): false | [] | undefined => (type === "boolean" ? false : array ? [] : undefined);
  return Object.fromEntries(Object.entries(table).map(([name, option]) => [camelCase(name), blank(option)]));
}

/** The name under which a command receives an option. */
export function camelCase(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
