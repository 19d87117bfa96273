#pragma once
#include <string>
#include <string_view>

struct ggml_tensor;

// The scheduler's copy of a node for another back end: "CUDA0#l_out-3#0" is one of "l_out-3".
bool             is_copy(const ggml_tensor * tensor);
std::string_view without_copy(std::string_view name);

// Name that llama.cpp, not ggml, gave to a tensor; empty where there is none. A copy on another back end has the
// original's name. Valid as long as the tensor.
std::string_view given_name(const ggml_tensor * tensor);

// True for an addition that the graph path put into the graph: of a control vector, of a LoRA adapter, or of what
// takes their place.
bool is_steering_addition(const ggml_tensor * tensor);

// What a node is, in words that are the same in every graph of a context: its name, its operation, and the names of its
// operands, or for an operand without a name what that one is in turn. Steering additions are left out.
// E.g. "l_out-3=ADD(ffn_out-3,ffn_inp-3)".
std::string node_signature(const ggml_tensor * tensor);
