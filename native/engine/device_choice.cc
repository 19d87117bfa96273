#include "engine/device_choice.h"

#include "engine/failure.h"
#include "engine/rpc.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string>

namespace {

// This machine's devices of one back end, e.g. "cuda"; none for "cpu".
std::vector<ggml_backend_dev_t> devices_of(const std::string & backend) {
    std::vector<ggml_backend_dev_t> devices;
    for (size_t i = 0; backend != "cpu" && i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        std::string name = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device));
        std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
        if (name == "mtl") name = "metal";
        if (name == backend && ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_CPU) devices.push_back(device);
    }
    if (devices.empty() && backend != "cpu") {
        throw failure("E_NATIVE", "there is no device of the back end " + backend + "; llama-steer doctor lists those that were found");
    }
    return devices;
}

bool is_gpu(ggml_backend_dev_t device) {
    const auto type = ggml_backend_dev_type(device);
    return type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU;
}

// llama.cpp ends the process beyond 16 back ends, of which the CPU and an accelerator such as BLAS are two.
constexpr size_t MOST_DEVICES = 14;

} // namespace

std::vector<ggml_backend_dev_t> own_gpus() {
    std::vector<ggml_backend_dev_t> gpus;
    std::set<std::string>           seen; // one card may be a device of CUDA and of Vulkan
    const auto add = [&](enum ggml_backend_dev_type type) {
        for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
            ggml_backend_dev_t device = ggml_backend_dev_get(i);
            if (ggml_backend_dev_type(device) != type) continue;
            ggml_backend_dev_props props{};
            ggml_backend_dev_get_props(device, &props);
            if (props.device_id == nullptr || seen.insert(props.device_id).second) gpus.push_back(device);
        }
    };
    add(GGML_BACKEND_DEVICE_TYPE_GPU);
    if (gpus.empty()) add(GGML_BACKEND_DEVICE_TYPE_IGPU);
    return gpus;
}

std::vector<ggml_backend_dev_t> devices_for(const weights_options & options) {
    std::vector<ggml_backend_dev_t> devices;
    if (options.n_gpu_layers != 0 && !options.rpc.empty()) devices = rpc_devices(options.rpc);
    if (!options.backend.empty()) {
        const auto own = devices_of(options.backend);
        devices.insert(devices.end(), own.begin(), own.end());
    } else if (!devices.empty()) {
        const auto own = own_gpus();
        devices.insert(devices.end(), own.begin(), own.end());
    }
    if (devices.size() > MOST_DEVICES) {
        throw failure("E_NATIVE", std::to_string(devices.size()) + " devices are too many; llama.cpp takes at most "
            + std::to_string(MOST_DEVICES));
    }
    return devices;
}

bool may_use_device(const weights_options & options) {
    if (options.n_gpu_layers == 0) return false;
    if (!options.rpc.empty()) return true;
    if (options.backend == "cpu") return false;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        if (is_gpu(ggml_backend_dev_get(i))) return true;
    }
    return false;
}
