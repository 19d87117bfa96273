#pragma once
#include "engine/decode_step.h"

#include <napi.h>

// Reads what JavaScript passes to Context.decode (NativeStep of lib/native/binding.ts). Everything is copied and checked.
// Throws E_BAD_ARGUMENT, E_SHAPE, E_NOT_FINITE.
decode_step read_step(const Napi::Object & step);
