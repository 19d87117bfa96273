#include "engine/tensor_file.h"

#include "engine/failure.h"
#include "engine/per_processor.h"
#include "gguf.h"
#include "llama.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

namespace {

constexpr int LANES = 16;

PER_PROCESSOR float dot(const float * a, const float * b, int64_t n) {
    float lanes[LANES] = {};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int l = 0; l < LANES; ++l) lanes[l] += a[i + l] * b[i + l];
    }
    double sum = 0;
    for (float lane : lanes) sum += lane;
    for (; i < n; ++i) sum += double(a[i]) * b[i];
    return float(sum);
}

} // namespace

tensor_file::entries tensor_file::read(const std::string & path) {
    entries found;
    const int n_parts = read_part(path, found);
    if (n_parts <= 1) return found;
    std::vector<char> buffer(path.size() + 64);
    if (llama_split_prefix(buffer.data(), buffer.size(), path.c_str(), 0, n_parts) == 0) {
        throw failure("E_BAD_GGUF", path + " is split into " + std::to_string(n_parts) + " parts, but its name is not that of the first");
    }
    const std::string prefix(buffer.data());
    for (int part = 1; part < n_parts; ++part) {
        llama_split_path(buffer.data(), buffer.size(), prefix.c_str(), part, n_parts);
        read_part(buffer.data(), found);
    }
    return found;
}

int tensor_file::read_part(const std::string & path, entries & found) {
    ggml_context * tensors = nullptr;
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(gguf_init_from_file(path.c_str(), {true, &tensors}), gguf_free);
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> owner(tensors, ggml_free);
    if (!gguf) throw failure("E_BAD_GGUF", "the tensors of " + path + " cannot be read");
    for (ggml_tensor * tensor = ggml_get_first_tensor(tensors); tensor != nullptr; tensor = ggml_get_next_tensor(tensors, tensor)) {
        const int64_t id = gguf_find_tensor(gguf.get(), tensor->name);
        const uint64_t offset = gguf_get_data_offset(gguf.get()) + gguf_get_tensor_offset(gguf.get(), id);
        found[tensor->name] = {path, offset, tensor->type, tensor->ne[0], tensor->ne[1]};
    }
    const int64_t key = gguf_find_key(gguf.get(), "split.count");
    return key < 0 || gguf_get_kv_type(gguf.get(), key) != GGUF_TYPE_UINT16 ? 1 : gguf_get_val_u16(gguf.get(), key);
}

const tensor_file::entry * tensor_file::find(const std::string & name) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!is_read_) entries_ = read(path_);
    is_read_ = true;
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second;
}

void tensor_file::multiply(const entry & weight, int64_t first, int64_t last, const float * directions, int count, float * products) {
    const auto to_float = ggml_get_type_traits(weight.type)->to_float;
    const size_t row_bytes = ggml_row_size(weight.type, weight.n_in);
    std::vector<char>  raw(row_bytes);
    std::vector<float> row(weight.n_in);
    // Windows reads a narrow path in its own code page.
    std::ifstream file(std::filesystem::u8path(weight.path), std::ios::binary);
    file.seekg(std::streamoff(weight.offset + first * row_bytes));
    for (int64_t out = first; out < last; ++out) {
        if (!file.read(raw.data(), std::streamsize(row_bytes))) throw failure("E_BAD_GGUF", weight.path + " cannot be read any more");
        if (weight.type == GGML_TYPE_F32) std::copy_n(reinterpret_cast<const float *>(raw.data()), weight.n_in, row.data());
        else to_float(raw.data(), row.data(), weight.n_in);
        for (int i = 0; i < count; ++i) products[i * weight.n_out + out] = dot(row.data(), directions + i * weight.n_in, weight.n_in);
    }
}
