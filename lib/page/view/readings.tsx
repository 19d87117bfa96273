import { gateWords, percent } from "../logic/readings.js";
import type { Answer } from "../state/answer.js";

/** What was added at a token and why, and what probes read there, as tables. */
export function Readings({ answer, step }: { answer: Answer; step: number }) {
  const { readings, monitors } = answer.tokens[step]!;
  const left = readings.map((_, at) => answer.leftAfter(at, step));
  const hasGate = readings.some((_, at) => answer.gates[at] !== undefined);
  const hasLeft = left.some((nats) => nats !== undefined);
  return (
    <>
      {readings.length > 0 && (
        <table class="readings">
          <thead><tr>
            <th>property</th><th>alpha</th><th>KL (nats)</th>{hasLeft && <th>left to spend</th>}{hasGate && <th>gate</th>}
          </tr></thead>
          <tbody>{readings.map(({ alpha, kl, gate }, at) => (
            <tr key={at}>
              <th scope="row">{answer.titles[at]}</th><td>{alpha.toFixed(2)}</td><td>{kl === null ? "–" : kl.toFixed(2)}</td>
              {hasLeft && <td>{left[at]?.toFixed(2) ?? "–"}</td>}
              {hasGate && <td>{gate ? `${answer.gates[at]}: ${gateWords(gate)}` : "–"}</td>}
            </tr>
          ))}</tbody>
        </table>
      )}
      {monitors !== undefined && (
        <table class="readings">
          <thead><tr><th>probe</th><th>probability</th></tr></thead>
          <tbody>{monitors.map((share, at) => (
            <tr key={at}><th scope="row">{answer.probes[at]!.title}</th><td>{percent(share)}</td></tr>
          ))}</tbody>
        </table>
      )}
    </>
  );
}
