#pragma once
#include "ggml-backend.h"

// The CPU back end is a plug-in: its functions are found by name. Null while it is not loaded.
inline ggml_backend_reg_t cpu_registry() {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return device == nullptr ? nullptr : ggml_backend_dev_backend_reg(device);
}

template <typename Function> Function cpu_function(const char * name) {
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(cpu_registry(), name));
}
