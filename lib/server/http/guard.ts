import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import { SteeringError } from "../../errors.js";
import { HttpError } from "./errors.js";

/** Who may ask. */
export interface GuardSettings {
  /** Where the server listens. */
  host: string;
  apiKeys: readonly string[];
  /** Further names that the server has, e.g. "models.example.org". */
  allowedHosts: readonly string[];
}

/** The headers of a request that decide. */
export interface Asking {
  host?: string | undefined;
  origin?: string | undefined;
  authorization?: string | undefined;
}

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];
const LEAST_KEY = 8;
/** A host: its name, its IPv4 address, or its IPv6 address in brackets. */
const NAME = /^(?:\[[0-9a-f:.]+\]|[^:/@\s[\]]+)$/i;
/** What stands after `Bearer` in a header. */
const SENDABLE = /^[\x21-\x7e]*$/;

/** True for addresses that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Decides whether a request may be answered. A page elsewhere can make a browser send requests here, under its own name even (DNS
 * rebinding), but not with another `Host` and `Origin` than its own.
 */
export class Guard {
  private readonly keys: readonly Buffer[];
  private readonly hosts: ReadonlySet<string>;
  private readonly isAnyAddress: boolean;

  /** Throws E_BAD_ARGUMENT for a host that others can reach without a key. */
  constructor({ host, apiKeys, allowedHosts }: GuardSettings) {
    if (!isLoopback(host) && apiKeys.length === 0) {
      throw new SteeringError("E_BAD_ARGUMENT", `host ${host} can be reached from other machines, so the server needs an API key: `
        + "pass one (--api-key, or the variable LLAMA_STEER_API_KEY), or listen on 127.0.0.1");
    }
    if (apiKeys.some((key) => key.length < LEAST_KEY)) {
      throw new SteeringError("E_BAD_ARGUMENT", `an API key is too short; expected at least ${LEAST_KEY} characters`);
    }
    if (!apiKeys.every((key) => SENDABLE.test(key))) {
      throw new SteeringError("E_BAD_ARGUMENT", "an API key has white space or characters outside ASCII, which clients cannot send");
    }
    this.keys = apiKeys.map(digest);
    this.hosts = new Set([...LOOPBACK, inBrackets(host), ...allowedHosts.map(asInHeader)].map((name) => name.toLowerCase()));
    this.isAnyAddress = !isLoopback(host);
  }

  /** Throws 403 unless the request is meant for this server and comes from its own page, or from no page at all. */
  checkPlace({ host, origin }: Asking): void {
    if (!this.isOwn(host)) {
      throw new HttpError(403, `the Host header is ${shortly(host)}, which is not a name of this server; allow it with --allow-host`,
        { code: "wrong_host" });
    }
    if (origin !== undefined && origin.toLowerCase().replace(/^https?:\/\//, "") !== host!.toLowerCase()) {
      throw new HttpError(403, `requests of pages at ${shortly(origin)} are not answered`, { code: "wrong_origin" });
    }
  }

  /** Throws 401 without one of the keys. */
  checkKey({ authorization = "" }: Asking): void {
    if (this.keys.length === 0) return;
    const given = digest(/^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? "");
    // All keys are compared, so that the time does not tell which one is close.
    const matching = this.keys.filter((key) => timingSafeEqual(key, given));
    if (matching.length > 0) return;
    throw new HttpError(401, authorization === "" ? "this server needs an API key; send it as Authorization: Bearer KEY"
      : "this API key is wrong", { code: "invalid_api_key" });
  }

  /** A machine has many addresses, but no page can be loaded under one that is not its own. */
  private isOwn(host: string | undefined): boolean {
    const name = /^(\[[0-9a-f:.]+\]|[^:/@\s]+)(?::\d{1,5})?$/i.exec(host ?? "")?.[1]?.toLowerCase();
    if (name === undefined) return false;
    return this.hosts.has(name) || (this.isAnyAddress && isIP(name.replace(/^\[|\]$/g, "")) !== 0);
  }
}

function inBrackets(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

/** A host as the Host header has it, without its port. Throws E_BAD_ARGUMENT. */
function asInHeader(host: string): string {
  const name = inBrackets(host);
  if (NAME.test(name)) return name;
  throw new SteeringError("E_BAD_ARGUMENT", `${shortly(host)} is not the name of a host; expected one without scheme and port, `
    + "e.g. models.example.org");
}

function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

function shortly(text: string | undefined): string {
  return text === undefined ? "missing" : JSON.stringify(text.slice(0, 100));
}
