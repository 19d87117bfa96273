"""Self-checks on tiny random weights and by hand: `pytest test/golden` or `python test/golden/test_golden.py`."""
import math
import sys
from pathlib import Path

import torch

from gguf_model import rotate
from make import as_json
from method import (Steering, Trajectory, addition, capture, compose, delta, generate, greedy, head_output_hooks,
                    mean_per_step, perplexity, replay, restricted_kl, steered_logits, top_p_set, trajectory)
from prompts import prompt_pieces, prompt_tokens
from random_model import MODEL, SIZES, Letters, random_delta, spm
from tokenizer import byte_alphabet

sys.path.append(str(Path(__file__).resolve().parent.parent / "bench" / "parts"))
from published_cache import generate_cached, trajectory_cached  # noqa: E402

torch.set_num_threads(1)
PROMPT = [1, 40, 90, 77, 200]
DYNAMIC = {"kind": "dynamic", "topP": 0.5, "alphaMax": 2, "strongAlpha": 2, "klReduction": "sum"}
GROUP = [{"input": "a?", "output": "b"}, {"input": "c?", "output": "d"}, {"input": "e?", "output": "f"}]


def test_gguf_gives_the_written_model():
    model, _ = spm()
    assert abs(model.sizes.rms_eps - SIZES.rms_eps) < 1e-9 and model.sizes.n_head_kv == SIZES.n_head_kv
    assert torch.equal(model.lm_head.weight, MODEL.token_embd.weight.half().float())  # tied
    assert torch.equal(model.blocks[1].k_proj.weight, MODEL.blocks[1].k_proj.weight.half().float())


def test_rope_turns_adjacent_pairs_and_sees_only_distances():
    x = torch.randn(6, 2, 4)
    turned = rotate(x, 4, 100.0)
    angle = 3 * 100.0 ** (-2 / 4)  # row 3, second pair
    expected = x[3, 1, 2] * math.cos(angle) - x[3, 1, 3] * math.sin(angle)
    assert abs(turned[3, 1, 2] - expected) < 1e-6
    q, k = rotate(x[:1].expand(6, 2, 4), 4, 100.0), rotate(x[1:2].expand(6, 2, 4), 4, 100.0)
    assert abs((q[5, 0] @ k[3, 0]) - (q[2, 0] @ k[0, 0])) < 1e-5


def test_attention_is_causal():
    assert torch.allclose(MODEL(PROMPT)[:3], MODEL(PROMPT[:3]), atol=1e-5)


def test_alpha_zero_is_unsteered():
    steering = Steering(random_delta(), {"kind": "fixed", "alpha": 0})
    zero = [addition([steering], [0.0], step) for step in range(2)]
    assert torch.equal(steered_logits(MODEL, PROMPT, 3, zero), MODEL(PROMPT, 3))
    plain = generate(MODEL, Letters(), PROMPT, [], 6)
    assert generate(MODEL, Letters(), PROMPT, [steering], 6).tokens == plain.tokens
    silent = Steering(random_delta(), DYNAMIC | {"alphaMax": 0})
    assert generate(MODEL, Letters(), PROMPT, [silent], 6).tokens == plain.tokens


def test_hook_adds_at_its_position_only():
    seen = []
    added = random_delta(1)[0]
    with head_output_hooks(MODEL, lambda _, x: seen.append(x.clone())):
        MODEL(PROMPT)

    def steer(layer, x):
        return torch.cat((x[:3], x[3:4] + added[layer], x[4:]))

    with head_output_hooks(MODEL, steer), head_output_hooks(MODEL, lambda _, x: seen.append(x.clone())):
        by_hand = MODEL(PROMPT, 3)
    difference = seen[2] - seen[0]  # first layer, after and before
    assert torch.allclose(difference[3], added[0], atol=1e-6) and not difference[[0, 1, 2, 4]].any()
    assert torch.equal(steered_logits(MODEL, PROMPT, 3, [added]), by_hand)
    assert torch.equal(steered_logits(MODEL, PROMPT, 0, [added * 0] * 3 + [added])[:3], MODEL(PROMPT)[:3])
    assert not any(block.o_proj._forward_pre_hooks for block in MODEL.blocks)


def test_capture_is_the_last_row_of_every_layer():
    seen = []
    with head_output_hooks(MODEL, lambda _, x: seen.append(x[-1])):
        logits = MODEL(PROMPT)[-1]
    captured_logits, rows = capture(MODEL, PROMPT)
    assert torch.allclose(captured_logits, logits, atol=1e-5) and torch.equal(rows, torch.stack(seen))


def test_extraction_counts_the_step_that_predicts_eos():
    free = trajectory(MODEL, PROMPT, 5, eos=-1)
    ended = trajectory(MODEL, PROMPT, 5, eos=free.tokens[2])
    end = free.tokens.index(free.tokens[2])
    assert ended.tokens == free.tokens[:end] and len(ended.rows) == end + 1


def test_delta_by_hand():
    def run(*values):
        return Trajectory(rows=[torch.tensor([[value]]) for value in values])

    _, counts = mean_per_step([run(1.0, 2.0), run(3.0)])
    assert counts == [2, 1]
    assert delta([run(1.0, 2.0), run(3.0)], [run(0.5, 1.0, 9.0)]).flatten().tolist() == [1.5, 1.0]


def test_schedules():
    def alphas(kind):
        return [Steering(random_delta(4), {"kind": kind, "alpha": 2}).set_alpha(step) for step in range(6)]

    assert alphas("fixed") == [2] * 6
    assert alphas("start") == [2, 0, 0, 0, 0, 0]
    assert alphas("diminishing") == [2, 1.5, 1, 0.5, 0, 0]


def test_tail_is_the_mean_and_composition_is_cut_to_the_shorter():
    long, short = random_delta(4), random_delta(3, seed=3)
    fixed = {"kind": "fixed", "alpha": 1}
    assert torch.equal(Steering(long, fixed).at(4), long.mean(0))
    steerings = compose([Steering(long, fixed), Steering(short, fixed)])
    assert torch.allclose(addition(steerings, [1, 2], 3), long[:3].mean(0) + 2 * short.mean(0))
    assert torch.allclose(addition(steerings, [1, 2], 1), addition(steerings[::-1], [2, 1], 1))


def test_top_p_keeps_the_token_that_crosses():
    probabilities = torch.tensor([0.125, 0.5, 0.25, 0.125], dtype=torch.float64)
    assert top_p_set(probabilities, 0.4).tolist() == [False, True, False, False]
    assert top_p_set(probabilities, 0.5).tolist() == [False, True, True, False]  # 0.5 does not pass 0.5
    assert top_p_set(probabilities, 0.7).tolist() == [False, True, True, False]
    assert top_p_set(probabilities, 0.8).tolist() == [True, True, True, False]


def test_kl_by_hand():
    p, s = torch.tensor([0.6, 0.3, 0.1]).log(), torch.tensor([0.2, 0.7, 0.1]).log()
    expected = 2 / 3 * math.log(2 / 3 * 9 / 2) + 1 / 3 * math.log(1 / 3 * 9 / 7)  # Q = {0, 1}
    kl, size = restricted_kl(p, s, 0.5, "sum")
    assert size == 2 and abs(kl - expected) < 1e-6
    assert abs(restricted_kl(p, s, 0.5, "mean")[0] - expected / 2) < 1e-6
    assert restricted_kl(p, p, 0.5, "sum") == (0.0, 1)


def test_dynamic_steps_by_hand():
    steering = Steering(random_delta(), DYNAMIC)
    run = generate(MODEL, Letters(), PROMPT, [steering], 3)
    for step in range(3):
        ids, first = PROMPT + run.tokens[:step], len(PROMPT) - 1
        strong = steered_logits(MODEL, ids, first, [2 * steering.delta[i] for i in range(step + 1)])[-1]
        kl, size = restricted_kl(MODEL(ids)[-1], strong, 0.5, "sum")
        assert abs(run.kls[0][step] - kl) < 1e-4 and run.set_sizes[0][step] == size
        assert run.alphas[0][step] == min(max(run.kls[0][step], 0), 2)
        carried = [run.alphas[0][i] * steering.delta[i] for i in range(step + 1)]
        assert run.tokens[step] == greedy(steered_logits(MODEL, ids, first, carried)[-1])[0]


def test_perplexity_replays_and_equals_the_steps():
    steerings = [Steering(random_delta(), DYNAMIC), Steering(random_delta(seed=5), {"kind": "fixed", "alpha": 1})]
    additions = replay(steerings, [[0.5, 1.0], [1, 1]], 4)
    assert torch.allclose(additions[3], steerings[1].delta[3]) and len(additions) == 4
    output, total = [7, 9, 7, 30], 0.0
    for step, token in enumerate(output):
        logits = steered_logits(MODEL, PROMPT + output[:step], len(PROMPT) - 1, additions[:step + 1])[-1]
        total -= logits.log_softmax(0)[token].item()
    assert math.isclose(perplexity(MODEL, PROMPT, output, additions), math.exp(total / 4), rel_tol=1e-4)
    assert perplexity(MODEL, PROMPT, [], []) is None


def test_prompts_by_hand():
    demonstrations = ["Q:a?\nA:b\n\n", "Q:c?\nA:d\n\n"]
    assert prompt_pieces(GROUP, "Do.", "clean") == ["Do.\n" + "".join(demonstrations) + "Q:e?\nA:"]
    assert prompt_pieces(GROUP, "Do.", "published") == [
        "Do.", "\n", "Q:", "a?", "\nA:", "b", "\n\n", "Q:", "e?", "\nA:"]
    assert prompt_pieces(GROUP[-1:], "", "clean") == ["Q:e?\nA:"]
    _, tokenizer = spm()
    assert [prompt_tokens(tokenizer, prompt_pieces(GROUP, "ab", form), form).count(1)
            for form in ("clean", "published")] == [1, 11]


def test_sentencepiece_by_hand_and_round_trip():
    _, tokenizer = spm()
    piece = tokenizer.ids
    assert tokenizer.encode("aba") == [1, piece["a"], piece["ba"]]  # the better score first
    assert tokenizer.encode("abb a\n") == [1, piece["ab"], piece["b"], piece["\u2581a"], piece["\n"]]
    assert tokenizer.encode("é") == [1, piece["<0xC3>"], piece["<0xA9>"]]
    assert 1 not in tokenizer.encode("<s>")[1:]
    for text in ("", "Q:ab é\n\nA: ba\t€ </s>", "  a  b\n", "日本 <0x0A>"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    _, prefixed = spm(add_space_prefix=True)
    assert prefixed.encode("a\na") == [1, piece["\u2581a"], piece["\n"], piece["\u2581a"]]


def test_byte_alphabet_is_a_bijection():
    alphabet = byte_alphabet()
    assert sorted(alphabet.values()) == list(range(256)) and alphabet["\u0120"] == 0x20 and alphabet["A"] == 65


def test_generation_stops_at_q():
    tokens = generate(MODEL, Letters(), PROMPT, [], 4).tokens

    class Stops(Letters):
        def decode(self, ids):
            return {1: "Q", 2: "Q:"}.get(len(ids), "x")

    run = generate(MODEL, Stops(), PROMPT, [], 4)
    assert (run.finish, run.tokens) == ("stop", tokens[:2])


def test_a_kv_cache_changes_nothing():
    own = trajectory_cached(MODEL, PROMPT, 6, 2)
    anew = trajectory(MODEL, PROMPT, 6, 2)
    assert own.tokens == anew.tokens and len(own.rows) == len(anew.rows)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(own.rows, anew.rows))
    dynamic, fixed = Steering(random_delta(), DYNAMIC), Steering(random_delta(), {"kind": "fixed", "alpha": 1})
    for steerings in ([], [fixed], [dynamic], [dynamic, fixed, Steering(random_delta(), DYNAMIC)]):
        cached, plain = (way(MODEL, Letters(), PROMPT, steerings, 8) for way in (generate_cached, generate))
        assert cached.tokens == plain.tokens
        assert torch.allclose(torch.tensor(cached.alphas), torch.tensor(plain.alphas), atol=1e-4)


def test_json_keeps_floats_and_lines():
    text = as_json({"a": {"x": 0.1}, "b": [{"y": 1e-17}, {"y": None}]}).decode()
    assert text == '{\n"a":{\n"x":0.1\n},\n"b":[\n{"y":1e-17},\n{"y":null}\n]\n}\n'


if __name__ == "__main__":
    checks = [(name, check) for name, check in list(globals().items()) if name.startswith("test_")]
    for check_name, check in checks:
        check()
        print("ok", check_name)
