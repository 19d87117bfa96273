#include "engine/rpc.h"

#include "engine/device_choice.h"
#include "engine/failure.h"

#include <exception>

namespace {

// Null if the plug-in is missing or is not ours (native/rpc-source.mjs).
template <typename Function> Function find_function(const char * name) {
    ggml_backend_reg_t registry = ggml_backend_reg_by_name("RPC");
    return registry == nullptr ? nullptr : reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(registry, name));
}

template <typename Function> Function rpc_function(const char * name) {
    const auto function = find_function<Function>(name);
    if (function == nullptr) throw failure("E_NATIVE", "llama.cpp's RPC back end is not built");
    return function;
}

void set_quiet(bool is_quiet) {
    static const auto set = find_function<void (*)(bool)>("llama_steer_rpc_set_quiet");
    if (set != nullptr) set(is_quiet);
}

} // namespace

std::vector<ggml_backend_dev_t> rpc_devices(const std::vector<std::string> & endpoints) {
    const auto add_server = rpc_function<ggml_backend_reg_t (*)(const char *)>("ggml_backend_rpc_add_server");
    rpc_function<void (*)(bool)>("llama_steer_rpc_set_quiet"); // another one would end the process where this one throws
    std::vector<ggml_backend_dev_t> devices;
    for (const auto & endpoint : endpoints) {
        ggml_backend_reg_t server = nullptr;
        try {
            server = add_server(endpoint.c_str());
        } catch (const std::exception & error) {
            throw failure("E_NATIVE", error.what());
        }
        if (server == nullptr) throw failure("E_NATIVE", "the RPC server at " + endpoint + " has no devices");
        for (size_t i = 0; i < ggml_backend_reg_dev_count(server); ++i) devices.push_back(ggml_backend_reg_dev_get(server, i));
    }
    return devices;
}

rpc_quiet::rpc_quiet() { set_quiet(true); }

rpc_quiet::~rpc_quiet() { set_quiet(false); }

void run_rpc_server(const std::string & endpoint, uint32_t n_threads) {
    using start_function = void (*)(const char *, const char *, size_t, size_t, ggml_backend_dev_t *);
    const auto start_server = rpc_function<start_function>("ggml_backend_rpc_start_server");
    auto devices = own_gpus();
    if (devices.empty()) devices.push_back(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
    start_server(endpoint.c_str(), nullptr, n_threads, devices.size(), devices.data());
    throw failure("E_NATIVE", "the RPC server cannot listen at " + endpoint);
}
