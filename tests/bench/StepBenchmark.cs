using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Bench;

/// <summary>One training step, and where its time goes, beside the same by PyTorch and transformers. Each is measured in a process of its own, begun as the trainer's is.</summary>
internal static class StepBenchmark
{
    public const string Child = "step";

    private const string Script = "step.py";

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>What the child process prints.</summary>
    public static void Measure(string shape, string precision) =>
        Console.WriteLine(JsonSerializer.Serialize(StepTime.Measure(shape == Shape.Small.Name ? Shape.Small : Shape.DistilBert, Enum.Parse<MixedPrecision>(precision)), Json));

    public static void Run(Peer? peer)
    {
        Compare(Shape.DistilBert, peer, bar: 1.0, barOfBf16: 1.5);
        Compare(Shape.Small, peer, bar: 1.1, barOfBf16: null);
    }

    private static void Compare(Shape shape, Peer? peer, double bar, double? barOfBf16)
    {
        var name = $"{shape.Name}, {shape.Batch} x {shape.Sequence}";
        var theirs = peer is null ? null : Theirs(peer, shape, MixedPrecision.No);
        var ours = Ours(shape, MixedPrecision.No);
        Print($"{name}, fp32: step", ours.Total, theirs?.Total, "ms", bar, Parts(ours));
        Print($"{name}, fp32: resident at the peak", ours.PeakBytes / 1e6, theirs?.PeakBytes / 1e6, "MB", 1 / 0.8, "");
        Share(name, "fp32", shape, ours, shape == Shape.DistilBert ? 0.90 : null);
        if (barOfBf16 is null)
            return;
        var shadowed = Ours(shape, MixedPrecision.Bf16);
        Print($"{name}, bf16 against their fp32: step", shadowed.Total, theirs?.Total, "ms", barOfBf16, Parts(shadowed));
        if (peer is not null)
            Print($"{name}, bf16 against their bf16: step", shadowed.Total, Theirs(peer, shape, MixedPrecision.Bf16).Total, "ms", null, "");
        Share(name, "bf16", shape, shadowed, 0.60);
    }

    private static StepTime Ours(Shape shape, MixedPrecision precision) =>
        Read(ChildProcess.Run(new(Environment.ProcessPath!, [Child, shape.Name, precision.ToString()])).Said);

    private static StepTime Theirs(Peer peer, Shape shape, MixedPrecision precision)
    {
        var folder = Directory.CreateTempSubdirectory("finetune-step-").FullName;
        File.WriteAllText(Path.Combine(folder, "shape.json"), JsonSerializer.Serialize(new { shape.Layers, shape.Hidden, shape.Heads, shape.Batch, shape.Sequence, shape.Steps, Precision = precision.ToString() }, Json));
        try
        {
            return Read(peer.Run(Script, folder).Said);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static StepTime Read(string said) => JsonSerializer.Deserialize<StepTime>(said.Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1], Json)!;

    private static string Parts(StepTime time) => string.Create(CultureInfo.InvariantCulture, $" = forward {time.Forward:F1} + backward {time.Backward:F1} + optimizer {time.Optimizer:F1}");

    private static void Print(string name, double ours, double? theirs, string unit, double? bar, string parts) => Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"{name}: ours {ours:F1} {unit}{parts}, theirs {(theirs is { } figure ? $"{figure:F1} {unit}, ratio {figure / ours:F2}" : "not measured, ratio -")}{(bar is null ? "" : $", bar {bar:F2}")}"));

    private static void Share(string name, string precision, Shape shape, StepTime time, double? bar)
    {
        var speed = shape.Operations / time.Total * 1e3;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{name}, {precision}: {shape.Batch / time.Total * 1e3:F1} samples/s; model {speed / 1e9:F1} GFLOP/s over this process's product {time.Gemm / 1e9:F1}, ratio {speed / time.Gemm:F2}{(bar is null ? "" : $", bar {bar:F2}")}; optimizer {time.Optimizer / time.Total:P1} of the step, bar {0.02:P0}"));
    }
}
