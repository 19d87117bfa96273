import { afterAll } from "@jest/globals";
import type { LoadModelOptions, Model } from "../../lib/index.js";
import { loadArchitecture, loadTiny, scratch, type Scratch } from "./tiny-files.js";
import type { TinyModel } from "./tiny-model.js";

/** A model that serves all tests of a file, and a folder for them; both are gone after the last one. */
export interface FileModel {
  space: Scratch;
  model: Model;
}

/** `loadTiny` for a whole file. */
export async function tinyForFile(options: LoadModelOptions = {}): Promise<FileModel & { tiny: TinyModel }> {
  const space = scratch();
  const { tiny, model } = await loadTiny(space, options);
  return { tiny, ...untilLastTest({ space, model }) };
}

/** `loadArchitecture` for a whole file. */
export async function architectureForFile(name: string): Promise<FileModel> {
  const space = scratch();
  return untilLastTest({ space, model: await loadArchitecture(space, name) });
}

/** Frees the model and removes the folder after the last test of a file. */
export function untilLastTest(made: FileModel): FileModel {
  afterAll(() => {
    made.model.dispose();
    made.space[Symbol.dispose]();
  });
  return made;
}
