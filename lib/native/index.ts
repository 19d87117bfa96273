export { addon, devices, findInstallation, systemInfo, type Built, type NativeInstallation } from "./addon.js";
export { call, callAsync } from "./call.js";
export type * from "./binding.js";
