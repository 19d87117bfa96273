/**
 * The API for the paper's experiments: `import { experiment, results } from "llama-steer/experiments"`.
 *
 * @module llama-steer/experiments
 */
export * as capture from "./capture/public.js";
export type { CapturePrompt, PromptedText, TextCaptureOptions, TextMeans } from "./capture/index.js";
export type { ActivationRecord, ActivationSource } from "./capture/index.js";
export * as datasets from "./dataset/public.js";
export type { Columns, ImportLimits } from "./dataset/index.js";
export { loadClassifier, loadEmbedder, loadTranslator } from "./engine/public.js";
export type { Embedder, TextModelOptions } from "./engine/index.js";
export type { Classification, Classifier, LoadTranslatorOptions, TranslateOptions, Translation, Translator } from "./engine/index.js";
export * as evaluate from "./evaluate/public.js";
export type { DeltaPerplexityPrompts } from "./generate/index.js";
export type { LanguageDetector, LanguageDetectorName, LanguageGuess, Undetermined } from "./evaluate/index.js";
export type { NllbOptions, PipelineMaker, TextTranslator, TextTranslatorOptions, TranslationPipeline } from "./evaluate/index.js";
export type { LanguageEvaluatorOptions } from "./evaluate/index.js";
export type { FormalityEvaluatorOptions } from "./evaluate/index.js";
export type { GuardEvaluatorOptions } from "./evaluate/index.js";
export type { ProbeEvaluatorOptions } from "./evaluate/index.js";
export type { EvaluatedText, EvaluationColumns, Evaluator } from "./evaluate/index.js";
export type { GuardForm, SafetyLevel } from "./evaluate/index.js";
export type { Judgement } from "./evaluate/index.js";
export type {
  ChoiceQuestion, CodeSwitchingOptions, ContentGold, FittedAgreement, GoldAgreement, GoldOptions, GoldSides, JudgeEvaluatorOptions,
  JudgeOptions, KeptOptions, Knowledge, KnowledgeChange, KnowledgeOptions, QualityEvaluatorOptions, Rubric, ScaleRubric, Verdict,
  YesNoRubric,
} from "./evaluate/index.js";
export type { EvaluateOptions } from "./evaluate/index.js";
export * as experiment from "./experiment/public.js";
export type { SingleRunOptions } from "./experiment/index.js";
export type { ComposeConfig, ComposeOptions, SingleConfig, SingleOptions, Strategy, WithDefaults } from "./experiment/index.js";
export type { Method, MethodProperty, MethodsConfig } from "./experiment/index.js";
export type { CheckPlanOptions, PlanCheck, PlanOptions } from "./experiment/index.js";
export type { LoadPlanOptions, Plan, PlanFile, PlannedRun } from "./experiment/index.js";
export type { RunOptions } from "./experiment/index.js";
export type { Answer, CompareOptions, Setting, SettingSummary } from "./experiment/index.js";
export * as probe from "./probe/public.js";
export type { ProbeJudgement, ProbeReads, ProbeText, ProbeTextsOptions, TrainProbeOptions } from "./probe/index.js";
export { writeReport } from "./report/public.js";
export type { ReportOptions, ReportResult } from "./report/index.js";
export * as results from "./results/public.js";
export type {
  Distribution, EvaluatedResults, Evaluation, EvaluationHeader, EvaluationRow, EvaluationValue, Interference, JudgeAgreement, Measure,
  Merge, Outcome, PairedDifference, PropertyResult, PublishedResult, ReadRunOptions, ResultRecord, RunFile, RunResults, RunSetting,
  SettingResult, Shard, Timing,
} from "./results/index.js";
export type { Agreement, Estimate } from "./maths/index.js";
export * as spec from "./steering/public.js";
export * as vectors from "./vector/public.js";
export type { ImportOptions } from "./vector/index.js";
export type { StepMeans } from "./vector/index.js";
