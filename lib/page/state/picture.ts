import type { Comparison } from "../logic/comparison.js";

const WIDTH = 1200;
const MARGIN = 40;
const GAP = 32;
const LINE = 27;
const FONT = "system-ui, sans-serif";

type Part = { text: string; x: number; y: number; width: number; share: number };

/** The comparison as a PNG, in the colours of the page, at twice its size. */
export async function drawComparison({ model, question, scale, answers }: Comparison): Promise<Blob> {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d")!;
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const width = (WIDTH - 2 * MARGIN - GAP * (answers.length - 1)) / answers.length;
  context.font = `17px ${FONT}`;
  const laid = answers.map(({ tokens }) => (
    layOut(context, tokens.map(({ text, alpha }) => ({ text, share: Math.min(1, alpha / scale) })), width)
  ));
  const top = MARGIN + 92;
  const bottom = top + 62 + Math.max(1, ...laid.map((parts) => Math.max(0, ...parts.map(({ y }) => y)) / LINE + 1)) * LINE;
  canvas.width = 2 * WIDTH;
  canvas.height = 2 * (bottom + 70);
  context.scale(2, 2);
  const write = (text: string, x: number, y: number, font: string, name: string, limit: number): void => {
    context.font = `${font} ${FONT}`;
    context.fillStyle = colour(name);
    context.fillText(shortened(context, text, limit), x, y);
  };
  context.fillStyle = colour("paper");
  context.fillRect(0, 0, WIDTH, bottom + 70);
  write(question.replaceAll("\n", " "), MARGIN, MARGIN + 18, "600 24px", "ink", WIDTH - 2 * MARGIN);
  write(`${model}, steered by llama-steer. The deeper the shading, the larger the alpha, up to ${Number(scale.toFixed(2))}.`,
    MARGIN, MARGIN + 48, "15px", "muted", WIDTH - 2 * MARGIN);
  answers.forEach(({ title, how, figures }, index) => {
    const x = MARGIN + index * (width + GAP);
    context.fillStyle = colour("line");
    context.fillRect(x, top - 22, width, 2);
    write(title, x, top + 4, "600 17px", "ink", width);
    write(how, x, top + 28, "14px", "muted", width);
    for (const part of laid[index]!) {
      const y = top + 62 + part.y;
      context.globalAlpha = part.share * 0.54;
      context.fillStyle = colour("accent");
      context.fillRect(x + part.x, y - 19, part.width, LINE - 2);
      context.globalAlpha = 1;
      write(part.text, x + part.x, y, "17px", "ink", WIDTH);
    }
    write(figures, x, bottom + 30, "14px", "muted", width);
  });
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob === null ? reject(new Error("the browser cannot make a PNG of this size")) : resolve(blob)), "image/png");
  });
}

/** Tokens in lines, broken at spaces where possible. */
function layOut(context: CanvasRenderingContext2D, tokens: ReadonlyArray<{ text: string; share: number }>, width: number): Part[] {
  const parts: Part[] = [];
  let x = 0;
  let y = 0;
  const pieces = tokens.flatMap(({ text, share }) => text.split(/(\n)/).filter((piece) => piece !== "").map((piece) => ({ text: piece, share })));
  pieces.forEach(({ text, share }, at) => {
    if (text === "\n") {
      x = 0;
      y += LINE;
      return;
    }
    // A word may go on in the following tokens: they are kept on one line.
    let word = text;
    for (let next = at + 1; next < pieces.length && !/^\s/.test(pieces[next]!.text) && word.length < 40; next++) word += pieces[next]!.text;
    const isStart = at === 0 || /^\s/.test(text) || x === 0;
    if (isStart && x > 0 && x + context.measureText(word.trimEnd()).width > width) {
      x = 0;
      y += LINE;
    }
    const shown = x === 0 ? text.replace(/^ +/, "") : text;
    const length = context.measureText(shown).width;
    if (x > 0 && x + length > width) {
      x = 0;
      y += LINE;
    }
    parts.push({ text: shown, x, y, width: length, share });
    x += length;
  });
  return parts;
}

function shortened(context: CanvasRenderingContext2D, text: string, limit: number): string {
  if (context.measureText(text).width <= limit) return text;
  let end = text.length;
  while (end > 0 && context.measureText(`${text.slice(0, end)} …`).width > limit) end--;
  return `${text.slice(0, end).trimEnd()} …`;
}
