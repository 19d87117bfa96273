import { isIPv4 } from "node:net";
import { requireInteger } from "../checks.js";
import { SteeringError } from "../errors.js";
import { addon, callAsync, requireRpcBackend } from "../native/index.js";
import { defaultThreads, MAX_THREADS } from "./threads.js";

/** Where an RPC server listens, and what it lends. */
export interface LendOptions {
  host: string;
  port: number;
  /** CPU threads, if it has no GPU; default: one per core that the process may use. */
  threads?: number;
}

const MAX_PORT = 65_535;

/**
 * Lends this machine's GPUs, or its CPU if it has none, to one model at a time elsewhere (`LoadModelOptions.rpc`), until the process
 * ends. llama.cpp's server asks for no password and trusts what it is sent. Throws E_BAD_ARGUMENT, and E_NATIVE if the RPC back end is not
 * built, or if it cannot listen there.
 */
export async function lendDevices({ host, port, threads = defaultThreads() }: LendOptions): Promise<never> {
  requireInteger("port", port, { min: 1, max: MAX_PORT });
  requireInteger("threads", threads, { min: 1, max: MAX_THREADS });
  const address = host === "localhost" ? "127.0.0.1" : host;
  if (!isIPv4(address)) {
    throw new SteeringError("E_BAD_ARGUMENT", `${host} is not an address that llama.cpp's RPC server can listen at; expected one of IPv4`);
  }
  requireRpcBackend();
  await callAsync(() => addon().runRpcServer(`${address}:${port}`, threads));
  throw new Error("an RPC server has ended");
}
