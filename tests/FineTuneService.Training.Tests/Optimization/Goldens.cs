using System.Text.Json.Nodes;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tests.Data;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Optimization;

/// <summary>Numbers of PyTorch and transformers: Fixtures/optimization.</summary>
internal static class Goldens
{
    public static JsonObject Read() => JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Fixtures", "optimization", "golden.json")))!.AsObject();

    public static double[] Numbers(this JsonNode? node) => [.. node!.AsArray().Select(number => number!.GetValue<double>())];

    public static Tensor Start(double phase, params long[] shape) => Formula(shape, i => Math.Cos(0.7 * i + phase));

    public static Tensor Gradient(int step, double phase, params long[] shape) => Formula(shape, i => 0.1 * Math.Sin(1.3 * i + 0.37 * step * step + phase));

    /// <summary>fp32, by a formula of the index that the reference computes too.</summary>
    public static Tensor Formula(long[] shape, Func<int, double> at) =>
        tensor(Enumerable.Range(0, (int)shape.Aggregate(1L, (product, size) => product * size)).Select(i => (float)at(i)).ToArray()).reshape(shape);
}

/// <summary>A matrix and a vector, to be changed by an optimizer.</summary>
internal sealed class TwoWeights : PretrainedModel
{
    public readonly Parameter matrix, vector;

    public TwoWeights(params long[] shape) : base(PretrainedConfig.Read(LanguageFixtures.TinyLlama))
    {
        (matrix, vector) = (new(Goldens.Start(0, shape)), new(Goldens.Start(0.5, 5)));
        RegisterComponents();
    }

    public override string BaseModelPrefix => "model";

    public override Tensor forward(ModelInputs inputs) => throw new NotSupportedException();

    public void SetGradients(int step)
    {
        matrix.grad = Goldens.Gradient(step, 0, matrix.shape).to(matrix.dtype);
        vector.grad = Goldens.Gradient(step, 0.5, 5).to(vector.dtype);
    }

    public double[] Weights() => [.. matrix.flatten().to(ScalarType.Float64).data<double>(), .. vector.to(ScalarType.Float64).data<double>()];
}
