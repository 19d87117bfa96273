import { lendDevices } from "../../lib/engine/index.js";
import { onStderr } from "../colours.js";
import { command, options, type OutputOptions, type Values } from "../command.js";
import { defined, note } from "../common.js";
import { count } from "../options.js";

const OPTIONS = options({
  port: { ...count(), default: 50052, describe: "Port" },
  host: { type: "string", default: "127.0.0.1", describe: "Address; whoever reaches it can use this machine" },
  threads: { ...count(), describe: "CPU threads, if it has no GPU", defaultDescription: "one per idle core" },
});

type RpcServerArguments = Values<typeof OPTIONS> & OutputOptions;

export default command({
  usage: "rpc-server",
  describe: "Lend this machine's GPUs, or its CPU, to a model elsewhere",
  options: OPTIONS,
  examples: [["rpc-server --port 50052", "then, elsewhere, through a tunnel: --rpc 127.0.0.1:50052"]],
  epilogue: "There is no password and no encryption: leave it on 127.0.0.1 and tunnel to it (docs/rpc.md). Ctrl-C ends it.",
  run,
});

async function run({ port, host, threads, quiet }: RpcServerArguments): Promise<void> {
  if (!/^(127\.|localhost$)/.test(host)) {
    note(onStderr.yellow(`Whoever reaches ${host}:${port} can use this machine: there is no password. A tunnel is safer (docs/rpc.md).`), quiet);
  }
  await lendDevices({ host, port, ...defined({ threads }) });
}
