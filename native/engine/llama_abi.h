#pragma once
// The structs of llama.cpp that the engine fills, reads or passes by value, as they are in the pinned release. A failing
// assertion says which one a new release changed: read what the change means for the code that uses it, then adjust the
// line here. `npm run upgrade:check VERSION` compiles this header against another release and shows the struct's old and
// new definition.
#include "ggml-backend.h"
#include "ggml.h"
#include "gguf.h"
#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <type_traits>

// Sizes and offsets are those of 64-bit systems, which agree on them; types hold everywhere.
#define STRUCT(NAME, SIZE) static_assert(sizeof(void *) != 8 || sizeof(NAME) == SIZE, #NAME " is no longer " #SIZE " bytes long");
#define FIELD(NAME, MEMBER, OFFSET, ...) \
    static_assert(std::is_same<decltype(NAME::MEMBER), __VA_ARGS__>::value, #NAME "." #MEMBER " is no longer a " #__VA_ARGS__); \
    static_assert(sizeof(void *) != 8 || offsetof(NAME, MEMBER) == OFFSET, #NAME "." #MEMBER " is no longer at byte " #OFFSET);

STRUCT(llama_model_params, 80)
FIELD(llama_model_params, devices, 0, ggml_backend_dev_t *)
FIELD(llama_model_params, n_gpu_layers, 16, int32_t)
FIELD(llama_model_params, load_mode, 24, llama_load_mode)

STRUCT(llama_context_params, 160)
FIELD(llama_context_params, n_ctx, 0, uint32_t)
FIELD(llama_context_params, n_batch, 4, uint32_t)
FIELD(llama_context_params, n_ubatch, 8, uint32_t)
FIELD(llama_context_params, n_seq_max, 12, uint32_t)
FIELD(llama_context_params, n_outputs_max, 20, uint32_t)
FIELD(llama_context_params, n_threads, 28, int32_t)
FIELD(llama_context_params, n_threads_batch, 32, int32_t)
FIELD(llama_context_params, rope_scaling_type, 40, llama_rope_scaling_type)
FIELD(llama_context_params, pooling_type, 44, enum llama_pooling_type)
FIELD(llama_context_params, flash_attn_type, 52, llama_flash_attn_type)
FIELD(llama_context_params, rope_freq_scale, 60, float)
FIELD(llama_context_params, yarn_ext_factor, 64, float)
FIELD(llama_context_params, yarn_orig_ctx, 80, uint32_t)
FIELD(llama_context_params, cb_eval, 88, bool (*)(ggml_tensor *, bool, void *))
FIELD(llama_context_params, cb_eval_user_data, 96, void *)
FIELD(llama_context_params, type_k, 104, ggml_type)
FIELD(llama_context_params, type_v, 108, ggml_type)
FIELD(llama_context_params, abort_callback, 112, bool (*)(void *))
FIELD(llama_context_params, abort_callback_data, 120, void *)
FIELD(llama_context_params, embeddings, 128, bool)
FIELD(llama_context_params, no_perf, 130, bool)
FIELD(llama_context_params, op_offload, 131, bool)
FIELD(llama_context_params, swa_full, 132, bool)
FIELD(llama_context_params, kv_unified, 133, bool)

STRUCT(llama_batch, 56)
FIELD(llama_batch, n_tokens, 0, int32_t)
FIELD(llama_batch, token, 8, int32_t *)
FIELD(llama_batch, pos, 24, int32_t *)
FIELD(llama_batch, n_seq_id, 32, int32_t *)
FIELD(llama_batch, seq_id, 40, int32_t **)
FIELD(llama_batch, logits, 48, int8_t *)

STRUCT(llama_sampler_chain_params, 1)
FIELD(llama_sampler_chain_params, no_perf, 0, bool)

STRUCT(llama_logit_bias, 8)
FIELD(llama_logit_bias, token, 0, int32_t)
FIELD(llama_logit_bias, bias, 4, float)

STRUCT(llama_token_data, 12)
FIELD(llama_token_data, id, 0, int32_t)
FIELD(llama_token_data, logit, 4, float)
FIELD(llama_token_data, p, 8, float)

STRUCT(llama_token_data_array, 32)
FIELD(llama_token_data_array, data, 0, llama_token_data *)
FIELD(llama_token_data_array, size, 8, size_t)
FIELD(llama_token_data_array, selected, 16, int64_t)
FIELD(llama_token_data_array, sorted, 24, bool)

STRUCT(ggml_tensor, 336)
FIELD(ggml_tensor, type, 0, ggml_type)
FIELD(ggml_tensor, buffer, 8, ggml_backend_buffer *)
FIELD(ggml_tensor, ne, 16, int64_t[4])
FIELD(ggml_tensor, nb, 48, size_t[4])
FIELD(ggml_tensor, op, 80, ggml_op)
FIELD(ggml_tensor, src, 152, ggml_tensor *[10])
FIELD(ggml_tensor, data, 248, void *)
FIELD(ggml_tensor, name, 256, char[64])

STRUCT(ggml_init_params, 24)
FIELD(ggml_init_params, mem_size, 0, size_t)
FIELD(ggml_init_params, mem_buffer, 8, void *)
FIELD(ggml_init_params, no_alloc, 16, bool)

STRUCT(gguf_init_params, 16)
FIELD(gguf_init_params, no_alloc, 0, bool)
FIELD(gguf_init_params, ctx, 8, ggml_context **)

STRUCT(ggml_type_traits, 56)
FIELD(ggml_type_traits, to_float, 40, void (*)(const void *, float *, int64_t))

STRUCT(ggml_threadpool_params, 528)

#undef STRUCT
#undef FIELD
