#pragma once
#include <napi.h>

// The addon's functions. See lib/native/binding.ts for the signatures.
void        load_backends_entry(const Napi::CallbackInfo & info);
Napi::Value run_rpc_server_entry(const Napi::CallbackInfo & info);
Napi::Value devices(const Napi::CallbackInfo & info);
Napi::Value system_info(const Napi::CallbackInfo & info);
Napi::Value hash_of(const Napi::CallbackInfo & info);
Napi::Value take_capture(const Napi::CallbackInfo & info);
Napi::Value alive_objects(const Napi::CallbackInfo & info);
Napi::Value work_done_entry(const Napi::CallbackInfo & info);
