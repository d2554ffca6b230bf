using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Callbacks;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Distributed;
using FineTuneService.Training.Generation;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training;

/// <summary>What a run consists of; <c>TrainingRun</c> puts it together.</summary>
public sealed record TrainerParts(
    PretrainedModel Model,
    TrainingTask Task,
    TrainingArguments Arguments,
    StepPlan Plan,
    Optimizer Optimizer,
    Checkpoint Checkpoint,
    CheckpointStore Store,
    IReadOnlyList<TrainerCallback> Callbacks,
    SampleTexts? Samples,
    Device Device,
    Ranks Ranks,
    Action<TrainingEvent> Emit,
    TimeProvider Clock,
    RunFolder Folder,
    EvaluationBatches EvaluationBatches,
    Heartbeat Heartbeat,
    MemoryForecast Forecast,
    IReadOnlyList<Probe> Probes);
