export function unpacked(path: string): string;
export const packageRoot: string;
export function platformName(): string;
export function lacksGlibc(): boolean;
export function prebuiltAdvice(build: string): string;
export function findNodeLlamaCpp(): { folder: string; version: string; release: string } | undefined;
export function pinnedVersion(): string;
export function prebuiltFolder(name: string, version?: string): string | undefined;
export function prebuiltAddon(): { path: string; nodeLlamaCpp: string; llamaCpp: string; refusal?: undefined } | { refusal: string };
