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
/** An allocation that fails is null to all that ask for one; an exception would cross C, which would then free a buffer twice. */
const ALLOCATION = `static ggml_backend_buffer_t llama_steer_alloc_buffer(ggml_backend_buffer_type_t buft, size_t size);
static ggml_backend_buffer_t ggml_backend_rpc_buffer_type_alloc_buffer(ggml_backend_buffer_type_t buft, size_t size) {
    try {
        return llama_steer_alloc_buffer(buft, size);
    } catch (const std::exception &) {
        return nullptr;
    }
}
static ggml_backend_buffer_t llama_steer_alloc_buffer(ggml_backend_buffer_type_t buft, size_t size) {`;
/** A server that serves another process accepts connections and says nothing; one that is cut off never ends them. */
const SOCKETS = `#ifndef _WIN32
#include <fcntl.h>
#include <sys/time.h>
#endif
static void llama_steer_set_timeout(sockfd_t sockfd, int seconds) {
#ifdef _WIN32
    DWORD limit = seconds * 1000;
#else
    struct timeval limit = {seconds, 0};
#endif
    setsockopt(sockfd, SOL_SOCKET, SO_RCVTIMEO, (const char *)&limit, sizeof(limit));
    setsockopt(sockfd, SOL_SOCKET, SO_SNDTIMEO, (const char *)&limit, sizeof(limit));
}
static void llama_steer_prepare(sockfd_t sockfd) {
    llama_steer_set_timeout(sockfd, 10); // until the handshake is over
    int on = 1;
    setsockopt(sockfd, SOL_SOCKET, SO_KEEPALIVE, (const char *)&on, sizeof(on));
#ifdef TCP_KEEPIDLE
    int idle = 60, interval = 10, count = 6;
    setsockopt(sockfd, IPPROTO_TCP, TCP_KEEPIDLE, (const char *)&idle, sizeof(idle));
    setsockopt(sockfd, IPPROTO_TCP, TCP_KEEPINTVL, (const char *)&interval, sizeof(interval));
    setsockopt(sockfd, IPPROTO_TCP, TCP_KEEPCNT, (const char *)&count, sizeof(count));
#endif
}
/** Not for the processes that this one starts. */
static void llama_steer_keep(sockfd_t sockfd) {
#ifndef _WIN32
    fcntl(sockfd, F_SETFD, FD_CLOEXEC);
#else
    (void)sockfd;
#endif
}
static void llama_steer_close(sockfd_t sockfd) {
#ifdef _WIN32
    closesocket(sockfd);
#else
    close(sockfd);
#endif
}
struct socket_t::impl {`;
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
  // Nothing that frees a buffer may throw.
  { find: /future\.wait\(\);/g, times: 2, by: () => "future.wait();\n    if (cmd != RPC_CMD_FREE_BUFFER) tell();" },
  { find: /get_future\(\)\.wait\(\);/g, times: 1, by: () => "get_future().wait();\n    tell();" },
  { find: /ev->sf\.wait\(\);/g, times: 1, by: () => "ev->sf.wait();\n    ev->owner->tell();" },
  {
    find: /GGML_ABORT\("(?:Failed to parse endpoint|RPC transport initialization failed|Failed to connect|RPC handshake failed)[^;]*;/g, times: 4,
    by: () => 'throw std::runtime_error("no RPC server of this version answers at " + endpoint + ", or it serves another process");',
  },
  { find: /if \(std::strcmp\(name, "ggml_backend_rpc_add_server"\) == 0\) \{/g, times: 1, by: () => FUNCTION },
  // Events are freed and waited for on the connection that they were made on, whatever has become of the server since.
  { find: /void event_(free|synchronize)\(ggml_backend_event_t event\);/g, times: 2, by: (_, text) => `static ${text}` },
  {
    find: /std::shared_future<void> sf;\n {4}\};/g, times: 1,
    by: () => "std::shared_future<void> sf;\n        const rpc_dispatcher * owner = nullptr;\n    };",
  },
  { find: /rpc_event \* ev = new rpc_event;/g, times: 1, by: (_, text) => `${text}\n    ev->owner = this;` },
  {
    find: /auto dispatcher = get_dispatcher\(ctx->endpoint\);\n {4}dispatcher->(event_free|event_synchronize)\(event\);/g, times: 2,
    by: (index) => `GGML_UNUSED(ctx);\n    rpc_dispatcher::event_${index === 0 ? "free" : "synchronize"}(event);`,
  },
  // Weights on a lost connection are not on the new one: a graph that names them would compute with nothing.
  {
    find: /if \(ctx != nullptr && \(dispatcher == nullptr/g, times: 1,
    by: (_, text) => `if (ctx != nullptr) ctx->dispatcher->tell();\n        ${text}`,
  },
  { find: /static ggml_backend_buffer_t ggml_backend_rpc_buffer_type_alloc_buffer\(ggml_backend_buffer_type_t buft, size_t size\) \{/g,
    times: 1, by: () => ALLOCATION },
  // A lost connection stays with the buffers that it served; whoever comes later gets a new one.
  {
    find: /if \(auto dispatcher = it->second\.lock\(\)\) \{/g, times: 1,
    by: () => "if (auto dispatcher = it->second.lock(); dispatcher && !dispatcher->is_lost) {",
  },
];

const TRANSPORT = [
  SILENCE,
  { find: /struct socket_t::impl \{/g, times: 1, by: () => SOCKETS },
  { find: /auto sockfd = socket\(AF_INET, SOCK_STREAM, 0\);/g, times: 2, by: (_, text) => `${text}\n    llama_steer_keep(sockfd);` },
  {
    find: /struct hostent \* server = gethostbyname\(host\);/g, times: 1,
    by: (_, text) => `llama_steer_prepare(sockfd);\n    ${text}\n    if (server == NULL) llama_steer_close(sockfd);`,
  },
  {
    find: /if \(::connect\(sockfd, \(struct sockaddr \*\)&addr, sizeof\(addr\)\) < 0\) \{/g, times: 1,
    by: (_, text) => `${text}\n        llama_steer_close(sockfd);`,
  },
  { find: /return pimpl->update_caps\(remote_caps\);/g, times: 1, by: (_, text) => `llama_steer_set_timeout(pimpl->fd, 0);\n    ${text}` },
];

/** Writes the changed sources beside llama.cpp's own in `folder`. Throws where they are not those that these changes were written for. */
export function writeRpcSource(folder) {
  write(folder, "ggml-rpc", HEAD, CHANGES);
  write(folder, "transport", "", TRANSPORT);
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
