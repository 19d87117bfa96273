import { describe } from "@jest/globals";
import { SteeringError } from "../../lib/index.js";
import { findPullable, pullModel } from "../../lib/models/pull.js";

/**
 * `describe` for tests of a model of the registry, which is downloaded where it is missing. Where it cannot be had,
 * the tests are left out loudly; in CI that is a failure.
 */
export async function describeWithModel(name: string): Promise<typeof describe | typeof describe.skip> {
  try {
    await pullModel(findPullable(name), { onNotice: (line) => void process.stderr.write(`${line}\n`) });
    return describe;
  } catch (error) {
    if (!(error instanceof SteeringError) || error.code !== "E_DOWNLOAD" || process.env["CI"]) throw error;
    process.stderr.write(`\n*** ${name} could not be had: ITS TESTS ARE NOT RUN ***\n${error.message}\n\n`);
    return describe.skip;
  }
}
