using System.Globalization;
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

    /// <summary>A causal language model's continuation without sampling.</summary>
    public GoldenGreedy? Greedy { get; init; }
    public GoldenTrajectory? Train { get; init; }

    [JsonPropertyName("train_accum4")]
    public GoldenTrajectory? TrainAccumulated { get; init; }

    [JsonIgnore]
    public ModelHead Head => Architecture switch
    {
        _ when Architecture.EndsWith("ForSequenceClassification", StringComparison.Ordinal) => ModelHead.SequenceClassification,
        _ when Architecture.EndsWith("ForTokenClassification", StringComparison.Ordinal) => ModelHead.TokenClassification,
        _ when Architecture.EndsWith("ForMaskedLM", StringComparison.Ordinal) => ModelHead.MaskedLm,
        _ when Architecture.EndsWith("ForPreTraining", StringComparison.Ordinal) => ModelHead.ReplacedTokenDetection,
        _ => ModelHead.CausalLm,
    };

    /// <exception cref="FaultException">When the file is missing or of another form.</exception>
    public static GoldenCase Read(string folder) => Parse<GoldenCase>(folder);

    /// <inheritdoc cref="Read"/>
    public static T Parse<T>(string folder)
    {
        var path = Path.Combine(folder, "golden.json");
        if (!File.Exists(path))
            throw new FaultException(path, null, "There is no golden.json in this folder.", "Give a folder with config.json, model.safetensors and golden.json.");
        try
        {
            return JsonSerializer.Deserialize<T>(File.ReadAllBytes(path), Json)!;
        }
        catch (JsonException error)
        {
            throw new FaultException(path, null, $"golden.json cannot be read: {error.Message}", "Make it with the reference again.");
        }
    }
}

/// <summary>Token ids and mask <c>[batch, seq]</c>; labels as head and problem type have them.</summary>
public sealed record GoldenBatch(long[][] InputIds, long[][] AttentionMask, JsonElement Labels)
{
    public Batch ToBatch(ModelHead head, ProblemType problemType)
    {
        var rows = InputIds.Length;
        if (head != ModelHead.SequenceClassification)
        {
            var tokens = Labels.Deserialize<long[][]>()!;
            // A causal model's first token has no logits that predict it.
            var targets = tokens.Sum(row => row.Skip(head == ModelHead.CausalLm ? 1 : 0).Count(label => label != LanguageModelLoss.Ignored));
            return ToBatch(Matrix(tokens), targets);
        }
        var labels = problemType switch
        {
            ProblemType.SingleLabelClassification => tensor(Labels.Deserialize<long[]>()!),
            ProblemType.MultiLabelClassification => tensor(Labels.Deserialize<float[][]>()!.SelectMany(row => row).ToArray()).reshape(rows, -1),
            _ => tensor(Labels.Deserialize<float[]>()!),
        };
        return ToBatch(labels, ClassificationLoss.Targets(problemType, rows, labels.ndim == 2 ? (int)labels.size(1) : 1));
    }

    private Batch ToBatch(Tensor labels, double targets) =>
        new(new ModelInputs(Matrix(InputIds), Matrix(AttentionMask)), labels, InputIds.Length, (int)AttentionMask.Sum(row => row.Sum()), targets);

    private static Tensor Matrix(long[][] rows) => tensor(rows.SelectMany(row => row).ToArray()).reshape(rows.Length, -1);
}

/// <summary>The logits of batch 0: all of them, or some rows of the last dimension by their index (<c>"i,j"</c>).</summary>
public sealed record GoldenForward(double Loss, JsonElement? Logits, IReadOnlyDictionary<string, float[]>? LogitsRows)
{
    /// <summary>The largest absolute difference.</summary>
    public double Distance(Tensor logits)
    {
        if (LogitsRows is not null)
            return LogitsRows.Max(row => (logits[row.Key.Split(',').Select(index => TensorIndex.Single(long.Parse(index, CultureInfo.InvariantCulture))).ToArray()] - tensor(row.Value)).abs().max().ToDouble());
        return (logits - tensor(Flatten(Logits!.Value).ToArray()).reshape(logits.shape)).abs().max().ToDouble();
    }

    private static IEnumerable<float> Flatten(JsonElement values) =>
        values.ValueKind == JsonValueKind.Array ? values.EnumerateArray().SelectMany(Flatten) : [values.GetSingle()];
}

/// <param name="Ids">The prompt and the tokens that follow it.</param>
public sealed record GoldenGreedy(long[] Prompt, int MaxNewTokens, long[] Ids);

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

    /// <summary>The loss of an accumulated step is the mean over all its labels, as in HF <c>Trainer</c>; otherwise the mean of its micro-batches' means.</summary>
    public bool TokenNormalized { get; init; }
    public required IReadOnlyList<string> NoDecay { get; init; }
    public required double[] Loss { get; init; }
    public required double[] GradNorm { get; init; }
    public required double[] LrAtStep { get; init; }
    public required IReadOnlyDictionary<string, float[]> FinalSlices { get; init; }

    [JsonPropertyName("final_l2")]
    public required IReadOnlyDictionary<string, double> FinalL2 { get; init; }
}
