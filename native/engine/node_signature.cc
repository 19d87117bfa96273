#include "engine/node_signature.h"

#include "ggml.h"

#include <cstring>

namespace {

constexpr int MAX_DEPTH = 8;

bool is_weight_of_adapter(const ggml_tensor * tensor) {
    const size_t length = std::strlen(tensor->name);
    return length > 7 && (std::strcmp(tensor->name + length - 7, ".lora_b") == 0);
}

std::string describe(const ggml_tensor * tensor, int depth);

std::string operands_of(const ggml_tensor * tensor, int depth) {
    if (is_steering_addition(tensor)) return operands_of(tensor->src[0], depth);
    std::string text = std::string(ggml_op_name(tensor->op)) + "(";
    for (int i = 0; i < GGML_MAX_SRC && tensor->src[i] != nullptr; ++i) text += (i == 0 ? "" : ",") + describe(tensor->src[i], depth - 1);
    return text + ")";
}

std::string describe(const ggml_tensor * tensor, int depth) {
    const std::string name(given_name(tensor));
    if (!name.empty() || tensor->op == GGML_OP_NONE || depth <= 0) return name;
    return operands_of(tensor, depth);
}

} // namespace

std::string_view without_copy(std::string_view name) {
    const size_t first = name.find('#');
    const size_t last  = name.rfind('#');
    return first == last ? name : name.substr(first + 1, last - first - 1);
}

bool is_copy(const ggml_tensor * tensor) {
    return tensor->op == GGML_OP_NONE && std::strchr(tensor->name, '#') != std::strrchr(tensor->name, '#');
}

std::string_view given_name(const ggml_tensor * tensor) {
    const std::string_view name = without_copy(tensor->name);
    // ggml names what has no name by its number, and views by what they show: " (reshaped)".
    const bool is_automatic = name.empty() || name[0] == ' ' || name.compare(0, 5, "node_") == 0 || name.compare(0, 5, "leaf_") == 0;
    return is_automatic ? std::string_view() : name;
}

bool is_steering_addition(const ggml_tensor * tensor) {
    if (tensor->op != GGML_OP_ADD) return false;
    const ggml_tensor * addend = tensor->src[1];
    if (addend->op == GGML_OP_NONE) return given_name(addend).empty() && !is_copy(addend); // a bias has a name
    return addend->op == GGML_OP_SCALE && addend->src[0]->op == GGML_OP_MUL_MAT && is_weight_of_adapter(addend->src[0]->src[0]);
}

std::string node_signature(const ggml_tensor * tensor) {
    return std::string(given_name(tensor)) + "=" + operands_of(tensor, MAX_DEPTH);
}
