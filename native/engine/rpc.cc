#include "engine/rpc.h"

#include "engine/failure.h"
#include "ggml-backend.h"

namespace {

template <typename Function> Function rpc_function(const char * name) {
    ggml_backend_reg_t registry = ggml_backend_reg_by_name("RPC");
    if (registry == nullptr) throw failure("E_NATIVE", "the RPC back end is not built; build it with: node native/build.mjs --rpc");
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(registry, name));
}

} // namespace

void add_rpc_servers(const std::vector<std::string> & endpoints) {
    const auto add_server = rpc_function<ggml_backend_reg_t (*)(const char *)>("ggml_backend_rpc_add_server");
    for (const auto & endpoint : endpoints) {
        ggml_backend_reg_t server = add_server(endpoint.c_str());
        if (server == nullptr) throw failure("E_NATIVE", "no RPC server answers at " + endpoint);
        ggml_backend_register(server);
    }
}

void run_rpc_server(const std::string & endpoint, uint32_t n_threads) {
    using start_function = void (*)(const char *, const char *, size_t, size_t, ggml_backend_dev_t *);
    const auto start_server = rpc_function<start_function>("ggml_backend_rpc_start_server");
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    start_server(endpoint.c_str(), nullptr, n_threads, 1, &cpu);
    throw failure("E_NATIVE", "the RPC server cannot listen at " + endpoint);
}
