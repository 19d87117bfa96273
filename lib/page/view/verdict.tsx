const MEANING: Readonly<Record<string, string>> = {
  strong: "The differences agree: this vector can be trusted.",
  usable: "The differences mostly agree: this vector should work.",
  weak: "The differences agree little: try it, but do not rely on it.",
  noise: "No better than chance: this vector will not do what its name says.",
};

/** How trustworthy a vector is. */
export const Verdict = ({ verdict }: { verdict: string }) => (
  <span class={`verdict ${verdict}`} title={MEANING[verdict]}>{verdict}</span>
);
