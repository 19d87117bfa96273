#pragma once
#include "ggml.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

// The tensors of a GGUF as they lie on disk, all parts of a split one. llama.cpp's copies in memory cannot be read
// back: some back ends repack them.
class tensor_file {
public:
    struct entry {
        std::string path;
        uint64_t    offset; // bytes from the start of the file
        ggml_type   type;
        int64_t     n_in;   // ne[0]
        int64_t     n_out;  // ne[1]
    };

    // Throws E_BAD_GGUF.
    explicit tensor_file(const std::string & path);

    // Null where there is no such tensor.
    const entry * find(const std::string & name) const;

    // products[i * n_out + o] = sum over j of W[o, j] * directions[i * n_in + j], with W dequantised row by row.
    // Throws E_BAD_GGUF when the file cannot be read.
    static void multiply(const entry & weight, const float * directions, int count, float * products);

private:
    // Number of parts that the file says the model has.
    int add(const std::string & path);

    std::map<std::string, entry> entries_;
};
