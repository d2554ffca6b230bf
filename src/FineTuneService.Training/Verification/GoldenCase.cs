using System.Text.Json;
using System.Text.Json.Serialization;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training.Verification;

/// <summary>The content of a <c>golden.json</c>: what the reference (PyTorch and transformers) computed for a model folder.</summary>
public sealed record GoldenCase
{
    private static readonly JsonSerializerOptions Json = new(SnakeCaseJson.Options) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip };

    public required string Case { get; init; }
    public required string Architecture { get; init; }
    public required IReadOnlyList<GoldenBatch> Batches { get; init; }
    public required GoldenForward Forward { get; init; }
    public required IReadOnlyDictionary<string, GoldenGradient> Gradients { get; init; }
    public GoldenTrajectory? Train { get; init; }

    [JsonPropertyName("train_accum4")]
    public GoldenTrajectory? TrainAccumulated { get; init; }

    /// <exception cref="FaultException">When the file is missing or of another form.</exception>
    public static GoldenCase Read(string folder)
    {
        var path = Path.Combine(folder, "golden.json");
        if (!File.Exists(path))
            throw new FaultException(path, null, "There is no golden.json in this folder.", "Give a folder with config.json, model.safetensors and golden.json.");
        try
        {
            return JsonSerializer.Deserialize<GoldenCase>(File.ReadAllBytes(path), Json)!;
        }
        catch (JsonException error)
        {
            throw new FaultException(path, null, $"golden.json cannot be read: {error.Message}", "Make it with the reference again.");
        }
    }
}

/// <summary>Token ids and mask <c>[batch, seq]</c>; labels as the problem type has them.</summary>
public sealed record GoldenBatch(long[][] InputIds, long[][] AttentionMask, JsonElement Labels)
{
    public Batch ToBatch(ProblemType problemType)
    {
        var rows = InputIds.Length;
        var labels = problemType switch
        {
            ProblemType.SingleLabelClassification => tensor(Labels.Deserialize<long[]>()!),
            ProblemType.MultiLabelClassification => tensor(Labels.Deserialize<float[][]>()!.SelectMany(row => row).ToArray()).reshape(rows, -1),
            _ => tensor(Labels.Deserialize<float[]>()!),
        };
        var targets = ClassificationLoss.Targets(problemType, rows, labels.ndim == 2 ? (int)labels.size(1) : 1);
        return new(new ModelInputs(Matrix(InputIds), Matrix(AttentionMask)), labels, rows, (int)AttentionMask.Sum(row => row.Sum()), targets);
    }

    private static Tensor Matrix(long[][] rows) => tensor(rows.SelectMany(row => row).ToArray()).reshape(rows.Length, -1);
}

public sealed record GoldenForward(double Loss, float[][]? Logits);

public sealed record GoldenGradient([property: JsonPropertyName("l2")] double L2, float[] Head);

public sealed record GoldenTrajectory
{
    public required double Lr { get; init; }
    public required double[] Betas { get; init; }
    public required double Eps { get; init; }
    public required double WeightDecay { get; init; }
    public required int WarmupSteps { get; init; }
    public required int Steps { get; init; }
    public required double MaxGradNorm { get; init; }
    public required int GradientAccumulationSteps { get; init; }
    public required IReadOnlyList<string> NoDecay { get; init; }
    public required double[] Loss { get; init; }
    public required double[] GradNorm { get; init; }
    public required double[] LrAtStep { get; init; }
    public required IReadOnlyDictionary<string, float[]> FinalSlices { get; init; }

    [JsonPropertyName("final_l2")]
    public required IReadOnlyDictionary<string, double> FinalL2 { get; init; }
}
