#pragma once
#include "engine/failure.h"
#include "ggml-backend.h"
#include "ggml.h"

// The CPU back end is a plug-in: its functions are found by name. Null while it is not loaded.
inline ggml_backend_reg_t cpu_registry() {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return device == nullptr ? nullptr : ggml_backend_dev_backend_reg(device);
}

// Throws E_BAD_ARGUMENT, because ggml ends the process when it cannot start that number of threads.
inline void check_threads(int32_t n_threads) {
    if (n_threads < 1 || n_threads > GGML_MAX_N_THREADS) {
        throw failure("E_BAD_ARGUMENT", "nThreads must be from 1 to " + std::to_string(GGML_MAX_N_THREADS));
    }
}

template <typename Function> Function cpu_function(const char * name) {
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(cpu_registry(), name));
}
