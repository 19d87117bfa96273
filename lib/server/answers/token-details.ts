import type { Candidate, Engine } from "../../engine/index.js";
import type { GeneratedToken } from "../../generate/index.js";
import type { CandidateToken, StepDetails } from "../schemas/index.js";

type Detokeniser = Pick<Engine, "detokenise">;

function textOf(model: Detokeniser, id: number): Pick<CandidateToken, "token" | "bytes"> {
  const bytes = model.detokenise([id]);
  return { token: new TextDecoder().decode(bytes), bytes: Array.from(bytes) };
}

/** A candidate with its text; bytes tell apart tokens that end inside a character. */
export function candidateToken(model: Detokeniser, { token: id, logProbability }: Candidate): CandidateToken {
  return { id, ...textOf(model, id), logprob: logProbability };
}

/** A token as `steering_details` shows it, with at most `n` candidates per stream. */
export function stepDetails(model: Detokeniser, token: GeneratedToken, n: number): StepDetails {
  const { step, token: id, phase, logProbability, readings, monitors, candidates } = token;
  const list = (all: readonly Candidate[]): CandidateToken[] => all.slice(0, n).map((each) => candidateToken(model, each));
  return {
    step, id, token: textOf(model, id).token, phase, logprob: logProbability!, readings, ...(monitors && { monitors }),
    ...(n > 0 && candidates && {
      candidates: {
        output: list(candidates.output), unsteered: candidates.unsteered && list(candidates.unsteered),
        strong: candidates.strong.map((each) => each && list(each)),
      },
    }),
  };
}

/** A token's log probability, and those of the `n` likeliest. */
export function tokenLogprob(model: Detokeniser, { token, logProbability, candidates }: GeneratedToken, n: number): {
  own: Omit<CandidateToken, "id">; top: Array<Omit<CandidateToken, "id">>;
} {
  const withoutId = ({ id: _, ...rest }: CandidateToken): Omit<CandidateToken, "id"> => rest;
  return {
    own: { ...textOf(model, token), logprob: logProbability! },
    top: (candidates?.output ?? []).slice(0, n).map((each) => withoutId(candidateToken(model, each))),
  };
}
