import { requireInteger } from "../checks.js";
import { addon, callAsync, requireRpcBackend } from "../native/index.js";
import { defaultThreads } from "./threads.js";

/** Where an RPC server listens, and what it lends. */
export interface LendOptions {
  host: string;
  port: number;
  /** CPU threads, where there is no GPU; default: one per core that the process may use. */
  threads?: number;
}

const MAX_PORT = 65_535;

/**
 * Lends this machine's GPUs, or its CPU where it has none, to one model at a time elsewhere (`LoadModelOptions.rpc`), until the process
 * ends. llama.cpp's server asks for no password and trusts what it is sent. Throws E_BAD_ARGUMENT, and E_NATIVE if the RPC back end is not
 * built, or if it cannot listen there.
 */
export async function lendDevices({ host, port, threads = defaultThreads() }: LendOptions): Promise<never> {
  requireInteger("port", port, { min: 1, max: MAX_PORT });
  requireRpcBackend();
  await callAsync(() => addon().runRpcServer(`${host}:${port}`, threads));
  throw new Error("an RPC server has ended");
}
