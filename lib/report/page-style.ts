/** The page's style sheet for light mode, dark mode and print. Loads no external resources. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark; --ink: #1c1d20; --muted: #5b5e66; --grid: #dfe1e5; --paper: #ffffff; --panel: #f5f6f8; --link: #0a58a8;
  --warn: #8a4b00; --a1: #0072b2; --a2: #d55e00; --a3: #009e73; --a4: #cc79a7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8e9ec; --muted: #a6aab3; --grid: #3a3d44; --paper: #15171b; --panel: #1e2126; --link: #7ab8f5; --warn: #f0b35a; --a1: #4aa8dd;
    --a2: #f0803c; --a3: #2cc79a; --a4: #e09bc4;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 150rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif;
}
h1 { font-size: 1.7rem; margin: 0 0 .25rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 2px solid var(--grid); }
h3 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; } h4 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
a { color: var(--link); } p, dl { max-width: 52rem; } .muted { color: var(--muted); }
nav ul { columns: 2; padding-left: 1.1rem; margin: .5rem 0; } nav ul ul { columns: 1; } nav li { break-inside: avoid; }
nav .short { padding: 0; margin: 0 0 .5rem; font-size: .87rem; } .short li { display: inline; } .short li + li::before { content: " · "; }
.note { border-left: 4px solid var(--warn); background: var(--panel); padding: .5rem .75rem; margin: .75rem 0; max-width: 52rem; }
dt { font-weight: 600; } dd { margin: 0 0 .4rem 1.2rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 60rem), 1fr)); gap: 0 2.5rem; }
figure { margin: 1.25rem 0 2rem; min-width: 0; break-inside: avoid; }
.chart { overflow-x: auto; } .chart svg, .chart img { display: block; max-width: 100%; height: auto; }
figcaption { color: var(--muted); font-size: .92em; max-width: 58rem; margin-top: .35rem; } figcaption strong { color: var(--ink); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; } th:first-child, .texts td { text-align: left; } tbody th { font-weight: 600; }
.overview td { text-align: left; white-space: normal; } .overview thead th { text-align: left; }
.texts td { white-space: normal; line-height: 1.35; } .texts th { vertical-align: top; }
.texts .strip { font-family: inherit; overflow-wrap: anywhere; }
.strip i {
  font-style: normal; white-space: pre-wrap; display: inline-block; padding-bottom: calc(var(--n) * 9px + 1px);
  background-repeat: no-repeat;
  background-image: linear-gradient(var(--a1), var(--a1)), linear-gradient(var(--a2), var(--a2)),
    linear-gradient(var(--a3), var(--a3)), linear-gradient(var(--a4), var(--a4));
  background-size: calc(100% - 1px) var(--h1, 0), calc(100% - 1px) var(--h2, 0),
    calc(100% - 1px) var(--h3, 0), calc(100% - 1px) var(--h4, 0);
  background-position: 0 calc(100% - (var(--n) - 1) * 9px), 0 calc(100% - (var(--n) - 2) * 9px),
    0 calc(100% - (var(--n) - 3) * 9px), 0 100%;
  margin: 0 0 2px; -webkit-print-color-adjust: exact; print-color-adjust: exact;
}
.strip i.cut { color: var(--muted); text-decoration: line-through; } .strip i.step { width: 10px; height: calc(var(--n) * 9px + 3px); }
.key { display: inline-block; width: .9em; height: .6em; margin: 0 .3em 0 .8em; } .k1 { background: var(--a1); }
.k2 { background: var(--a2); } .k3 { background: var(--a3); } .k4 { background: var(--a4); }
.key { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
details { margin: .75rem 0; } summary { cursor: pointer; font-weight: 600; }
pre { background: var(--panel); padding: .75rem; overflow-x: auto; font-size: .8rem; line-height: 1.35; }
code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .92em; }
@media print {
  :root {
    color-scheme: light; --ink: #000; --muted: #444; --grid: #ccc; --paper: #fff; --panel: #f5f5f5; --link: #000; --warn: #8a4b00;
    --a1: #0072b2; --a2: #d55e00; --a3: #009e73; --a4: #cc79a7;
  }
  @page { size: A4 landscape; margin: 14mm; }
  body { font-size: 9.5pt; max-width: none; padding: 0; } section { break-before: page; } h2, h3, h4 { break-after: avoid; }
  tr, .prompt h4 { break-inside: avoid; } thead { display: table-header-group; }
  .figures { display: block; } .chart, .wide { overflow: visible; } .chart svg, .chart img { max-height: 112mm; width: auto; }
  table { font-size: 7.5pt; } th, td { padding: .1rem .35rem; white-space: normal; } pre { white-space: pre-wrap; font-size: 6.5pt; }
  .links { display: none; }
}
`.trim();
