#include "engine/node_signature.h"

#include "engine/node_names.h"
#include "ggml.h"

namespace {

constexpr int MAX_DEPTH = 8;

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

bool is_copy(const ggml_tensor * tensor) { return tensor->op == GGML_OP_NONE && node_names::is_copy(tensor->name); }

std::string_view given_name(const ggml_tensor * tensor) { return node_names::given_name(tensor->name); }

int layer_of_attention_output(const ggml_tensor * tensor) {
    if (tensor->op != GGML_OP_MUL_MAT) return -1;
    const auto weight = node_names::parse_block_weight(tensor->src[0]->name);
    return weight && weight->part == node_names::ATTENTION_OUTPUT ? weight->layer : -1;
}

bool is_steering_addition(const ggml_tensor * tensor) {
    if (tensor->op != GGML_OP_ADD) return false;
    const ggml_tensor * addend = tensor->src[1];
    if (addend->op == GGML_OP_NONE) return given_name(addend).empty() && !is_copy(addend); // a bias has a name
    return addend->op == GGML_OP_SCALE && addend->src[0]->op == GGML_OP_MUL_MAT
        && node_names::is_lora_b(given_name(addend->src[0]->src[0]));
}

std::string node_signature(const ggml_tensor * tensor) {
    return std::string(given_name(tensor)) + "=" + operands_of(tensor, MAX_DEPTH);
}
