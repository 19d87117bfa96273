// llama.cpp's RPC back end ends the process when a server goes away. `writeRpcSource` writes a copy of its source that throws instead, to
// whoever waits for the server, unless that thread is only freeing something (`llama_steer_rpc_set_quiet`, native/engine/rpc.cc).
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const LOST = "the RPC server no longer answers";
const HEAD = `#include <atomic>
#include <stdexcept>
static thread_local bool llama_steer_is_quiet = false;
static void llama_steer_rpc_set_quiet(bool is_quiet) { llama_steer_is_quiet = is_quiet; }
`;
const MEMBERS = `public:
    std::atomic_bool is_lost{false};
    void tell() const {
        if (is_lost && !llama_steer_is_quiet) throw std::runtime_error("${LOST}");
    }
private:
    std::atomic_bool running;`;
const FUNCTION = `if (std::strcmp(name, "llama_steer_rpc_set_quiet") == 0) {
        return (void *)llama_steer_rpc_set_quiet;
    }
    if (std::strcmp(name, "ggml_backend_rpc_add_server") == 0) {`;

/** The thread that talks to a server has no listener of ours; the caller is told by what is thrown. */
const SILENCE = { find: /#include "ggml-impl\.h"/g, times: 1, by: (_, text) => `${text}\n#undef GGML_LOG_ERROR\n#define GGML_LOG_ERROR(...) ((void)0)` };
/** What to replace, how often it must occur, and by what; `index` counts the occurrences. */
const CHANGES = [
  SILENCE,
  { find: /std::atomic_bool running;/g, times: 1, by: () => MEMBERS },
  // The handshake's, and both of the thread that talks to the server.
  { find: /RPC_STATUS_ASSERT\(status\);/g, times: 3, by: (index) => (index === 0 ? "if (!status) return false;" : "if (!status) is_lost = true;") },
  { find: /msg_ptr->cmd != RPC_CMD_NONE/g, times: 1, by: () => "msg_ptr->cmd != RPC_CMD_NONE && !is_lost" },
  // Freeing a buffer is no time to throw.
  { find: /future\.wait\(\);/g, times: 2, by: () => "future.wait();\n    if (cmd != RPC_CMD_FREE_BUFFER) tell();" },
  { find: /get_future\(\)\.wait\(\);/g, times: 1, by: () => "get_future().wait();\n    tell();" },
  { find: /ev->sf\.wait\(\);/g, times: 1, by: () => "ev->sf.wait();\n    tell();" },
  {
    find: /GGML_ABORT\("(?:Failed to parse endpoint|RPC transport initialization failed|Failed to connect|RPC handshake failed)[^;]*;/g, times: 4,
    by: () => 'throw std::runtime_error("no RPC server of this version answers at " + endpoint);',
  },
  { find: /if \(std::strcmp\(name, "ggml_backend_rpc_add_server"\) == 0\) \{/g, times: 1, by: () => FUNCTION },
  // A lost connection stays with the buffers that it served; whoever comes later gets a new one.
  {
    find: /if \(auto dispatcher = it->second\.lock\(\)\) \{/g, times: 1,
    by: () => "if (auto dispatcher = it->second.lock(); dispatcher && !dispatcher->is_lost) {",
  },
];

/** Writes the changed sources beside llama.cpp's own in `folder`. Throws where they are not those that these changes were written for. */
export function writeRpcSource(folder) {
  write(folder, "ggml-rpc", HEAD, CHANGES);
  write(folder, "transport", "", [SILENCE]);
}

function write(folder, name, head, changes) {
  let source = head + readFileSync(join(folder, `${name}.cpp`), "utf8");
  for (const { find, times, by } of changes) {
    let found = 0;
    source = source.replace(find, (text) => by(found++, text));
    if (found !== times) throw new Error(`llama.cpp's RPC back end has changed: ${String(find)} occurs ${found} times, not ${times}`);
  }
  writeFileSync(join(folder, `${name}-changed.cpp`), source);
}
