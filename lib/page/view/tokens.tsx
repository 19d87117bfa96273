import { Component } from "preact";
import type { Answer } from "../state/answer.js";
import { leave, moveBy, pin, point } from "../state/inspected.js";
import { scale } from "../state/store.js";

/** Tokens per part that is drawn on its own, so that a long answer costs no more per token than a short one. */
const GROUP = 32;

/** An answer, every token shaded by its alpha; `index` is its column if it can be continued from another candidate. */
export function Tokens({ answer, index, label }: { answer: Answer; index: number | undefined; label: string }) {
  void answer.version.value;
  const { tokens } = answer;
  const groups = Array.from({ length: Math.ceil(tokens.length / GROUP) }, (_, group) => {
    const count = Math.min(GROUP, tokens.length - group * GROUP);
    return <Group key={group} answer={answer} from={group * GROUP} count={count} scale={scale.value}
      last={tokens[group * GROUP + count - 1]!.text} />;
  });
  const target = { answer, index };
  return (
    <div class="tokens" role="group" aria-label={`${label}. Arrow keys inspect its tokens.`} tabIndex={tokens.length > 0 ? 0 : -1}
      onPointerOver={({ target: at, pointerType }) => { if (pointerType === "mouse") point(target, at); }}
      onPointerLeave={leave}
      onClick={({ target: at }) => pin(target, at)}
      onBlur={leave}
      onKeyDown={(event) => {
        if (moveBy(target, event.currentTarget, event.key)) event.preventDefault();
      }}>
      {groups}
      {answer.isRunning && <span class="caret" aria-hidden="true" />}
    </div>
  );
}

interface GroupProps {
  answer: Answer;
  from: number;
  count: number;
  scale: number;
  /** Text of the last token, which may grow. */
  last: string;
}

class Group extends Component<GroupProps> {
  override shouldComponentUpdate(next: GroupProps): boolean {
    const { props } = this;
    return next.answer !== props.answer || next.count !== props.count || next.scale !== props.scale || next.last !== props.last;
  }

  override render() {
    const { answer, from, count, scale: full } = this.props;
    return answer.tokens.slice(from, from + count).map(({ text, readings, phase }, at) => {
      const alpha = readings.reduce((sum, reading) => sum + Math.abs(reading.alpha), 0);
      return (
        <span key={at} class={phase === "thinking" ? "token thought" : "token"} data-step={from + at}
          style={{ "--alpha": Math.min(1, alpha / full).toFixed(3) }}>{text}</span>
      );
    });
  }
}
