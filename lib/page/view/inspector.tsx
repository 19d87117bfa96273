import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { CandidateToken } from "../../server/schemas/index.js";
import { percent } from "../logic/readings.js";
import { close, inspected, leave, stay, type Inspected } from "../state/inspected.js";
import { continueFrom } from "../state/run.js";
import { Readings } from "./readings.js";

const MARGIN = 8;

/** How the pointed-at token was steered, and what each stream would have written instead. */
export function Inspector() {
  const shown = inspected.value;
  return shown === undefined ? null : <Details shown={shown} />;
}

function Details({ shown }: { shown: Inspected }) {
  const box = useRef<HTMLDivElement>(null);
  const { answer, step, element, pinned } = shown;
  const token = answer.tokens[step]!;
  useLayoutEffect(() => place(box.current!, element), [shown]);
  useEffect(() => {
    if (pinned) box.current!.querySelector<HTMLElement>("button")?.focus({ preventScroll: true });
    const onKey = ({ key }: KeyboardEvent): void => {
      if (key !== "Escape") return;
      close();
      element.closest<HTMLElement>(".tokens")?.focus({ preventScroll: true });
    };
    const onDown = ({ target }: Event): void => {
      if (target instanceof Node && !box.current?.contains(target) && !element.contains(target)) close();
    };
    document.addEventListener("keydown", onKey);
    document.addEventListener("pointerdown", onDown);
    window.addEventListener("resize", close);
    return () => {
      document.removeEventListener("keydown", onKey);
      document.removeEventListener("pointerdown", onDown);
      window.removeEventListener("resize", close);
    };
  }, [pinned, element]);
  const streams = streamsOf(shown);
  return (
    <div class="inspector" role="dialog" aria-label={`Token ${step + 1}`} ref={box} onPointerEnter={stay} onPointerLeave={leave}>
      <div class="about">
        <code class="text">{visible(token.text)}</code>
        <span>token {step + 1}, {percent(Math.exp(token.logprob))} likely</span>
        {pinned && <button type="button" class="quiet close" aria-label="Close" onClick={close}>×</button>}
      </div>
      <Readings answer={answer} step={step} />
      <div class="streams">
        {streams.map(({ name, tokens }) => <Stream key={name} name={name} tokens={tokens} shown={shown} />)}
      </div>
      {shown.index !== undefined && streams.length > 0 && <p class="hint">Click a candidate to continue from it.</p>}
    </div>
  );
}

function streamsOf({ answer, step }: Inspected): Array<{ name: string; tokens: readonly CandidateToken[] }> {
  const { candidates } = answer.tokens[step]!;
  if (candidates === undefined) return [];
  const strong = candidates.strong.flatMap((tokens, at) => (
    tokens === null ? [] : [{ name: answer.titles.length > 1 ? `steered: ${answer.titles[at]}` : "fully steered (S)", tokens }]
  ));
  return [
    ...(candidates.unsteered === null ? [] : [{ name: "unsteered (P)", tokens: candidates.unsteered }]), ...strong,
    { name: answer.entries.length === 0 ? "candidates" : "output", tokens: candidates.output },
  ];
}

function Stream({ name, tokens, shown: { answer, step, index } }: { name: string; tokens: readonly CandidateToken[]; shown: Inspected }) {
  const chosen = answer.tokens[step]!.id;
  return (
    <div class="stream">
      <p class="name">{name}</p>
      <ol aria-label={name}>{tokens.map(({ id, token, logprob }) => (
        <li key={id}>
          <button type="button" class={id === chosen ? "chosen" : ""} disabled={index === undefined}
            style={{ "--share": Math.exp(logprob).toFixed(3) }}
            onClick={() => {
              close();
              void continueFrom(index!, step, id);
            }}>
            <span><span class="only-read">Continue from </span>{visible(token)}</span>
            {" "}<span class="share">{percent(Math.exp(logprob))}</span>
          </button>
        </li>
      ))}</ol>
    </div>
  );
}

/** Spaces, line breaks and control characters matter in tokens. */
function visible(text: string): string {
  if (text === "") return "∅";
  return text.replace(/^ /, "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥")
    .replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** Below the token, or above it if there is more room. */
function place(box: HTMLElement, element: HTMLElement): void {
  const token = element.getClientRects()[0] ?? element.getBoundingClientRect();
  const { width, height } = box.getBoundingClientRect();
  const { clientWidth, clientHeight } = document.documentElement;
  const below = token.bottom + MARGIN / 2;
  const fits = below + height + MARGIN <= clientHeight || token.top < clientHeight - token.bottom;
  const top = fits ? Math.min(below, clientHeight - height - MARGIN) : token.top - height - MARGIN / 2;
  box.style.left = `${Math.max(MARGIN, Math.min(token.left - 12, clientWidth - width - MARGIN))}px`;
  box.style.top = `${Math.max(MARGIN, top)}px`;
}
