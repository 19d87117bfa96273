// A program for esbuild and webpack: prints a steered answer.
import { answer } from "./answer.mjs";

const { text, language } = await answer(process.argv[2] ?? "How do I plan the picnic?");
console.log(`${language}: ${text}`);
