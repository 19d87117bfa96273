#pragma once
#include <optional>
#include <string>
#include <string_view>

// The names that llama.cpp gives to weights and to the nodes of a graph, and those that ggml makes up. Nothing else spells or
// parses them. Parsing is strict: a name matches as a whole or not at all.
namespace node_names {

// Parts of a block's weights.
constexpr std::string_view ATTENTION_OUTPUT       = "attn_output.weight"; // W_O
constexpr std::string_view ATTENTION_OUTPUT_SCALE = "attn_output.scale";

// The last weight of a classification head.
constexpr std::string_view CLASSIFIER_OUTPUT = "cls.output.weight";
// The tensor that holds a batch's tokens.
constexpr std::string_view INPUT_TOKENS = "inp_tokens";

struct block_weight {
    int              layer;
    std::string_view part; // e.g. "attn_output.weight"; points into the name that was parsed
};

// "blk.7.attn_output.weight" for (7, "attn_output.weight"), and back.
std::string                 spell_block_weight(int layer, std::string_view part);
std::optional<block_weight> parse_block_weight(std::string_view name);

// What a weight belongs to.
bool is_norm_weight(std::string_view name);
bool is_mlp_weight(std::string_view name);

// The layer that "l_out-7", the output of a block, names; -1 for another name.
int parse_block_output(std::string_view name);

// The two matrices of a LoRA adapter for a weight: "blk.7.attn_output.weight.lora_a" and ".lora_b".
std::string spell_lora_a(std::string_view weight);
std::string spell_lora_b(std::string_view weight);
bool        is_lora_b(std::string_view name);

// The scheduler copies a node for another back end: "CUDA0#l_out-3#0" is a copy of "l_out-3".
bool             is_copy(std::string_view name);
std::string_view without_copy(std::string_view name); // the name itself where it is not a copy's

// The name that llama.cpp gave; empty for a name that ggml made up. A copy has the original's name.
std::string_view given_name(std::string_view name);

} // namespace node_names
