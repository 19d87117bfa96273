import { Component } from "preact";
import { useRef } from "preact/hooks";
import type { Answer, ShownToken } from "../state/answer.js";
import { leave, moveBy, pin, point } from "../state/inspected.js";
import { scale } from "../state/store.js";
import { useSeams } from "./seams.js";

/** Tokens per part that is compared on its own, so that a long answer costs no more per token than a short one. */
const GROUP = 32;

/** An answer, every token shaded by its alpha; `index` is its column if it can be continued from another candidate. */
export function Tokens({ answer, index, label }: { answer: Answer; index: number | undefined; label: string }) {
  void answer.version.value;
  const { tokens, isRunning } = answer;
  const box = useRef<HTMLDivElement>(null);
  const seams = useSeams(answer, box);
  const paragraphs = paragraphsOf(tokens, isRunning, seams);
  const target = { answer, index };
  return (
    <div class="tokens" ref={box} role="group" aria-label={`${label}. Arrow keys inspect its tokens.`} tabIndex={tokens.length > 0 ? 0 : -1}
      onPointerOver={({ target: at, pointerType }) => { if (pointerType === "mouse") point(target, at); }}
      onPointerLeave={leave}
      onClick={({ target: at }) => pin(target, at)}
      onBlur={leave}
      onCopy={copy}
      onKeyDown={(event) => {
        if (moveBy(target, event.currentTarget, event.key)) event.preventDefault();
      }}>
      {paragraphs.map(({ from, count }, at) => (
        <Paragraph key={at} answer={answer} from={from} count={count} scale={scale.value} last={tokens[from + count - 1]?.text ?? ""}
          isRest={seams.has(from)} hasCaret={isRunning && at === paragraphs.length - 1} />
      ))}
    </div>
  );
}

/** Copies the text as the model wrote it: browsers add a line break after each paragraph. */
function copy(event: ClipboardEvent & { currentTarget: HTMLElement }): void {
  const selection = document.getSelection();
  const range = selection?.rangeCount === 1 ? selection.getRangeAt(0) : undefined;
  if (range === undefined || range.collapsed || !event.currentTarget.contains(range.commonAncestorContainer)) return;
  event.clipboardData?.setData("text/plain", range.cloneContents().textContent ?? "");
  event.preventDefault();
}

interface Part {
  from: number;
  count: number;
}

/** Runs of tokens up to a line break or a seam: browsers lay out a block of text anew as a whole, so each of them is one. */
function paragraphsOf(tokens: readonly ShownToken[], isRunning: boolean, seams: ReadonlySet<number>): Part[] {
  const parts: Part[] = [];
  let from = 0;
  for (let at = 1; at <= tokens.length; at++) {
    if (at < tokens.length && !tokens[at - 1]!.text.endsWith("\n") && !seams.has(at)) continue;
    parts.push({ from, count: at - from });
    from = at;
  }
  // The caret is at the beginning of the next line.
  if (isRunning && (tokens.length === 0 || tokens.at(-1)!.text.endsWith("\n"))) parts.push({ from: tokens.length, count: 0 });
  return parts;
}

interface PartProps extends Part {
  answer: Answer;
  scale: number;
  /** Text of the last token, which may grow. */
  last: string;
}

const differs = (a: PartProps, b: PartProps): boolean =>
  a.answer !== b.answer || a.from !== b.from || a.count !== b.count || a.scale !== b.scale || a.last !== b.last;

class Paragraph extends Component<PartProps & { hasCaret: boolean; isRest: boolean }> {
  override shouldComponentUpdate(next: Paragraph["props"]): boolean {
    return differs(next, this.props) || next.hasCaret !== this.props.hasCaret || next.isRest !== this.props.isRest;
  }

  override render() {
    const { answer, from, count, scale: full, hasCaret, isRest } = this.props;
    const groups = Array.from({ length: Math.ceil(count / GROUP) }, (_, group) => {
      const begin = from + group * GROUP;
      const size = Math.min(GROUP, from + count - begin);
      return <Group key={group} answer={answer} from={begin} count={size} scale={full} last={answer.tokens[begin + size - 1]!.text} />;
    });
    return <div class={isRest ? "paragraph rest" : "paragraph"}>{groups}{hasCaret && <span class="caret" aria-hidden="true" />}</div>;
  }
}

class Group extends Component<PartProps> {
  override shouldComponentUpdate(next: PartProps): boolean {
    return differs(next, this.props);
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
