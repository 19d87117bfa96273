#pragma once
#include "addon_data.h"
#include "engine/failure.h"

#include <memory>
#include <napi.h>
#include <string>

// A native object that JavaScript only holds and passes back. It is freed when JavaScript forgets it; `bytes` tell the
// garbage collector what it is worth.
template <typename Native> class handle : public Napi::ObjectWrap<handle<Native>> {
public:
    static Napi::FunctionReference constructor(Napi::Env env, const char * name) {
        return Napi::Persistent(handle::DefineClass(env, name, {}));
    }

    static Napi::Value make(Napi::Env env, std::shared_ptr<Native> native, size_t bytes) {
        Napi::Object object = env.GetInstanceData<addon_data>()->template constructor_of<Native>().New({Napi::External<std::shared_ptr<Native>>::New(env, &native)});
        auto * self = handle::Unwrap(object);
        self->bytes_ = int64_t(bytes);
        Napi::MemoryManagement::AdjustExternalMemory(env, self->bytes_);
        return object;
    }

    static std::shared_ptr<Native> read(const Napi::Value & value, const char * what) {
        auto & constructor = value.Env().GetInstanceData<addon_data>()->template constructor_of<Native>();
        if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(constructor.Value())) throw failure("E_BAD_ARGUMENT", std::string(what) + " is not the addon's");
        return handle::Unwrap(value.As<Napi::Object>())->native_;
    }

    explicit handle(const Napi::CallbackInfo & info) : Napi::ObjectWrap<handle<Native>>(info) {
        if (!info[0].IsExternal()) throw Napi::Error::New(info.Env(), "made by the addon only");
        native_ = *info[0].As<Napi::External<std::shared_ptr<Native>>>().Data();
    }

    void Finalize(Napi::BasicEnv env) override { Napi::MemoryManagement::AdjustExternalMemory(env, -bytes_); }

private:
    std::shared_ptr<Native> native_;
    int64_t                 bytes_ = 0;
};
