export { agreement, type Agreement } from "./agreement.js";
export { accuracy, auc, judgementMetrics } from "./classification.js";
export {
  chanceOf, contrastProducts, contrastStatistics, shiftLength, sumOfProducts, type ContrastProducts, type ContrastStatistics,
  type PairedRows,
} from "./contrast.js";
export { dot } from "./dot.js";
export {
  fitLogistic, logit, sigmoid, softplus, standardise, unstandardised, type Design, type LogisticFit, type LogisticModel,
} from "./logistic.js";
export { holm, signFlipTest, signTest } from "./paired-tests.js";
export { areaUnderFront, paretoFront, type CostGain } from "./pareto.js";
export { principalComponent } from "./principal.js";
export { drawWithReplacement, seededRandom, shuffled } from "./random.js";
export { bootstrap, mean, median, quantile, share, type Estimate } from "./statistics.js";
