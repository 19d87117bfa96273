export function missingGpuPackages(): string[];
