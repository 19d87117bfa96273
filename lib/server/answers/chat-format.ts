import type { GeneratedToken } from "../../generate/index.js";
import type { Answer } from "./answer.js";
import type { Choice, ChoiceEvent, Ended } from "./choice.js";
import { choiceSteering, detailsOf, finishReasonOf, heading, stepsOf, type Format, type Usage } from "./format.js";
import { tokenLogprob } from "./token-details.js";

/** Answers of `/v1/chat/completions`. */
export class ChatFormat implements Format {
  constructor(private readonly answer: Answer) {}

  chunk(event: ChoiceEvent): object | undefined {
    const { choice } = event;
    if (event.kind === "begin") {
      const first = this.ofChoice(choice, { role: "assistant", content: "" });
      return { ...this.heading("chunk"), choices: [first], steering: this.answer.specsOf(choice) };
    }
    if (event.kind === "end") {
      const last = { ...this.ofChoice(choice, {}, finishReasonOf(event.ended)), llama_steer: choiceSteering(choice, event.ended) };
      return { ...this.heading("chunk"), choices: [last] };
    }
    const { answer: content, thoughts } = event.token;
    const details = detailsOf(this.answer, event.token);
    const logprobs = this.logprobs([event.token]);
    if (content === "" && thoughts === "" && !details && !logprobs) return undefined;
    const delta = { ...(thoughts !== "" && { reasoning_content: thoughts }), ...((content !== "" || thoughts === "") && { content }) };
    const own = { ...this.ofChoice(choice, delta), logprobs, ...(details && { steering_details: details }) };
    return { ...this.heading("chunk"), choices: [own] };
  }

  usageChunk(usage: Usage): object {
    return { ...this.heading("chunk"), choices: [], usage };
  }

  whole(all: ReadonlyArray<{ choice: Choice; ended: Ended }>, usage: Usage): object {
    const choices = all.map(({ choice, ended }) => {
      const { answer: content, thoughts } = ended.result;
      return {
        index: choice.index,
        message: {
          role: "assistant", content, refusal: null, ...(thoughts !== "" && { reasoning_content: thoughts }),
        },
        logprobs: this.logprobs(ended.result.tokens),
        finish_reason: finishReasonOf(ended),
        llama_steer: { ...choiceSteering(choice, ended), ...stepsOf(this.answer, ended) },
      };
    });
    return { ...this.heading(), choices, usage, steering: this.answer.steering };
  }

  private heading(kind?: "chunk"): object {
    return heading(this.answer, kind ? "chat.completion.chunk" : "chat.completion");
  }

  private ofChoice({ index }: Choice, delta: object, finish: string | null = null): object {
    return { index, delta, logprobs: null, finish_reason: finish };
  }

  private logprobs(tokens: readonly GeneratedToken[]): object | null {
    const { model, settings: { logprobs: n } } = this.answer;
    if (n === undefined) return null;
    const content = tokens.map((token) => {
      const { own, top } = tokenLogprob(model, token, n);
      return { ...own, top_logprobs: top };
    });
    return { content, refusal: null };
  }
}
