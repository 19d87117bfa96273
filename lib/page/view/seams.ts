import type { RefObject } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { changed, type Answer } from "../state/answer.js";

/** Tokens of the last block before it is split. */
const MOST = 128;
/** Widest space that hangs at the end of a line, in pixels. */
const SPACE = 8;

/**
 * Steps at which an answer is split into blocks, each at the beginning of a line: browsers lay out a block of text anew as a whole with
 * every token, but lines above the last one do not change. In another width they do: then all seams are found anew.
 */
export function useSeams(answer: Answer, box: RefObject<HTMLElement | null>): ReadonlySet<number> {
  const seams = useMemo(() => new Set<number>(), [answer]);
  useEffect(() => {
    const element = box.current!;
    let width = element.clientWidth;
    const sizes = new ResizeObserver(() => {
      if (element.clientWidth === width) return;
      width = element.clientWidth;
      seams.clear();
      changed(answer);
    });
    sizes.observe(element);
    return () => sizes.disconnect();
  }, [answer]);
  // After each frame, when the lines are known without another layout.
  useEffect(() => {
    const block = box.current!.lastElementChild;
    const seam = block === null ? undefined : seamIn(block);
    if (seam === undefined) return;
    seams.add(seam);
    changed(answer);
  });
  return seams;
}

/** The step of the last token that begins a line, if the block is long enough to be split. */
function seamIn(block: Element): number | undefined {
  const tokens = block.querySelectorAll<HTMLElement>(".token");
  if (tokens.length < MOST) return undefined;
  const { left } = block.getBoundingClientRect();
  for (let at = tokens.length - 1; at > 0; at--) {
    const token = tokens[at]!;
    if (/^ \S/.test(token.textContent) && beginsLine(token, left)) return Number(token.dataset["step"]);
  }
  return undefined;
}

/** Whether a word is the first of its line; the space before it may hang at the end of the line above. */
function beginsLine(token: HTMLElement, left: number): boolean {
  const rects = [...token.getClientRects()];
  const word = rects.at(-1);
  return word !== undefined && word.left - left < 1 && rects.slice(0, -1).every(({ width }) => width < SPACE) && rects.length < 3;
}
