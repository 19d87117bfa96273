/** A comparison to keep: the last question and its answers. */
export interface Comparison {
  model: string;
  question: string;
  scale: number;
  answers: Array<{
    title: string;
    /** E.g. "Italian: alpha 1.5". */
    how: string;
    figures: string;
    tokens: Array<{ text: string; alpha: number; kl: number | null; probability: number; gates: string[] }>;
  }>;
  link: string;
}

const STYLE = `:root{color-scheme:light dark;--ink:#1c1d20;--muted:#5b5e66;--line:#dfe1e5;--paper:#fff;--accent:#0067a3}
@media(prefers-color-scheme:dark){:root{--ink:#e8e9ec;--muted:#a6aab3;--line:#3a3d44;--paper:#15171b;--accent:#5cb3e6}}
body{margin:2rem auto;max-width:76rem;padding:0 1.5rem;background:var(--paper);color:var(--ink);font:16px/1.65 system-ui,sans-serif}
h1{font-size:1.35rem;margin:0}h2{font-size:1rem;margin:0}p{margin:.25rem 0}.muted{color:var(--muted);font-size:.85rem}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1.25rem;margin:1.5rem 0}
section{border-top:2px solid var(--line);padding-top:.75rem}.text{white-space:pre-wrap;overflow-wrap:anywhere}
.text span{background:color-mix(in oklab,var(--accent) calc(var(--a)*54%),transparent);border-radius:.2em}
.bar{display:inline-block;width:6rem;height:.6rem;border-radius:.3rem;background:linear-gradient(90deg,transparent,color-mix(in oklab,var(--accent) 54%,transparent));border:1px solid var(--line)}`;

/** A page of its own, without scripts, that shows the comparison. */
export function comparisonHtml({ model, question, scale, answers, link }: Comparison): string {
  const sections = answers.map(({ title, how, figures, tokens }) => `<section><h2>${escape(title)}</h2>
<p class="muted">${escape(how)}</p><p class="text">${tokens.map((token) => span(token, scale)).join("")}</p><p class="muted">${escape(figures)}</p></section>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escape(question)}</title><style>${STYLE}</style></head>
<body><h1>${escape(question)}</h1><p class="muted">${escape(model)}, steered by llama-steer</p>
<main>${sections.join("\n")}</main>
<p class="muted">Shading: alpha 0 <span class="bar"></span> ${Number(scale.toFixed(2))}. Point at a word for its figures.
<a href="${escape(link)}">This setting in llama-steer</a></p></body></html>
`;
}

function span({ text, alpha, kl, probability, gates }: Comparison["answers"][number]["tokens"][number], scale: number): string {
  const gate = gates.map((words) => `, gate ${words}`).join("");
  const title = `alpha ${alpha.toFixed(2)}${kl === null ? "" : `, KL ${kl.toFixed(2)}`}${gate}, probability ${(probability * 100).toFixed(1)} %`;
  return `<span style="--a:${Math.min(1, alpha / scale).toFixed(3)}" title="${title}">${escape(text)}</span>`;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
