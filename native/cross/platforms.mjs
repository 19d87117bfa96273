// What a cross build needs to know of each platform: zig's name for it, and what is ours to add to CMakeLists.txt.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { realpathSync, writeFileSync } from "node:fs";
import { GLIBC } from "./symbols.mjs";
import { importLibraries, nodeApiStubs } from "./windows.mjs";

const linuxHeaders = join(import.meta.dirname, "linux");

/**
 * By the names that node-llama-cpp's packages have. `compilers`: zig's C and C++ compilers, `definitions`: for CMake.
 *
 * Linux: with the system's libstdc++, as llama.cpp's libraries have it, since llama.cpp throws exceptions through its C functions. GCC
 * lends its headers; zig links against the symbols of an old glibc. macOS and Windows: with zig's libc++ inside the addon.
 */
export const PLATFORMS = {
  "linux-x64": linux("x86_64"),
  "linux-arm64": linux("aarch64"),
  "mac-arm64-metal": mac("aarch64", "arm64"),
  "mac-x64": mac("x86_64", "x86_64"),
  "win-x64": windows(),
};

const MACOS = "13.0";

function linux(processor) {
  const gcc = `${processor}-linux-gnu-g++`;
  return () => {
    const headers = ask(gcc, ["-E", "-x", "c++", "-v", "/dev/null"]).split("\n").map((line) => line.trim())
      .filter((line) => line.startsWith("/") && /\/c\+\+\//.test(line) && !line.includes(" "));
    const library = (name) => realpathSync(ask(gcc, [`-print-file-name=${name}`]).trim());
    const libraries = ["libstdc++.so.6", "libgcc_s.so.1", "libgcc.a"].map(library);
    return {
      system: "Linux",
      processor,
      target: `${processor}-linux-gnu.${GLIBC}`,
      // As C, so that zig adds no libc++; -I and not -isystem, because these have to come before zig's own.
      cxx: "cc",
      definitions: {
        CMAKE_CXX_FLAGS: ["-nostdinc++", ...[linuxHeaders, ...headers].map((folder) => `-I${folder}`)].join(" "),
        CMAKE_CXX_STANDARD_LIBRARIES: libraries.join(" "),
        CMAKE_SHARED_LINKER_FLAGS: "-s",
      },
    };
  };
}

function mac(processor, cmakeProcessor) {
  return () => ({
    system: "Darwin",
    processor: cmakeProcessor,
    target: `${processor}-macos.${MACOS}`,
    cxx: "c++",
    // Node has Node-API's functions, whatever it is called.
    definitions: {
      CMAKE_OSX_SYSROOT: "", CMAKE_OSX_ARCHITECTURES: "", CMAKE_INSTALL_NAME_TOOL: "true",
      // Otherwise the addon has the path of the folder that it was built in.
      CMAKE_BUILD_WITH_INSTALL_NAME_DIR: "ON", CMAKE_INSTALL_NAME_DIR: "@rpath",
      CMAKE_SHARED_LINKER_FLAGS: "-undefined dynamic_lookup -s",
    },
  });
}

function windows() {
  return ({ zig, bins, folder }) => {
    const stubs = join(folder, "node_api.c");
    writeFileSync(stubs, nodeApiStubs());
    return {
      system: "Windows",
      processor: "AMD64",
      target: "x86_64-windows-gnu",
      cxx: "c++",
      bins: importLibraries(zig, bins, folder),
      definitions: { CMAKE_JS_SRC: stubs, CMAKE_SHARED_LINKER_FLAGS: "-s" },
    };
  };
}

function ask(command, args) {
  const { error, status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (error) throw new Error(`${command} not found; on Debian: apt-get install g++ g++-aarch64-linux-gnu`);
  if (status !== 0) throw new Error(`${command} failed: ${stderr}`);
  return `${stdout}${stderr}`;
}
