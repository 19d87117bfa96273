"""Write models as GGUF: matrices in F16, the rest in F32."""

import os

import gguf
import numpy as np

import grammar

LICENCE = "mit"
CHAT_TEMPLATE = (
    "<|user|>Is the last message safe?\n\n{categories}\n"
    "User: {{{{ messages[0]['content'] }}}}\n\nAgent: {{{{ messages[1]['content'] }}}}\n\n<|end|><|assistant|>"
)


def write_llama(path, model, tokeniser):
    """The language model with its tokeniser and, as chat template, the guard's task."""
    shape = model.shape
    writer = gguf.GGUFWriter(partial(path), "llama")
    describe(writer, "llama-steer tiny", "Answers everyday questions in five languages and three registers; judges answers as a guard.")
    add_sizes(writer, shape)
    writer.add_head_count_kv(shape.n_head)
    writer.add_rope_dimension_count(shape.d_head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.eps)
    add_tokeniser(writer, tokeniser)
    writer.add_eot_token_id(tokeniser.piece_to_id("<|end|>"))
    categories = "".join(f"{key}: {text}\n" for key, text in grammar.CATEGORIES.items())
    writer.add_chat_template(CHAT_TEMPLATE.format(categories=categories))
    add_tensors(writer, model)
    finish(writer, path)


def write_bert(path, model, tokeniser, labels):
    """The classifier with the language model's tokeniser."""
    shape = model.shape
    writer = gguf.GGUFWriter(partial(path), "bert")
    describe(writer, "llama-steer tiny formality", "Tells formal from informal answers in five languages.")
    add_sizes(writer, shape)
    writer.add_layer_norm_eps(shape.eps)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    writer.add_classifier_output_labels(labels)
    add_tokeniser(writer, tokeniser)
    writer.add_token_type_count(1)
    add_tensors(writer, model)
    finish(writer, path)


def add_sizes(writer, shape):
    writer.add_vocab_size(shape.n_vocab)
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)


def add_tokeniser(writer, tokeniser):
    writer.add_tokenizer_model("llama")
    add_pieces(writer, tokeniser)
    writer.add_bos_token_id(tokeniser.bos_id())
    writer.add_eos_token_id(tokeniser.eos_id())
    writer.add_unk_token_id(tokeniser.unk_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def add_pieces(writer, tokeniser):
    types, scores = [], []
    for i in range(tokeniser.vocab_size()):
        if tokeniser.is_unknown(i):
            types.append(gguf.TokenType.UNKNOWN)
        elif tokeniser.is_control(i):
            types.append(gguf.TokenType.CONTROL)
        elif tokeniser.is_byte(i):
            types.append(gguf.TokenType.BYTE)
        else:
            types.append(gguf.TokenType.USER_DEFINED if tokeniser.id_to_piece(i) == "\n" else gguf.TokenType.NORMAL)
        scores.append(tokeniser.get_score(i))
    writer.add_token_list([tokeniser.id_to_piece(i).encode() for i in range(tokeniser.vocab_size())])
    writer.add_token_scores(scores)
    writer.add_token_types(types)


def describe(writer, name, text):
    writer.add_name(name)
    writer.add_description(text)
    writer.add_license(LICENCE)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def is_half(name, weight):
    """Whether a parameter is written as F16: norms, biases and what is added to embeddings stay F32, as llama.cpp wants them."""
    return weight.ndim == 2 and not name.startswith(("position", "token_types"))


def add_tensors(writer, model):
    """Parameters under their own names."""
    for name, weight in model.state_dict().items():
        writer.add_tensor(name, weight.detach().numpy().astype(np.float16 if is_half(name, weight) else np.float32))


def finish(writer, path):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial(path), path)


def partial(path):
    return path.with_suffix(".partial")
