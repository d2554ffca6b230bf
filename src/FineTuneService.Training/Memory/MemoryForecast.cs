using FineTuneService.Contracts;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Memory;

/// <summary>The most memory that a run holds at a moment of its life, without what the process needs for itself.</summary>
/// <param name="Name"><c>load</c>, <c>training_step</c>, <c>optimizer_step</c>, <c>evaluation</c> or <c>checkpoint</c>.</param>
public sealed record MemoryMoment(string Name, long Bytes);

/// <summary>
/// What a run will need of memory, in bytes, told from its specification and the shape of its model: nothing is read or allocated for it. It is the memory of the tensors, as this program holds them on a CPU;
/// on a GPU, whose kernels keep less, it is an upper bound.
/// </summary>
public sealed record MemoryForecast
{
    /// <summary>What .NET, libtorch, a tokenizer and a dataset need beside the tensors.</summary>
    public const long Runtime = 70L << 20;

    /// <summary>Share of the tensors' memory that lies empty between them, as blocks of all sizes come and go: 5 to 35 % with tcmalloc, less where all weights are trained.</summary>
    private const double Holes = 0.15;

    /// <summary>Weights of the model, an adapter's included.</summary>
    public required long Parameters { get; init; }

    /// <summary>Weights that are trained.</summary>
    public required long TrainableParameters { get; init; }

    /// <summary>Weights that stay as they are, in the type that the model computes in, or in four bits.</summary>
    public required long FrozenWeightBytes { get; init; }

    /// <summary>Weights that are trained, in fp32; with <c>mixed_precision</c> and method <c>full</c> also what is frozen.</summary>
    public required long TrainedWeightBytes { get; init; }

    /// <summary>Their copies in the shorter type of <c>mixed_precision</c>.</summary>
    public required long WeightCopyBytes { get; init; }

    public required long GradientBytes { get; init; }

    /// <summary>What the optimizer remembers from step to step.</summary>
    public required long OptimizerStateBytes { get; init; }

    /// <summary>The average of <c>ema_decay</c>.</summary>
    public required long WeightAverageBytes { get; init; }

    /// <summary>The frozen copy of the base that <c>kl_to_base_weight</c> compares with, where no adapter can be switched off.</summary>
    public required long BaseCopyBytes { get; init; }

    /// <summary>What is kept of the forward pass for the gradients, until the last hidden states.</summary>
    public required long ActivationBytes { get; init; }

    /// <summary>What logits and loss add to that.</summary>
    public required long LogitBytes { get; init; }

    /// <summary>What the largest moment needs besides: results on the way, matrices that kernels have packed, and the second model that proves a checkpoint.</summary>
    public long TemporaryBytes => Math.Max(0, TensorBytes - FrozenWeightBytes - TrainedWeightBytes - WeightCopyBytes - OptimizerStateBytes - WeightAverageBytes - BaseCopyBytes - Largest.Name switch
    {
        MemoryForecaster.TrainingStep => ActivationBytes + LogitBytes,
        MemoryForecaster.OptimizerStep => GradientBytes,
        _ => 0,
    });

    /// <summary>What the trainer needs beside the tensors: the runtime, a tokenizer, and what lies empty between the tensors.</summary>
    public long ProcessBytes => ProcessFor(TensorBytes);

    public required IReadOnlyList<MemoryMoment> Moments { get; init; }

    /// <summary>The moment that decides.</summary>
    public MemoryMoment Largest => Moments.MaxBy(moment => moment.Bytes)!;

    /// <summary>The most that tensors hold.</summary>
    public long TensorBytes => Largest.Bytes;

    /// <summary>The most that the process needs.</summary>
    public long PeakBytes => TensorBytes + ProcessBytes;

    internal static long ProcessFor(long tensors) => Runtime + (long)(Holes * tensors);

    /// <param name="spec">Resolved.</param>
    /// <param name="config">Of the base model.</param>
    /// <exception cref="FaultException">When the model cannot be built so, or a pattern matches no layer.</exception>
    public static MemoryForecast Of(JobSpec spec, PretrainedConfig config, Workload workload) => new MemoryForecaster(spec, config, workload).Forecast();
}
