import type { Engine } from "../../engine/index.js";
import {
  generate, replay, type GeneratedToken, type GenerationResult, type GenerationStream, type LiveSteering, type Steering,
} from "../../generate/index.js";
import { writtenOperation, type SteeringSpec } from "../../steering/index.js";
import type { LoadedSteering } from "../../vector/index.js";
import { specOf, withIds } from "../vectors/steering.js";
import type { Shelf } from "../vectors/shelf.js";
import type { AnswerSettings, ChoiceSettings } from "./settings.js";

/** How a choice ended. */
export interface Ended {
  result: GenerationResult;
  /** With the ids of the vectors. */
  specs: SteeringSpec[];
  firstTokenSeconds: number;
}

/** What happens to a choice, in this order. */
export type ChoiceEvent =
  | { kind: "begin"; choice: Choice }
  | { kind: "token"; choice: Choice; token: GeneratedToken }
  | { kind: "end"; choice: Choice; ended: Ended };

/** What a choice needs to be written. */
export interface Writing {
  model: Engine;
  shelf: Shelf;
  /** Whoever shares it, shares the kept beginning of the prompt. */
  owner: object;
  signal: AbortSignal;
  /** When the request arrived, as `performance.now()`. */
  arrived: number;
}

/** What has been written, for a replay. */
export interface Past {
  specs: SteeringSpec[];
  /** The steering with the alphas that it had. */
  recorded: LoadedSteering[];
  tokens: number[];
}

/** One answer to a request. */
export class Choice {
  nTokens = 0;
  private stream: GenerationStream | undefined;
  private whole: Past | undefined;

  constructor(readonly settings: ChoiceSettings, private readonly common: AnswerSettings) {}

  get index(): number {
    return this.settings.index;
  }

  /** The running generation; undefined before it begins and after it has ended. */
  get running(): GenerationStream | undefined {
    return this.stream;
  }

  /** The canonical specifications as they are now. */
  specs(shelf: Shelf): SteeringSpec[] {
    return this.whole?.specs ?? (this.stream?.steering.map(asItIs) ?? this.settings.steer).map((steering) => specOf(shelf, steering));
  }

  /** What was written; undefined unless the choice has ended. */
  get past(): Past | undefined {
    return this.whole;
  }

  async *write(writing: Writing): AsyncGenerator<ChoiceEvent, void> {
    const stream = this.begin(writing);
    this.stream = stream;
    try {
      let each = await stream.next();
      const firstTokenSeconds = (performance.now() - writing.arrived) / 1000;
      yield { kind: "begin", choice: this };
      for (; !each.done; each = await stream.next()) {
        this.nTokens++;
        yield { kind: "token", choice: this, token: each.value };
      }
      const specs = each.value.steering.map((spec, index) => withIds(writing.shelf, spec, stream.steering[index]!));
      const recorded = replay([...stream.steering], each.value) as LoadedSteering[];
      this.whole = { specs, recorded, tokens: each.value.tokens.map(({ token }) => token) };
      yield { kind: "end", choice: this, ended: { result: each.value, specs, firstTokenSeconds } };
    } finally {
      this.stream = undefined;
      await stream.return();
    }
  }

  private begin({ model, owner, signal }: Writing): GenerationStream {
    const { prompt, steer, maxNewTokens, seed, firstTokens } = this.settings;
    const { sampling, stop, monitor, details, logprobs } = this.common;
    return generate(model, prompt, {
      steer: [...steer], maxNewTokens, sampling: { ...sampling, seed }, stop, signal, firstTokens,
      ...(monitor.length > 0 && { monitor }),
      logProbabilities: details.isWanted || logprobs !== undefined, candidates: Math.max(details.candidates, logprobs ?? 0),
    }, { memory: { owner, history: "clean" } });
  }
}

/** A steering that was dropped adds nothing until it gets another schedule. */
function asItIs(live: LiveSteering): Steering {
  const { vector, layers, heads, tail, phases, only, gate, operator, keepNorm } = live;
  if (!live.isDropped) return live;
  return {
    vector, layers, heads, tail, phases, ...(only && { only }), ...(gate && { gate }), ...writtenOperation({ operator, keepNorm }),
    schedule: { kind: "fixed", alpha: 0 },
  };
}
