export function gpuRefusal(command: string): string | undefined;
export function missingGpuPackages(): string[];
