// Writes a model in another type, for the benchmark (test/bench/parts/quantise.ts):
//
//   quantise IN OUT TYPE N_THREADS     TYPE: F16, Q8_0 or Q4_K_M
//
// Weights that were quantised before keep the error that they have: right for speed, not for quality.
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

int main(int argc, char ** argv) {
    static const std::map<std::string, llama_ftype> types = {
        {"F16", LLAMA_FTYPE_MOSTLY_F16}, {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0}, {"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    };
    const auto type = argc == 5 ? types.find(argv[3]) : types.end();
    if (type == types.end()) {
        std::fprintf(stderr, "usage: quantise IN OUT F16|Q8_0|Q4_K_M N_THREADS\n");
        return 2;
    }
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
    }, nullptr);
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype            = type->second;
    params.nthread          = int32_t(std::strtol(argv[4], nullptr, 10));
    params.allow_requantize = true;
    return llama_model_quantize(argv[1], argv[2], &params) == 0 ? 0 : 1;
}
