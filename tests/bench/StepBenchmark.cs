using System.Diagnostics;
using System.Globalization;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Bench;

internal sealed record Shape(int Layers, int Hidden, int Heads, int Batch, int Sequence)
{
    /// <summary>Floating-point operations of one step: matrix products of forward (2 per multiply-add) and twice as many backward.</summary>
    public double Operations => 3.0 * Batch * Sequence * Layers * (2.0 * 12 * Hidden * Hidden + 4.0 * Sequence * Hidden);
}

/// <summary>One training step of a DistilBERT classifier with random weights: where the time goes, against this process's own matrix product.</summary>
internal static class StepBenchmark
{
    private const int WarmUp = 2;

    public static void Run(string name, Shape shape, int steps)
    {
        var gemm = GemmOperationsPerSecond();
        using var model = CreateModel(shape);
        using var optimizer = new AdamW(model, weightDecay: 0);
        using var ids = randint(1, 30_000, [shape.Batch, shape.Sequence], dtype: ScalarType.Int64);
        using var labels = randint(0, 2, [shape.Batch], dtype: ScalarType.Int64);
        var batch = new Batch(new ModelInputs(ids), labels, shape.Batch, shape.Batch * shape.Sequence, shape.Batch);
        TimeSpan forward = default, backward = default, update = default;
        for (var step = -WarmUp; step < steps; step++)
        {
            using var scope = NewDisposeScope();
            var clock = Stopwatch.StartNew();
            var loss = ClassificationLoss.Sum(ProblemType.SingleLabelClassification, model.call(batch.Inputs), batch.Labels) / batch.Targets;
            var atForward = clock.Elapsed;
            loss.backward();
            var atBackward = clock.Elapsed;
            optimizer.Step(2e-5, maxGradNorm: 1);
            if (step >= 0)
                (forward, backward, update) = (forward + atForward, backward + (atBackward - atForward), update + (clock.Elapsed - atBackward));
        }
        var total = (forward + backward + update) / steps;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{name}, batch {shape.Batch} x {shape.Sequence}, {get_num_threads()} threads: step {total.TotalMilliseconds:F1} ms = forward {forward.TotalMilliseconds / steps:F1} + backward {backward.TotalMilliseconds / steps:F1} + optimizer {update.TotalMilliseconds / steps:F1} ({update / steps / total:P1})"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"  {shape.Batch / total.TotalSeconds:F1} samples/s; model {shape.Operations / total.TotalSeconds / 1e9:F1} GFLOP/s over sgemm {gemm / 1e9:F1} GFLOP/s: ratio {shape.Operations / total.TotalSeconds / gemm:F2}; peak memory {PeakMemory()}"));
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

    private static double GemmOperationsPerSecond()
    {
        const int Size = 2048, Repeats = 5;
        using var scope = NewDisposeScope();
        Tensor a = randn(Size, Size), b = randn(Size, Size);
        for (var warm = 0; warm < 3; warm++)
            a.matmul(b).Dispose();
        var clock = Stopwatch.StartNew();
        for (var repeat = 0; repeat < Repeats; repeat++)
            a.matmul(b).Dispose();
        return Repeats * 2.0 * Size * Size * Size / clock.Elapsed.TotalSeconds;
    }

    /// <summary>VmHWM: the most memory that was ever resident.</summary>
    private static string PeakMemory() => File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM", StringComparison.Ordinal)).Split(':')[1].Trim();
}
