using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Api.OpenAi;

/// <summary>The body of <c>POST /v1/fine_tuning/jobs</c>.</summary>
public sealed record CreateFineTuningJobRequest
{
    /// <summary>The base model: one of <c>GET /v1/models</c>, an id of the Hugging Face hub, or what an earlier job has made.</summary>
    [Length(1, 512)]
    public required string Model { get; init; }

    /// <summary>A file's id.</summary>
    [Length(1, 128)]
    public required string TrainingFile { get; init; }

    /// <summary>A file's id. Absent: every row is trained on, and nothing is evaluated.</summary>
    [Length(1, 128)]
    public string? ValidationFile { get; init; }

    /// <summary>Becomes part of the model's name.</summary>
    [Length(1, 64)]
    public string? Suffix { get; init; }

    /// <summary>The same seed and settings give the same model. Absent: drawn, and told.</summary>
    [Range(0, int.MaxValue)]
    public int? Seed { get; init; }

    /// <summary>There are none here.</summary>
    public IReadOnlyList<JsonElement>? Integrations { get; init; }

    /// <summary>Up to 16 pairs of your own, echoed back; keys up to 64 characters, values up to 512.</summary>
    [MaxLength(16)]
    public IReadOnlyDictionary<string, string>? Metadata { get; init; }

    /// <summary>What is learnt, and how. Absent: supervised.</summary>
    public FineTuningMethodRequest? Method { get; init; }

    /// <summary>OpenAI's older place for them; those in <c>method</c> go before.</summary>
    public HyperparametersRequest? Hyperparameters { get; init; }

    /// <summary>What no field can say alone.</summary>
    public void Check(FaultList faults)
    {
        faults.Require(Integrations is null or { Count: 0 }, "/integrations", null, "This service reports to no other.", "Leave it out, and read events or GET /jobs/{id}/metrics.");
        faults.Require(Method?.Type != FineTuningMethodType.Reinforcement && Method?.Reinforcement is null, "/method/type", "reinforcement", "Reinforcement fine-tuning does not exist here.", "Give supervised or dpo.");
        foreach (var (key, value) in Metadata ?? new Dictionary<string, string>())
            faults.Require(key.Length is > 0 and <= 64 && value.Length <= 512, "/metadata", key, "A key or a value is too long.", "Use 1 to 64 characters for a key, at most 512 for a value.");
    }
}

/// <summary>A method with its options; those of other methods are not looked at.</summary>
public sealed record FineTuningMethodRequest
{
    public required FineTuningMethodType Type { get; init; }
    public MethodOptions? Supervised { get; init; }
    public MethodOptions? Dpo { get; init; }

    /// <summary>Refused.</summary>
    public JsonElement? Reinforcement { get; init; }
}

public enum FineTuningMethodType { Supervised, Dpo, Reinforcement }

/// <summary>The options of a method.</summary>
public sealed record MethodOptions
{
    public HyperparametersRequest? Hyperparameters { get; init; }
}

/// <summary>Numbers, or <c>auto</c>: then the service chooses, and tells what.</summary>
public sealed record HyperparametersRequest
{
    /// <summary>Rows in a step; by the number of rows.</summary>
    [Range(1, 256)]
    public Auto<int> BatchSize { get; init; }

    /// <summary>Times the rate that <c>auto</c> would choose: 2e-4 for adapters.</summary>
    [Range(0.0, 1e4, MinimumIsExclusive = true)]
    public Auto<double> LearningRateMultiplier { get; init; }

    /// <summary>Passes over the rows; by their number.</summary>
    [Range(1, 50)]
    public Auto<int> NEpochs { get; init; }

    /// <summary>Of <c>dpo</c>: how strongly the model is held to its base; 0.1.</summary>
    [Range(0.0, 2.0, MinimumIsExclusive = true)]
    public Auto<double> Beta { get; init; }
}
