export { addon, devices, findInstallation, systemInfo, type Built, type NativeInstallation } from "./addon.js";
export { call, callAsync } from "./call.js";
export { unpacked } from "#native/prebuilt";
export type * from "./binding.js";
