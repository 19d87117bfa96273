#pragma once
#include <cstdint>
#include <string>
#include <vector>

// llama.cpp's RPC back end: devices of other processes, over TCP. Its plug-in has to be loaded (load_backends).

// Makes the devices of the servers at `endpoints` ("host:port") available to the models that are loaded from now on.
// Throws E_NATIVE: no plug-in, or no server that answers.
void add_rpc_servers(const std::vector<std::string> & endpoints);

// Lends this process's CPU to whoever connects to `endpoint`. Does not return unless it cannot listen: throws E_NATIVE.
void run_rpc_server(const std::string & endpoint, uint32_t n_threads);
