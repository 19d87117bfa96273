import type { GeneratedToken } from "../../generate/index.js";
import type { Answer } from "./answer.js";
import type { Choice, ChoiceEvent, Ended } from "./choice.js";
import { choiceSteering, detailsOf, finishReasonOf, heading, stepsOf, type Format, type Usage } from "./format.js";
import { tokenLogprob } from "./token-details.js";

/** Answers of `/v1/completions`, whose streams have the same shape as whole answers. */
export class TextFormat implements Format {
  /** Characters that each choice has written. */
  private readonly written = new Map<Choice, number>();

  constructor(private readonly answer: Answer) {}

  chunk(event: ChoiceEvent): object | undefined {
    const { choice } = event;
    if (event.kind === "begin") {
      this.written.set(choice, choice.settings.echo.length);
      const first = this.ofChoice(choice, choice.settings.echo, null);
      return { ...this.heading(), choices: [first], steering: this.answer.specsOf(choice) };
    }
    if (event.kind === "end") {
      const last = { ...this.ofChoice(choice, "", finishReasonOf(event.ended)), llama_steer: choiceSteering(choice, event.ended) };
      return { ...this.heading(), choices: [last] };
    }
    const details = detailsOf(this.answer, event.token);
    const logprobs = this.logprobs(choice, [event.token]);
    if (event.token.text === "" && !details && !logprobs) return undefined;
    const own = { ...this.ofChoice(choice, event.token.text, null), logprobs, ...(details && { steering_details: details }) };
    return { ...this.heading(), choices: [own] };
  }

  usageChunk(usage: Usage): object {
    return { ...this.heading(), choices: [], usage };
  }

  whole(all: ReadonlyArray<{ choice: Choice; ended: Ended }>, usage: Usage): object {
    const choices = all.map(({ choice, ended }) => {
      this.written.set(choice, choice.settings.echo.length);
      return {
        ...this.ofChoice(choice, choice.settings.echo + ended.result.text, finishReasonOf(ended)),
        logprobs: this.logprobs(choice, ended.result.tokens),
        llama_steer: { ...choiceSteering(choice, ended), ...stepsOf(this.answer, ended) },
      };
    });
    return { ...this.heading(), choices, usage, steering: this.answer.steering };
  }

  private heading(): object {
    return heading(this.answer, "text_completion");
  }

  private ofChoice({ index }: Choice, text: string, finish: string | null): object {
    return { index, text, logprobs: null, finish_reason: finish };
  }

  private logprobs(choice: Choice, tokens: readonly GeneratedToken[]): object | null {
    const { model, settings: { logprobs: n } } = this.answer;
    if (n === undefined) return null;
    let offset = this.written.get(choice) ?? 0;
    const each = tokens.map((token) => {
      const { own, top } = tokenLogprob(model, token, n);
      const begin = offset;
      offset += token.text.length;
      return { own, top: Object.fromEntries(top.map((other) => [other.token, other.logprob])), begin };
    });
    this.written.set(choice, offset);
    return {
      tokens: each.map(({ own }) => own.token), token_logprobs: each.map(({ own }) => own.logprob),
      top_logprobs: each.map(({ top }) => top), text_offset: each.map(({ begin }) => begin),
    };
  }
}
