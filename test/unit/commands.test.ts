import { readdirSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { OUTPUT, type Command } from "../../bin/command.js";
import { loadCommands } from "../../bin/commands/index.js";

/** Columns of the help where stdout is not a terminal. */
const WIDTH = 100;

const files = readdirSync("bin/commands").map((name) => name.replace(/\.ts$/, "")).filter((name) => name !== "index");
const below = (command: Command, words: string[]): Array<[string, Command]> =>
  [[[...words, command.name].join(" "), command], ...command.commands.flatMap((each) => below(each, [...words, command.name]))];
const COMMANDS = await loadCommands();
const all = COMMANDS.flatMap((command) => below(command, []));

test("every file of bin/commands is a command of its name", () => {
  expect(COMMANDS.map(({ name }) => name).sort()).toEqual(files.sort());
});

test("a command that is named is loaded alone; another word loads all", async () => {
  expect((await loadCommands("generate")).map(({ name }) => name)).toEqual(["generate"]);
  expect(await loadCommands("genrate")).toEqual(COMMANDS);
});

describe.each(all)("%s", (name, { usage, options, commands, module }) => {
  test("is described on one line", () => {
    const [parent] = name.split(" ").length > 1 ? COMMANDS.filter((each) => name.startsWith(`${each.name} `)) : [];
    const usages = (parent?.commands ?? COMMANDS).map((each) => `  llama-steer ${parent ? `${parent.name} ` : ""}${each.usage}  `);
    const column = Math.max(...usages.map((each) => each.length));
    expect(module.describe).toMatch(/^[A-Z].*[^.]$/);
    expect(column + String(module.describe).length).toBeLessThanOrEqual(WIDTH);
  });

  test("describes every argument, and every option on one line with the default after it", () => {
    const arguments_ = [...usage.matchAll(/[<[]([\w-]+)/g)].map((match) => match[1]!);
    expect(Object.keys(options)).toEqual(expect.arrayContaining(arguments_));
    const column = Math.max(...Object.keys({ ...OUTPUT, ...options }).map((option) => option.length)) + "  --  ".length;
    for (const [option, { describe: text, array }] of Object.entries(options)) {
      expect(`${option}: ${text}`).toMatch(/: (?:[A-Z0-9]|p_top|[a-z]+: |hf:)(?!.*(?:by default|[Dd]efault:)).*[^.]$|\.\.\.$/);
      expect({ option, fits: column + text.length <= WIDTH }).toEqual({ option, fits: true });
      if (array && !arguments_.includes(option)) expect(text).toMatch(/\(repeatable/);
    }
  });

  test("has options or commands of its own, not both", () => {
    expect(commands.length > 0 && Object.keys(options).length > 0).toBe(false);
  });
});
