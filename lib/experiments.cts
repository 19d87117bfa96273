// For `require("llama-steer/experiments")`, as index.cts is for the root.
import experiments = require("./experiments.js");
export = experiments;
