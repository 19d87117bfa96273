#pragma once
#include <cstdint>
#include <string>
#include <vector>

// llama.cpp's RPC back end: devices of other processes, over TCP. Its plug-in must be loaded (load_backends).

// Makes the devices of the servers at `endpoints` ("host:port") available to models loaded later.
// Throws E_NATIVE if the plug-in is missing or a server does not answer.
void add_rpc_servers(const std::vector<std::string> & endpoints);

// Lends this process's CPU to whoever connects to `endpoint`. Never returns; throws E_NATIVE if it cannot listen.
void run_rpc_server(const std::string & endpoint, uint32_t n_threads);
