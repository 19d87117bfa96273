#pragma once
#include <string>
#include <string_view>

struct ggml_tensor;

// True for the scheduler's copy of a node for another back end.
bool is_copy(const ggml_tensor * tensor);

// The name that llama.cpp, not ggml, gave to a tensor or to the tensor that it copies; empty if neither has one. Valid as long
// as the tensor.
std::string_view given_name(const ggml_tensor * tensor);

// The layer of W_O when `tensor` is its product, else -1.
int layer_of_attention_output(const ggml_tensor * tensor);

// True for an addition that the graph path put into the graph: an addition of a control vector, a LoRA adapter, or their replacement.
bool is_steering_addition(const ggml_tensor * tensor);

// What a node is, in the same words in every graph of a context: its name, its operation, and the names of its operands; an operand
// without a name is described in turn. Steering additions are skipped. E.g. "l_out-3=ADD(ffn_out-3,ffn_inp-3)".
std::string node_signature(const ggml_tensor * tensor);
