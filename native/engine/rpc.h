#pragma once
#include <cstdint>
#include <ggml-backend.h>
#include <string>
#include <vector>

// llama.cpp's RPC back end: devices of other processes, over TCP. Its plug-in must be loaded (load_backends).

// The devices of the servers at `endpoints` ("host:port"), in that order. llama.cpp keeps them for the rest of the process.
// Throws E_NATIVE if the plug-in is missing or a server does not answer.
std::vector<ggml_backend_dev_t> rpc_devices(const std::vector<std::string> & endpoints);

// While it lives, nothing that this thread does throws because a server is gone: for destructors.
class rpc_quiet {
public:
    rpc_quiet();
    ~rpc_quiet();
    rpc_quiet(const rpc_quiet &) = delete;
    rpc_quiet & operator=(const rpc_quiet &) = delete;
};

// Lends this process's GPUs, or its CPU if it has none, to whoever connects to `endpoint`, one client at a time.
// Never returns; throws E_NATIVE if it cannot listen.
void run_rpc_server(const std::string & endpoint, uint32_t n_threads);
