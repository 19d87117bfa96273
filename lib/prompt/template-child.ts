// The process that `renderChats` starts. Its first thread watches and its second one renders: a template that loops forever
// would keep a single thread from noticing that its parent is gone.
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { renderTemplate, TemplateRefusal } from "./jinja.js";
import { READY, type Rendered, type RenderRequest } from "./template-protocol.js";

/** What is quoted of a template's own words. */
const LONGEST_REASON = 500;

if (isMainThread) watch();
else parentPort!.on("message", (request: RenderRequest) => parentPort!.postMessage(request.chats.map((chat) => rendered(request, chat))));

function watch(): void {
  process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
  // Its own limit too: the process's flags are not those of a thread.
  const worker = new Worker(new URL(import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: Number(process.argv[2]) } });
  worker.on("error", () => process.exit(1));
  worker.on("message", (results: Rendered[]) => process.send?.(results));
  worker.once("online", () => process.send?.(READY));
  process.on("message", (request: RenderRequest) => worker.postMessage(request));
}

function rendered({ template, variables, longest }: RenderRequest, chat: Record<string, unknown>): Rendered {
  try {
    const text = renderTemplate(template, { ...variables, ...chat });
    if (text.length <= longest) return { text };
    return { failure: `it writes ${text.length} characters, more than messages and template account for` };
  } catch (error) {
    const reason = (error as Error).message.slice(0, LONGEST_REASON);
    return error instanceof TemplateRefusal ? { refusal: reason } : { failure: reason };
  }
}
