// A page that Vite bundles and a server renders.
import { answer } from "./answer.mjs";

/** The page that answers a question. */
export async function render(question) {
  const { text, language } = await answer(question);
  return `<!doctype html><title>${language}</title><p>${text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}`;
}
