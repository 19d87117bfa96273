#include "engine/zero_adapter.h"

#include "engine/failure.h"
#include "engine/log_sink.h"
#include "engine/node_names.h"
#include "engine/node_signature.h"
#include "gguf.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#ifdef __linux__
#include <sys/mman.h>
#endif
#ifndef _WIN32
#include <unistd.h>
#endif

namespace {

// A file that no one else sees and that is gone when it is closed: in memory where the system has such files, else in
// the folder for temporary files.
FILE * open_unnamed_file() {
#ifdef __linux__
    const int memory = memfd_create("llama-steer-adapter", MFD_CLOEXEC);
    if (memory >= 0) return fdopen(memory, "w+b");
#endif
#ifndef _WIN32
    const char * folder = std::getenv("TMPDIR");
    std::string path = std::string(folder != nullptr && *folder != '\0' ? folder : "/tmp") + "/llama-steer-XXXXXX";
    const int file = mkstemp(path.data());
    if (file >= 0) {
        unlink(path.c_str());
        return fdopen(file, "w+b");
    }
    return nullptr;
#else
    wchar_t * name = _wtempnam(nullptr, L"llama-steer");
    FILE * file = name == nullptr ? nullptr : _wfopen(name, L"w+bxTD"); // T, D: kept in memory if it fits, deleted when closed
    std::free(name);
    return file;
#endif
}

ggml_tensor * zeros(ggml_context * context, const std::string & name, int64_t columns, int64_t rows) {
    ggml_tensor * tensor = ggml_new_tensor_2d(context, GGML_TYPE_F32, columns, rows);
    std::memset(tensor->data, 0, ggml_nbytes(tensor));
    ggml_set_name(tensor, name.c_str());
    return tensor;
}

// True for the product of this weight, whichever back end holds the weight.
bool is_product_of(const ggml_tensor * tensor, const std::string & weight) {
    return tensor != nullptr && tensor->op == GGML_OP_MUL_MAT && tensor->src[0] != nullptr && given_name(tensor->src[0]) == weight;
}

} // namespace

llama_adapter_lora * load_zero_adapter(llama_model * model, const std::string & architecture, const std::vector<adapted_weight> & weights) {
    size_t size = 0;
    for (const auto & weight : weights) {
        size += 2 * (ggml_tensor_overhead() + GGML_MEM_ALIGN) + (weight.n_in + weight.n_out) * sizeof(float);
    }
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors(ggml_init({size, nullptr, false}), ggml_free);
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(gguf_init_empty(), gguf_free);
    gguf_set_val_str(gguf.get(), "general.type", "adapter");
    gguf_set_val_str(gguf.get(), "general.architecture", architecture.c_str());
    gguf_set_val_str(gguf.get(), "adapter.type", "lora");
    gguf_set_val_f32(gguf.get(), "adapter.lora.alpha", 1);
    for (const auto & weight : weights) {
        gguf_add_tensor(gguf.get(), zeros(tensors.get(), node_names::spell_lora_a(weight.name), weight.n_in, 1));
        gguf_add_tensor(gguf.get(), zeros(tensors.get(), node_names::spell_lora_b(weight.name), 1, weight.n_out));
    }
    // llama.cpp reads adapters from files only.
    const std::unique_ptr<FILE, decltype(&std::fclose)> file(open_unnamed_file(), std::fclose);
    if (!file) throw failure("E_LLAMA", std::string("no temporary file: ") + std::strerror(errno));
    if (!gguf_write_to_file_ptr(gguf.get(), file.get(), false) || std::fflush(file.get()) != 0) {
        throw failure("E_LLAMA", std::string("a temporary file cannot be written: ") + std::strerror(errno));
    }
    std::rewind(file.get());
    log_sink log;
    llama_adapter_lora * adapter = llama_adapter_lora_init_from_file_ptr(model, file.get());
    if (adapter == nullptr) throw failure("E_LLAMA", log.explain("llama.cpp refused the adapter that steers"));
    return adapter;
}

void drop_zero_adapter(int layer, ggml_tensor * scaled) {
    const std::string weight = node_names::spell_block_weight(layer, node_names::ATTENTION_OUTPUT);
    ggml_tensor * b_product = scaled->op == GGML_OP_SCALE ? scaled->src[0] : nullptr;
    ggml_tensor * a_product = is_product_of(b_product, node_names::spell_lora_b(weight)) ? b_product->src[1] : nullptr;
    if (!is_product_of(a_product, node_names::spell_lora_a(weight))) {
        throw failure("E_NO_SITE", std::string("llama.cpp's graph adds ") + scaled->name + " to the product of " + weight
            + " where the adapter that steers was expected");
    }
    for (ggml_tensor * node : {scaled, b_product, a_product}) node->op = GGML_OP_NONE;
}
