using FineTuneService.Contracts;

namespace FineTuneService.Training.Models.Layers;

/// <summary>config.json's <c>rope_parameters</c>, or <c>rope_scaling</c> as it was called before transformers 5.</summary>
public sealed record RopeParameters
{
    public string? RopeType { get; init; }

    /// <summary>The old name of <see cref="RopeType"/>.</summary>
    public string? Type { get; init; }
    public double? RopeTheta { get; init; }
    public double? PartialRotaryFactor { get; init; }
    public double? Factor { get; init; }
    public int? OriginalMaxPositionEmbeddings { get; init; }
    public double? AttentionFactor { get; init; }
    public double? BetaFast { get; init; }
    public double? BetaSlow { get; init; }
    public double? Mscale { get; init; }
    public double? MscaleAllDim { get; init; }
    public bool? Truncate { get; init; }
    public double? LowFreqFactor { get; init; }
    public double? HighFreqFactor { get; init; }
    public double[]? ShortFactor { get; init; }
    public double[]? LongFactor { get; init; }

    public double Theta => RopeTheta ?? 10000;

    public string Kind => RopeType ?? Type ?? "default";

    /// <summary>How many dimensions of a head are turned.</summary>
    public int Dimensions(int headDim) => (int)(headDim * (PartialRotaryFactor ?? 1));

    /// <summary>
    /// Positions that a text may fill. "dynamic" takes max_position_embeddings for the length of pre-training and goes beyond it; so do files with "yarn", not all of them.
    /// </summary>
    public int MaxLength(int maxPositionEmbeddings) => Kind switch
    {
        "dynamic" => (int)(maxPositionEmbeddings * (Factor ?? 1)),
        "yarn" => Math.Max(maxPositionEmbeddings, (int)((OriginalMaxPositionEmbeddings ?? maxPositionEmbeddings) * (Factor ?? 1))),
        _ => maxPositionEmbeddings,
    };

    /// <exception cref="FaultException">With everything that the kind needs and that is missing.</exception>
    public void Validate(int headDim)
    {
        const string At = "config.json#/rope_parameters";
        var faults = new FaultList();
        var pairs = Dimensions(headDim) / 2;
        switch (Kind)
        {
            case "default":
                break;
            case "linear" or "dynamic":
                Need(Factor, "factor");
                break;
            case "yarn":
                break;
            case "llama3":
                Need(Factor, "factor");
                Need(LowFreqFactor, "low_freq_factor");
                Need(HighFreqFactor, "high_freq_factor");
                break;
            case "longrope":
                Need(ShortFactor, "short_factor");
                Need(LongFactor, "long_factor");
                faults.Require(ShortFactor is null || ShortFactor.Length == pairs, $"{At}/short_factor", ShortFactor?.Length, $"This list must have {pairs} numbers.", "Fetch config.json again from its origin.");
                faults.Require(LongFactor is null || LongFactor.Length == pairs, $"{At}/long_factor", LongFactor?.Length, $"This list must have {pairs} numbers.", "Fetch config.json again from its origin.");
                break;
            default:
                faults.Add($"{At}/rope_type", Kind, "This kind of rotary embedding is not known here.", "Known: default, linear, dynamic, yarn, longrope, llama3.");
                break;
        }
        faults.ThrowIfAny();

        void Need(object? value, string name) =>
            faults.Require(value is not null, $"{At}/{name}", null, $"The kind {Kind} needs this number.", "Fetch config.json again from its origin.");
    }
}
