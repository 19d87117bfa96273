#pragma once
#include "ggml.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

// The tensors of a GGUF as they lie on disk, of all parts of a split one. llama.cpp's copies in memory cannot be read back: some
// back ends repack them. Safe to use from several threads.
class tensor_file {
public:
    struct entry {
        std::string path;
        uint64_t    offset; // bytes from the start of the file
        ggml_type   type;
        int64_t     n_in;   // ne[0]
        int64_t     n_out;  // ne[1]
    };

    // The headers are read when the first tensor is looked for.
    explicit tensor_file(std::string path) : path_(std::move(path)) {}

    // Null if the file has no such tensor. Throws E_BAD_GGUF when the headers cannot be read.
    const entry * find(const std::string & name) const;

    // products[i * n_out + o] = sum over j of W[o, j] * directions[i * n_in + j] for the rows o from `first` to before `last`, with W
    // dequantised row by row. Throws E_BAD_GGUF when the file cannot be read.
    static void multiply(const entry & weight, int64_t first, int64_t last, const float * directions, int count, float * products);

private:
    using entries = std::map<std::string, entry>;

    static entries read(const std::string & path);
    // Returns the number of parts that the file says the model has.
    static int read_part(const std::string & path, entries & found);

    const std::string  path_;
    mutable std::mutex mutex_;
    mutable bool       is_read_ = false;
    mutable entries    entries_;
};
