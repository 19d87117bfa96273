// For `require("llama-steer")`: the ES module itself, which Node loads synchronously since 20.19 and 22.12.
import llamaSteer = require("./index.js");
export = llamaSteer;
