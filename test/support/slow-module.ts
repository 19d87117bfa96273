// A module that takes 3 s to load, as under Yarn's Plug'n'Play, and then exports a fast function.
import { setTimeout } from "node:timers/promises";

await setTimeout(3000);

export default function echo(input: unknown): unknown {
  return input;
}
