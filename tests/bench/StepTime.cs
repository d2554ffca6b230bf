using System.Diagnostics;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Bench;

internal sealed record Shape(string Name, int Layers, int Hidden, int Heads, int Batch, int Sequence, int Steps)
{
    public static Shape DistilBert { get; } = new("DistilBERT shape", Layers: 6, Hidden: 768, Heads: 12, Batch: 16, Sequence: 128, Steps: 8);

    public static Shape Small { get; } = new("2 layers x 128", Layers: 2, Hidden: 128, Heads: 2, Batch: 32, Sequence: 64, Steps: 100);

    /// <summary>
    /// Floating-point operations that one step takes: matrix products of forward (2 per multiply-add) and twice as many backward. Of the last layer, whose first tokens alone are judged, the others need no
    /// more than their keys and values.
    /// </summary>
    public double Operations => 3.0 * Batch * Sequence * ((Layers - 1) * (2.0 * 12 * Hidden * Hidden + 4.0 * Sequence * Hidden) + 2.0 * 2 * Hidden * Hidden);
}

/// <summary>Means of some training steps of a DistilBERT classifier with random weights, in milliseconds, and what the process had besides.</summary>
/// <param name="Gemm">Operations a second of this process's own product of two large matrices in the same precision.</param>
/// <param name="PeakBytes">The most memory that was resident by the end of the steps: VmHWM of proc(5).</param>
internal sealed record StepTime(double Forward, double Backward, double Optimizer, double Gemm, long PeakBytes)
{
    private const int WarmUp = 2;

    public double Total => Forward + Backward + Optimizer;

    public static StepTime Measure(Shape shape, MixedPrecision precision)
    {
        using var model = CreateModel(shape);
        if (precision == MixedPrecision.Bf16)
            model.ComputeIn(ScalarType.BFloat16);
        using var optimizer = Training.Optimization.Optimizer.Create(model, new() { WeightDecay = 0.01 });
        using var ids = randint(1, 30_000, [shape.Batch, shape.Sequence], dtype: ScalarType.Int64);
        using var labels = randint(0, 2, [shape.Batch], dtype: ScalarType.Int64);
        var batch = new Batch(new ModelInputs(ids), labels, shape.Batch, shape.Batch * shape.Sequence, shape.Batch);
        TimeSpan forward = default, backward = default, update = default;
        for (var step = -WarmUp; step < shape.Steps; step++)
        {
            using var scope = NewDisposeScope();
            var clock = Stopwatch.StartNew();
            var loss = ClassificationLoss.Sum(ProblemType.SingleLabelClassification, model.call(batch.Inputs), batch.Labels) / batch.Targets;
            var atForward = clock.Elapsed;
            loss.backward();
            optimizer.Collect();
            var atBackward = clock.Elapsed;
            optimizer.Step(2e-5, maxGradNorm: 1);
            if (step >= 0)
                (forward, backward, update) = (forward + atForward, backward + (atBackward - atForward), update + (clock.Elapsed - atBackward));
        }
        using var process = Process.GetCurrentProcess();
        var peak = process.PeakWorkingSet64;
        return new(forward.TotalMilliseconds / shape.Steps, backward.TotalMilliseconds / shape.Steps, update.TotalMilliseconds / shape.Steps, GemmOperationsPerSecond(precision), peak);
    }

    private static PretrainedModel CreateModel(Shape shape)
    {
        var config = new DistilBertConfig
        {
            ModelType = "distilbert",
            VocabSize = 30_522,
            Dim = shape.Hidden,
            HiddenDim = 4 * shape.Hidden,
            NLayers = shape.Layers,
            NHeads = shape.Heads,
            MaxPositionEmbeddings = 512,
            Dropout = 0,
            AttentionDropout = 0,
            SeqClassifDropout = 0,
        };
        var model = config.Create(ModelHead.SequenceClassification);
        using var generator = new Generator(1);
        model.InitializeWeights(model.state_dict().Keys.ToHashSet(), generator);
        model.train();
        return model;
    }

    private static double GemmOperationsPerSecond(MixedPrecision precision)
    {
        const int Size = 2048, WarmUps = 3, Repeats = 24;
        using var scope = NewDisposeScope();
        var type = precision == MixedPrecision.Bf16 ? ScalarType.BFloat16 : ScalarType.Float32;
        Tensor a = randn(Size, Size, dtype: type), b = randn(Size, Size, dtype: type);
        for (var warm = 0; warm < WarmUps; warm++)
            a.matmul(b).Dispose();
        var clock = Stopwatch.StartNew();
        for (var repeat = 0; repeat < Repeats; repeat++)
            a.matmul(b).Dispose();
        return Repeats * 2.0 * Size * Size * Size / clock.Elapsed.TotalSeconds;
    }
}
