// The process that `renderChats` starts. Its main thread watches and its worker renders: with a single thread, a template that loops
// forever would keep the process from noticing that its parent has exited.
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { endWithParent, onParentMessage, sendToParent } from "../parent.js";
import { renderTemplate, TemplateRefusal } from "./jinja.js";
import { READY, type Rendered, type RenderRequest } from "./template-protocol.js";

/** How much of a template's own message is quoted. */
const LONGEST_REASON = 500;
/** Both threads, each within the limit, and the runtime: it takes 60 to 100 MB. */
const PROCESS_LIMITS = 3;
const WATCH_MS = 20;

if (isMainThread) watch();
else work();

function watch(): void {
  const megabytes = Number(process.argv[2]);
  endWithParent();
  // The worker needs its own limit, since flags of the process do not apply to threads.
  const worker = new Worker(new URL(import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: megabytes } });
  // Bun knows neither that limit nor the process's own, so while it renders, the memory of the process is watched, too.
  let watching: NodeJS.Timeout | undefined;
  const checkMemory = (): void => {
    if (process.memoryUsage.rss() > PROCESS_LIMITS * megabytes * 2 ** 20) process.kill(process.pid, "SIGKILL");
  };
  worker.on("error", () => process.exit(1));
  worker.on("message", (message: Rendered[] | typeof READY) => {
    clearInterval(watching);
    void sendToParent(message);
  });
  onParentMessage((request: RenderRequest) => {
    watching = setInterval(checkMemory, WATCH_MS);
    worker.postMessage(request);
  });
}

/** Only now has the library for templates been loaded, which must not count as time of a template. */
function work(): void {
  parentPort!.on("message", (request: RenderRequest) => parentPort!.postMessage(request.chats.map((chat) => rendered(request, chat))));
  parentPort!.postMessage(READY);
}

function rendered({ template, variables, longest }: RenderRequest, chat: Record<string, unknown>): Rendered {
  try {
    const text = renderTemplate(template, { ...variables, ...chat });
    if (text.length <= longest) return { text };
    return { failure: `it writes ${text.length} characters, more than the messages and the template account for` };
  } catch (error) {
    const reason = (error as Error).message.slice(0, LONGEST_REASON);
    return error instanceof TemplateRefusal ? { refusal: reason } : { failure: reason };
  }
}
