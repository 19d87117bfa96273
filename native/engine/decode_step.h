#pragma once
#include "engine/distribution.h"
#include "engine/llama_session.h"
#include "engine/token_sampler.h"

#include <cstdint>
#include <memory>
#include <vector>

// One KL to measure between two rows of a decode, and the alpha that follows from it.
struct alpha_request {
    int32_t      baseline; // row of the unsteered stream P
    int32_t      strong;   // row of the strongly steered stream S
    double       strong_alpha;
    double       top_p;
    double       alpha_max;
    kl_reduction reduction;
};

// Rows of a decode that are steered ever less, and how far the first of them that is taken may be from the unsteered one.
struct budget_request {
    int32_t              baseline;   // the row without the steering; if it is one of earlier requests, they have to choose it
    std::vector<int32_t> candidates; // the strongest first
    double               nats;       // most KL(candidate || baseline), over the whole vocabulary
};
constexpr int32_t BASELINE  = -1; // chosen where no candidate is within the budget
constexpr int32_t UNREACHED = -2; // chosen by a budget whose baseline was not

// A row of a decode whose next token is wanted.
struct sample_request {
    int32_t                        row;     // or -1 - b: the row that budget b and those after it chose
    std::shared_ptr<token_sampler> sampler; // null = the likeliest token
    int32_t                        target;  // a given token whose probability is wanted, or one of the two below
    std::vector<int32_t>           allowed; // the tokens that the sampler may pick, one bit each; empty = all
    // `row` is that of an unsteered stream P: the token is that of the output row, if its logits are those of P or of one S. They are if
    // all streams share one history, and all alphas measured against P are 0, or all but one that is the strong alpha of its S.
    // Or `row` is what budgets chose: the token is that of the row, if each of them found a candidate.
    bool                           settles = false;
};
constexpr int32_t UNSETTLED  = -2; // the token of a request that settles, if the row is not found
constexpr int32_t NO_TARGET  = -1; // only the token is wanted
constexpr int32_t OWN_TARGET = -2; // the token and its probability before any sampler

// A guess of the token that will follow a row once it is steered with the alphas measured against it: the token that follows the mixture
// P + sum of alpha / strong_alpha * (S - P) of the rows' logits.
struct guess_request {
    int32_t                        baseline; // row of the unsteered stream P
    std::shared_ptr<token_sampler> sampler;  // null = the likeliest token; its state does not change
    std::vector<int32_t>           allowed;
};

// A decode and what is read off its logits. Moved, never copied: rows and terms can be many.
struct decode_step {
    decode_step() = default;
    decode_step(decode_step &&) = default;

    decode_batch                 batch;
    steering_terms               terms;
    std::vector<capture_request> captures;
    std::vector<alpha_request>   alphas;
    std::vector<budget_request>  budgets;
    std::vector<sample_request>  samples;
    std::vector<guess_request>   guesses;
};

struct step_result {
    std::vector<double>  kls;    // NaN where a row's logits are not finite
    std::vector<double>  alphas; // clip(KL, 0, alpha_max) (docs/method.md §4, Dyn)
    std::vector<int32_t> chosen;     // per budget, the first of its candidates within it; BASELINE, UNREACHED
    std::vector<int32_t> chosen_rows; // per budget, the row that it and those after it chose
    std::vector<bool>    missed;      // per budget, true if it or one of those after it took the row without it
    std::vector<double>  candidate_kls; // one per candidate of all budgets; NaN where not finite, or not needed
    std::vector<int32_t> tokens; // -1 where a row's logits are not finite or allow no token; UNSETTLED
    std::vector<double>  log_probabilities; // one per token, in nats; NaN where not wanted
    std::vector<int8_t>  ends;       // one per token: 1 if it ends a text
    std::vector<int8_t>  pieces;     // UTF-8 bytes of the tokens, except those that end a text or were given
    std::vector<int32_t> piece_ends; // one per token: the end of its bytes in pieces
    std::vector<double>  probabilities; // one per gate; NaN where the activation is not finite
    std::vector<float>   gates;         // their values
    std::vector<int32_t> guesses; // made after the samples; -1 where the mixture allows no token, or the text would end
};

// Throws what llama_session::decode throws.
step_result run_step(llama_session & session, decode_step step);
