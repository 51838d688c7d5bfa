/**
 * convlens shows, inline in Jupyter cells, what a ConvNet has learned.
 *
 * ```ts
 * import { activations, loadModel, photo } from "@convlens/convlens";
 * const model = await loadModel("resnet50");
 * const dog = await photo("dog");
 * await activations(model, dog, { layer: "conv1" });
 * ```
 *
 * In a cell {@linkcode help} tells how each function is called:
 * - models: {@linkcode loadModel}, {@linkcode vgg16} and other builders, {@linkcode train}, {@linkcode evaluate},
 *   {@linkcode predict}, {@linkcode checkInputs}
 * - images: {@linkcode photo}, {@linkcode loadImage}, {@linkcode imageFolder}, {@linkcode imageManifest}, {@linkcode dataset}, {@linkcode cifar10},
 *   {@linkcode mnist}, {@linkcode fashionMnist}, {@linkcode petFaces}
 * - layers and filters: {@linkcode activations}, {@linkcode topPatches}, {@linkcode plate}, {@linkcode featureVisualization},
 *   {@linkcode featureEvolution}, {@linkcode featureHierarchy}, {@linkcode filters}, {@linkcode deadFilters}, {@linkcode strideDiagnosis},
 *   {@linkcode linearProbes}, {@linkcode receptiveFieldFigure}
 * - which images it does worse on: {@linkcode imageAttributes}, {@linkcode performanceBy}, {@linkcode worstSlices}
 * - beside another, or beside people: {@linkcode compareModels}, {@linkcode humanTrial}, {@linkcode compareHumans}
 * - where a thing is and how it is seen: {@linkcode invariance}, {@linkcode partCorrespondence}
 * - directions in a layer: {@linkcode directions}, {@linkcode compareDirections}
 * - what counts for an answer: {@linkcode saliency}, {@linkcode inputXGradient}, {@linkcode guidedBackprop},
 *   {@linkcode smoothGrad}, {@linkcode integratedGradients}, {@linkcode gradCam}, {@linkcode deconvnet},
 *   {@linkcode occlusion}; side by side and put to the test: {@linkcode compare}, {@linkcode faithfulness},
 *   {@linkcode sanityCheck}, {@linkcode report}
 * - where things are: {@linkcode correspondence}, {@linkcode matchAccuracy}, {@linkcode keypointProbes},
 *   {@linkcode alignImages}
 * - what fools a model: {@linkcode fool}, {@linkcode linearExplanation}, {@linkcode universalPerturbation},
 *   {@linkcode transferability}, {@linkcode robustness}
 * - what it withstands that happens to images: {@linkcode corruptionRobustness}
 * - codes of images: {@linkcode codes}, {@linkcode pca}, {@linkcode tsne}, {@linkcode neighbors},
 *   {@linkcode embeddingGrid}
 * - numbers and files: {@linkcode NdArray}, {@linkcode loadArray}, {@linkcode Savable.save}, {@linkcode Figure.save}
 * - the machine: {@linkcode doctor}, {@linkcode useBackend}
 *
 * Importing this module loads nothing heavy: TensorFlow.js, sharp, Polars and the catalogue's packages come when they
 * are first needed.
 *
 * @module
 */

export { NdArray, type NdArrayLike, type NestedNumbers, type Slice, type Tensor } from "./lib/array.ts";
export { loadArray, type LoadArrayOptions } from "./lib/data/array_file.ts";
export { ImageError } from "./lib/codec.ts";
export {
  type Catalog,
  type CatalogEntry,
  CatalogError,
  type EntryKind,
  type FetchOptions,
} from "./lib/data/catalog.ts";
export type { SplitOptions } from "./lib/data/catalogued.ts";
export { cifar10, type Cifar10Class } from "./lib/data/cifar10.ts";
export {
  type Dataset,
  dataset,
  type DatasetItem,
  type DatasetOptions,
  type DatasetRow,
  type ImageDataset,
  type ItemLike,
  type Seed,
  type SkippedImage,
} from "./lib/data/dataset.ts";
export type { LabelCount } from "./lib/data/sample.ts";
export { fashionMnist, type FashionMnistClass } from "./lib/data/fashion_mnist.ts";
export type { FilterDiagnostics, Likeness, OcclusionMap } from "./lib/data/records.ts";
export {
  type FolderSummary,
  type ImageFilesOptions,
  type ImageFolder,
  imageFolder,
  type ImageFolderOptions,
  type PassedOver,
} from "./lib/data/image_folder.ts";
export { imageManifest, type ImageManifestOptions } from "./lib/data/image_manifest.ts";
export {
  Image,
  type ImageLike,
  type ImageSource,
  type InputRecord,
  loadImage,
  type LoadOptions,
} from "./lib/data/image.ts";
export type { InputArray } from "./lib/data/given.ts";
export { mnist, type MnistClass } from "./lib/data/mnist.ts";
export { correspondence, type CorrespondenceOptions } from "./lib/methods/correspondence.ts";
export type { Correspondence, MatchRow } from "./lib/results/correspondence.ts";
export { matchAccuracy, type MatchAccuracyOptions } from "./lib/methods/match_accuracy.ts";
export type { WarpKind } from "./lib/methods/shared/place_errors.ts";
export type { MatchAccuracy, MatchAccuracyFigureOptions, MatchAccuracyRow } from "./lib/results/match_accuracy.ts";
export { alignImages, type AlignImagesOptions } from "./lib/methods/align_images.ts";
export type { AlignedFigureOptions, AlignedImages, AlignedRow } from "./lib/results/aligned_images.ts";
export { keypointProbes, type KeypointProbesOptions } from "./lib/methods/keypoint_probes.ts";
export type { KeypointProbeRow, KeypointProbes } from "./lib/results/keypoint_probes.ts";
export type { Refinement } from "./lib/probe/matching/match.ts";
export { type Keypoints, petFaces, type PetFacesOptions } from "./lib/data/pet_faces.ts";
export { photo } from "./lib/data/photo.ts";
export {
  Attribution,
  type AttributionFigureOptions,
  type AttributionTarget,
  type MapOptions,
} from "./lib/results/attribution.ts";
export { type Comparison } from "./lib/results/comparison.ts";
export {
  type Curve,
  type Faithfulness,
  type FaithfulnessFigureOptions,
  type FaithfulnessRow,
} from "./lib/results/faithfulness.ts";
export {
  type Occlusion,
  type OcclusionFigureOptions,
  type OcclusionRow,
  type Occlusions,
} from "./lib/results/occlusion.ts";
export type { ReceptiveFieldFigure } from "./lib/results/receptive_field.ts";
export { type Report, type ReportRow } from "./lib/results/report.ts";
export { type SanityCheck, type SanityRow } from "./lib/results/sanity_check.ts";
export { type MimeBundle } from "./lib/figure/cell.ts";
export { type Palette } from "./lib/figure/color.ts";
export { Figure, type Shown } from "./lib/figure/figure.ts";
export type { FigureSaveOptions } from "./lib/figure/save.ts";
export type { ThemeName } from "./lib/figure/theme.ts";
export { activations, type ActivationsOptions } from "./lib/methods/activations.ts";
export type {
  ActivationRow,
  Activations,
  ActivationsFigureOptions,
  ActivationsOfImages,
  LayerActivations,
  LayerOfImages,
} from "./lib/results/activations.ts";
export { codes, type CodesOptions } from "./lib/methods/codes.ts";
export { loadCodes, type LoadCodesOptions } from "./lib/methods/load_codes.ts";
export type { CodeRow, Codes, CodesFile } from "./lib/results/codes.ts";
export { compare } from "./lib/methods/compare.ts";
export { compareDirections, type CompareDirectionsOptions } from "./lib/methods/compare_directions.ts";
export { compareHumans, type CompareHumansOptions } from "./lib/methods/compare_humans.ts";
export type { AnswersGiven, HumansGiven } from "./lib/methods/shared/human_answers.ts";
export type { Taxonomy } from "./lib/methods/shared/taxonomy.ts";
export type { HumanComparison, HumanComparisonFigureOptions } from "./lib/results/human_comparison.ts";
export type { LearningCurve, LearningPoint } from "./lib/results/human_curves.ts";
export type {
  CategoryRow,
  ComparedImage,
  HumanGroup,
  NamedImage,
  PeopleAgreement,
  PersonAnswer,
  PersonRow,
} from "./lib/results/human_rows.ts";
export { compareModels, type CompareModelsOptions } from "./lib/methods/compare_models.ts";
export type { LayersOfTwo } from "./lib/methods/shared/compared_layers.ts";
export { deadFilters, type DeadFiltersOptions } from "./lib/methods/dead_filters.ts";
export { directions, type DirectionsOptions } from "./lib/methods/directions.ts";
export type {
  LayerSimilarity,
  ModelAgreement,
  ModelComparison,
  ModelComparisonFigureOptions,
  PairAnswer,
  PartedGroup,
  PartedImage,
} from "./lib/results/model_comparison.ts";
export type { Interval } from "./lib/embed/agreement.ts";
export type { PairAccuracy } from "./lib/results/pair_accuracy.ts";
export type { ErrorConsistency, McNemar } from "./lib/embed/paired.ts";
export type { DeadFilterLayer, DeadFilterRow, DeadFilters } from "./lib/results/dead_filters.ts";
export type { DirectionKind, DirectionRow, Directions } from "./lib/results/directions.ts";
export type {
  AgreementMeasure,
  AgreementRow,
  DirectionAgreement,
  DirectionsComparison,
  DirectionsComparisonFigureOptions,
} from "./lib/results/directions_comparison.ts";
export { deconvnet, type DeconvnetOptions } from "./lib/methods/deconvnet.ts";
export { type DeconvnetResult, type DeconvStep } from "./lib/results/deconvnet.ts";
export { type AttributionFunction, type AttributionOptions } from "./lib/methods/shared/attribution_method.ts";
export { humanTrial, type HumanTrialOptions } from "./lib/methods/human_trial.ts";
export type { ClassTree } from "./lib/methods/shared/class_tree.ts";
export type { HumanTrial } from "./lib/results/human_trial.ts";
export type { HumanAnswer } from "./lib/data/answers.ts";
export { imageAttributes, type ImageAttributesOptions } from "./lib/methods/image_attributes.ts";
export type { ImageAttributeRow, ImageAttributes } from "./lib/results/image_attributes.ts";
export type { MeasuredAttributes } from "./lib/data/attributes.ts";
export { performanceBy, type PerformanceByOptions } from "./lib/methods/performance_by.ts";
export type { Performance, PerformanceRow } from "./lib/results/performance.ts";
export type {
  AnsweredTwice,
  PerformanceComparison,
  PerformanceComparisonRow,
} from "./lib/results/performance_comparison.ts";
export type { AnsweredImage, SlicePicturesOptions } from "./lib/results/slice_pictures.ts";
export { worstSlices, type WorstSlicesOptions } from "./lib/methods/worst_slices.ts";
export type { SliceRow, WorstSlices } from "./lib/results/worst_slices.ts";
export type { Answered, AnswerTable } from "./lib/methods/shared/answers.ts";
export type { AttributesGiven } from "./lib/methods/shared/slices.ts";
export { embeddingGrid, type EmbeddingGridOptions } from "./lib/methods/embedding_grid.ts";
export type { EmbeddingGrid, GridRow } from "./lib/results/embedding_grid.ts";
export { evaluate, type EvaluateOptions } from "./lib/methods/evaluate.ts";
export type { Evaluation, EvaluationFigureOptions, EvaluationRow, WorstError } from "./lib/results/evaluation.ts";
export type { ClassedImage, ClassScore, Measure, Mistake } from "./lib/results/class_scores.ts";
export type { MappedImage, MappedNumber } from "./lib/results/map_scores.ts";
export type { LabelledImage, NumberedImage, OutputScore } from "./lib/results/value_scores.ts";
export type { Known, TruthOf } from "./lib/probe/truth.ts";
export { faithfulness, type FaithfulnessOptions, type MapToTest } from "./lib/methods/faithfulness.ts";
export { filters, type FiltersOptions } from "./lib/methods/filters.ts";
export type { FilterRow, Filters, FiltersFigureOptions, FilterSort } from "./lib/results/filters.ts";
export { gradCam, type GradCamOptions } from "./lib/methods/grad_cam.ts";
export { type CamVariant } from "./lib/probe/attribution/cam.ts";
export { type Quadrature } from "./lib/probe/attribution/quadrature.ts";
export { guidedBackprop, type GuidedBackpropOptions } from "./lib/methods/guided_backprop.ts";
export { help } from "./lib/methods/help.ts";
export type { Help, HelpEntry } from "./lib/results/help.ts";
export { inputXGradient, type InputXGradientOptions } from "./lib/methods/input_x_gradient.ts";
export { integratedGradients, type IntegratedGradientsOptions } from "./lib/methods/integrated_gradients.ts";
export { invert } from "./lib/methods/invert.ts";
export { type InversionPriors, type InvertOptions } from "./lib/methods/shared/invert_options.ts";
export type { Inversion, InversionRow, InvertedLayer } from "./lib/results/inversion.ts";
export { linearExplanation, type LinearExplanationOptions } from "./lib/methods/linear_explanation.ts";
export type { GrowthRow, LinearExplanation, LinearRow } from "./lib/results/linear_explanation.ts";
export { invariance, type InvarianceOptions } from "./lib/methods/invariance.ts";
export type {
  ImageInvarianceRow,
  Invariance,
  InvarianceFigureOptions,
  InvarianceRow,
} from "./lib/results/invariance.ts";
export type { TransformFunction, TransformName } from "./lib/probe/transforms.ts";
export { type DigitsOptions, lenet5, softmaxRegression } from "./lib/model/architectures/digits.ts";
export { fool, type FoolOptions } from "./lib/methods/fool.ts";
export type { FoolMethod } from "./lib/methods/shared/fooling.ts";
export type { PatternMethod } from "./lib/methods/shared/patterns.ts";
export type { Encoding } from "./lib/probe/attack/evolution.ts";
export type { Fooled, FooledAnswer, FooledImages, Likeliest, SurvivalRow } from "./lib/results/fooled.ts";
export { robustness, type RobustnessOptions } from "./lib/methods/robustness.ts";
export { corruptionRobustness, type CorruptionRobustnessOptions } from "./lib/methods/corruption_robustness.ts";
export type { CorruptionFunction, CorruptionName } from "./lib/probe/corruptions.ts";
export { transferability, type TransferabilityOptions } from "./lib/methods/transferability.ts";
export { universalPerturbation, type UniversalPerturbationOptions } from "./lib/methods/universal_perturbation.ts";
export type { AttackedOptions } from "./lib/methods/shared/attacked.ts";
export type { AttackMethod, Norm } from "./lib/probe/attack/attack.ts";
export type { Robustness, RobustnessRow } from "./lib/results/robustness.ts";
export type {
  CleanRow,
  CorruptedImageRow,
  CorruptionErrorRow,
  CorruptionRobustness,
  CorruptionRow,
} from "./lib/results/corruption_robustness.ts";
export type { Transferability, TransferRow } from "./lib/results/transferability.ts";
export type { FoolingRate, UniversalPerturbation, UniversalRow } from "./lib/results/universal_perturbation.ts";
export { linearProbes, type LinearProbesOptions } from "./lib/methods/linear_probes.ts";
export type { LinearProbes, ProbeRow } from "./lib/results/linear_probes.ts";
export { neighbors, type NeighborsOptions } from "./lib/methods/neighbors.ts";
export type { NearestNeighbors, NeighborRow, NeighborsFigureOptions } from "./lib/results/neighbors.ts";
export { occlusion, type OcclusionOptions } from "./lib/methods/occlusion.ts";
export { partCorrespondence, type PartCorrespondenceOptions } from "./lib/methods/part_correspondence.ts";
export type { PartCorrespondence, PartRow } from "./lib/results/part_correspondence.ts";
export { pca, type PcaOptions } from "./lib/methods/pca.ts";
export type { PcaFigureOptions, PrincipalComponents } from "./lib/results/principal_components.ts";
export { predict, type PredictOptions } from "./lib/methods/predict.ts";
export type { OutputPrediction, PredictRow } from "./lib/results/output_prediction.ts";
export { type Prediction } from "./lib/results/prediction.ts";
export type { PredictionOrder, Predictions, PredictionsFigureOptions } from "./lib/results/predictions.ts";
export { type Methods, report, type ReportOptions } from "./lib/methods/report.ts";
export { receptiveFieldFigure, type ReceptiveFieldFigureOptions } from "./lib/methods/receptive_field_figure.ts";
export { saliency, type SaliencyOptions } from "./lib/methods/saliency.ts";
export { type AttributionMethod, sanityCheck, type SanityCheckOptions } from "./lib/methods/sanity_check.ts";
export { smoothGrad, type SmoothGradOptions } from "./lib/methods/smooth_grad.ts";
export { checkInputs, type CheckInputsOptions } from "./lib/methods/check_inputs.ts";
export type { InputCheck, InputCheckRow, InputFinding, SuggestedPreprocess } from "./lib/results/input_check.ts";
export { strideDiagnosis, type StrideDiagnosisOptions } from "./lib/methods/stride_diagnosis.ts";
export type { StrideDiagnosis, StrideRow, StrideSpectra } from "./lib/results/stride_diagnosis.ts";
export { train, type TrainOptions } from "./lib/methods/train.ts";
export { type History } from "./lib/results/history.ts";
export type { YRange } from "./lib/results/axes.ts";
export type { HistoryFigureOptions, HistoryView } from "./lib/results/training_figures.ts";
export type {
  Ending,
  EpochRow,
  HistoryData,
  LayerRow,
  Snapshot,
  TrainingStart,
  TrainingSummary,
} from "./lib/data/history.ts";
export type { AdversarialTraining } from "./lib/probe/training/adversarial.ts";
export type { Augment } from "./lib/probe/training/augment.ts";
export type { TrainingSpec } from "./lib/probe/training/options.ts";
export type { AdamOptions, Optimizer, SgdOptions } from "./lib/probe/training/optimizer.ts";
export type {
  ConstantSchedule,
  CosineSchedule,
  PlateauSchedule,
  Schedule,
  ScheduleOf,
  StepSchedule,
} from "./lib/probe/training/schedule.ts";
export { type PlaceOptions, tsne, type TsneOptions } from "./lib/methods/tsne.ts";
export type { Embedding, EmbeddingQuality, EmbeddingRow, PlacedPoints, PlacedRow } from "./lib/results/embedding.ts";
export type { PointsFigureOptions } from "./lib/results/points.ts";
export type { PointArray, Points, PointsLike } from "./lib/embed/points.ts";
export type { Neighbors, WorkerOptions } from "./lib/embed/neighbors.ts";
export type { Components } from "./lib/embed/tsne/descent.ts";
export type { Engine } from "./lib/embed/tsne/engine.ts";
export type { OnIteration } from "./lib/embed/tsne/tsne.ts";
export {
  googlenet,
  mobilenetV2,
  resnet50,
  squeezenet,
  type SqueezenetOptions,
  type VariantOptions,
} from "./lib/model/architectures/branched.ts";
export {
  alexnet,
  type AlexnetOptions,
  catsVsDogsConvnet,
  type CatsVsDogsOptions,
  type ClassifierOptions,
  tinyVgg,
  type TinyVggOptions,
  vgg16,
  vgg19,
} from "./lib/model/architectures/builders.ts";
export type { BuildOptions } from "./lib/model/architectures/stack.ts";
export type { Layer, LayerConstructor, LayerReplacements } from "./lib/model/formats/custom.ts";
export type { LayerFunction } from "./lib/runtime/layers/operations.ts";
export { DownloadError } from "./lib/data/download.ts";
export { ModelError } from "./lib/model/formats/format.ts";
export { loadModel, type LoadModelOptions } from "./lib/model/load.ts";
export { type LayerInfo, type Model } from "./lib/model/model.ts";
export type { ModelOutput, OutputKind, OutputOptions, OutputsWanted, OutputWanted } from "./lib/model/output.ts";
export type { Preprocess, PreprocessMode, PreprocessWanted } from "./lib/model/preprocess.ts";
export type { ModelView, NetworkInput } from "./lib/model/view.ts";
export type { AxisField, ReceptiveField } from "./lib/data/records.ts";
export { smallZfnet, type SmallZfnetOptions, zfnet, zfnetRecipe } from "./lib/model/architectures/zfnet.ts";
export type { NamedDirections } from "./lib/methods/shared/layer_units.ts";
export { topPatches, type TopPatchesOptions } from "./lib/methods/top_patches.ts";
export type { PatchQuery, PatchRow, TopPatches } from "./lib/results/top_patches.ts";
export type { PatchesFigureOptions, UnitName, UnitsFigureOptions } from "./lib/results/patch_figures.ts";
export type { PixelRegularizers } from "./lib/probe/optimise/pixel_regularizers.ts";
export type { Transformations } from "./lib/probe/optimise/transformations.ts";
export { featureVisualization, type FeatureVisualizationOptions } from "./lib/methods/feature_visualization.ts";
export { plate, type PlateOptions } from "./lib/methods/plate.ts";
export type { Projection } from "./lib/methods/shared/projections.ts";
export type {
  FeatureVisualization,
  FeatureVisualizations,
  VisualizationRow,
} from "./lib/results/feature_visualization.ts";
export type { Plate, PlateFigureOptions, PlateLayout } from "./lib/results/plate.ts";
export { featureEvolution, type FeatureEvolutionOptions } from "./lib/methods/feature_evolution.ts";
export { featureHierarchy, type FeatureHierarchyOptions } from "./lib/methods/feature_hierarchy.ts";
export {
  type EvolutionFigureOptions,
  type EvolutionRow,
  FeatureEvolution,
  type SettledLayer,
  type SettlingRow,
} from "./lib/results/feature_evolution.ts";
export type {
  FeatureHierarchy,
  HierarchyFigureOptions,
  HierarchyLayer,
  HierarchyPatch,
  HierarchyRow,
} from "./lib/results/feature_hierarchy.ts";
export type { NamedUnit, UnitKind } from "./lib/data/records.ts";
export { CheckpointError } from "./lib/probe/training/checkpoint.ts";
export { type Comparable, type MapMethod, type MethodOptions } from "./lib/probe/attribution/sanity.ts";
export { type OnBadImage, type RunOptions, type WalkOptions } from "./lib/options.ts";
export { type Collection, type CollectionFigureOptions, type Result, type Savable } from "./lib/results/result.ts";
export { type DataFrame } from "./lib/data/table.ts";
export { type Baseline } from "./lib/probe/attribution/baseline.ts";
export type { OutputNumber, Place } from "./lib/probe/output_target.ts";
export {
  contrast,
  type Direction,
  type OfOutput,
  type Target,
  type Unit,
  type WeightedSum,
} from "./lib/probe/target.ts";
export { TrainingError } from "./lib/probe/training/train.ts";
export {
  BackendError,
  type BackendInfo,
  type BackendName,
  type BackendReport,
  doctor,
  type DoctorReport,
  useBackend,
} from "./lib/runtime/backend.ts";
export { MemoryError } from "./lib/memory.ts";
export type { LayersModel } from "./lib/runtime/tensorflow_types.ts";
