// node rpc-server.js HOST:PORT [THREADS]   lends this machine's CPU
import { addon } from "../../lib/native/index.js";

process.once("disconnect", () => process.exit()); // with whoever started it
await addon().runRpcServer(process.argv[2]!, Number(process.argv[3] ?? 1));
